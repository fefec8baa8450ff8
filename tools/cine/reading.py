"""A cine from a 4D file, a DICOM series or one file a frame, and a label map of one of its frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from common.errors import InputError
from common.grids import nifti_affine, same_grid
from common.io import MedicalImage, read_frames, read_image, read_label, stem
from common.io.dicom import frame_times, is_dicom
from common.io.images import NIFTI
from common.nifti import UNREADABLE

MILLISECONDS = {"sec": 1000.0, "msec": 1.0, "usec": 0.001}


@dataclass(frozen=True, eq=False)
class Cine:
    """Images of one grid over time.

    Attributes:
        frames: (T, i, j) or (T, i, j, k) float32.
        affine: (4, 4) voxel to RAS mm.
        times: (T,) ms from the first frame, None where the file does not say.
        path: the file, or that of the first frame.
    """

    frames: np.ndarray
    affine: np.ndarray
    times: np.ndarray | None
    path: Path

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return stem(self.path)

    def image(self, frame: int) -> MedicalImage:
        """Return one frame as an image of its own."""
        return MedicalImage(self.frames[frame], self.affine, Path(f"{self.path} frame {frame}"))


def read_cine(paths: Sequence[str | Path], frame_time: float | None = None) -> Cine:
    """Read a 4D file, a DICOM series of a cine, or images in the order of time.

    Args:
        frame_time: ms between two frames; None takes what the NIfTI file or the DICOM series says.

    Raises:
        InputError: not readable, not 4D, frames on different grids, NaN or constant frames, or a time that is not
            positive.
    """
    if frame_time is not None and not 0 < frame_time < float("inf"):
        raise InputError(f"frame time {frame_time:g}: give milliseconds above 0.")
    first = Path(paths[0])
    frames, affine, times = _of_one(first) if len(paths) == 1 else (*_of_many(paths), None)
    times = times if frame_time is None else frame_time * np.arange(len(frames))
    for number, frame in enumerate(frames):
        if not np.isfinite(frame).all():
            raise InputError(f"{first}: frame {number} has NaN or infinite voxels; replace them, for instance by 0.")
        if frame.min() == frame.max():
            raise InputError(f"{first}: every voxel of frame {number} is {frame.flat[0]:g}; cut that frame out.")
    return Cine(frames, affine, times, first)


def read_reference_label(path: str | Path, cine: Cine, frame: int) -> np.ndarray:
    """Read the label map (*spatial) of frame ``frame``, from a map of that frame or from a 4D one of the cine.

    Raises:
        InputError: not a label map, on another grid than the cine, or empty.
    """
    path, shape = Path(path), cine.frames.shape
    ndim = _nifti(path).ndim if path.name.lower().endswith(NIFTI) and path.is_file() else 0
    if ndim == 4 and cine.frames.ndim == 4:
        frames, affine, _ = _of_one(path)
        if frames.shape != shape:
            raise InputError(f"{path}: shape {_stored(frames)}, but the cine has {_stored(cine.frames)}; give its own.")
        array = frames[frame]
        if not np.array_equal(array, np.round(array)):
            raise InputError(f"{path}: a label map has whole numbers only; was it interpolated, or is it an image?")
    else:
        label = read_label(path)
        array, affine = label.array, label.affine
    if array.ndim == cine.frames.ndim - 2 and shape[-1] == 1:
        array = array[..., None]
    if array.shape != shape[1:] or not same_grid(affine, cine.affine):
        raise InputError(f"{path}: lies on another grid ({list(array.shape)}) than {cine.path} ({list(shape[1:])}).")
    if not array.any():
        raise InputError(f"{path}: no label in frame {frame}; give the map of the reference frame.")
    return array.astype(np.int32)


def _of_one(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    if not path.exists():
        raise InputError(f"{path}: no such file.")
    if not path.name.lower().endswith(NIFTI):
        images = read_frames(path)
        if len(images) < 2:
            raise InputError(f"{path}: holds one image; give a cine, or one image file a frame.")
        times = frame_times(path) if is_dicom(path) else None
        return np.stack([image.array for image in images]), images[0].affine, times
    image = _nifti(path)
    if image.ndim != 4 or image.shape[3] < 2:
        raise InputError(f"{path}: shape {list(image.shape)} is no 4D cine of two frames or more, [i, j, k, t].")
    try:
        array = np.asarray(image.dataobj, dtype=np.float32)
    except UNREADABLE as error:
        raise InputError(f"{path}: cannot be read ({error}); is the file whole?") from error
    # by its text: the header is float32, in which 0.05 s is not 50 ms
    step = float(str(image.header.get_zooms()[3])) * MILLISECONDS.get(image.header.get_xyzt_units()[1], 0.0)
    frames = np.ascontiguousarray(np.moveaxis(array, 3, 0))
    return frames, nifti_affine(image.header), step * np.arange(len(frames)) if step > 0 else None


def _nifti(path: Path) -> nib.Nifti1Image:
    try:
        return nib.load(path)
    except UNREADABLE as error:
        raise InputError(f"{path}: cannot be read ({error}); is the file whole?") from error


def _of_many(paths: Sequence[str | Path]) -> tuple[np.ndarray, np.ndarray]:
    images = [read_image(path) for path in paths]
    for image in images[1:]:
        if image.array.shape != images[0].array.shape or not same_grid(image.affine, images[0].affine):
            raise InputError(f"{image.path}: lies on another grid than {images[0].path}; frames of a cine share one.")
    return np.stack([image.array for image in images]), images[0].affine


def _stored(frames: np.ndarray) -> list[int]:
    return [*frames.shape[1:], len(frames)]

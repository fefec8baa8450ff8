"""A cine from a 4D file, a DICOM series or one file a frame, and a label map of one of its frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np

from common.errors import InputError
from common.grids import same_grid
from common.io import MedicalImage, read_frames, read_image, read_label, stem
from common.io.images import NIFTI
from common.nifti import UNREADABLE, load_nifti
from common.regridding import matched_label

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
        frame_time: ms between two frames; None takes what the NIfTI file says.

    Raises:
        InputError: not readable, not 4D, frames on different grids, NaN or constant frames, or a time that is not
            positive.
    """
    if frame_time is not None and not 0 < frame_time < float("inf"):
        raise InputError(f"frame time {frame_time:g}: give milliseconds above 0.")
    first = Path(paths[0])
    images = _of_one(first) if len(paths) == 1 else _of_many(paths)
    step = frame_time or (_step(first) if len(paths) == 1 else None)
    times = None if step is None else step * np.arange(len(images))
    return Cine(np.stack([image.array for image in images]), images[0].affine, times, first)


def read_reference_label(path: str | Path, cine: Cine, frame: int) -> tuple[np.ndarray, str]:
    """Read the label map (*spatial) of frame ``frame``, from a map of that frame or from a 4D one of the cine.

    It is matched to the cine in space, see `matched_label`, whose remark is returned too.

    Raises:
        InputError: not a label map, of another number of frames, empty, or elsewhere in space.
    """
    path, shape = Path(path), cine.frames.shape
    stored = _header(path).get_data_shape() if path.name.lower().endswith(NIFTI) and path.is_file() else ()
    count = stored[-1] if len(stored) > 3 else 1
    if count not in (1, shape[0]):
        raise InputError(f"{path}: shape {list(stored)}, but the cine has {_stored(cine.frames)}; give its own.")
    label, image = read_label(path, frame if count > 1 else None), cine.image(frame)
    if label.array.ndim == image.array.ndim - 1 and image.array.shape[-1] == 1:
        label = replace(label, array=label.array[..., None])
    if label.array.ndim != image.array.ndim:
        raise InputError(f"{path}: {label.array.ndim}D, but frames of {cine.path} are {image.array.ndim}D.")
    array, remark = matched_label(label, image)
    if not array.any():
        raise InputError(f"{path}: no label in frame {frame}; give the map of the reference frame.")
    return array.astype(np.int32), remark


def _of_one(path: Path) -> list[MedicalImage]:
    images = read_frames(path)
    if len(images) < 2:
        raise InputError(f"{path}: holds one image; give a cine, or one image file a frame.")
    return images


def _step(path: Path) -> float | None:
    """Ms between the frames of a NIfTI file; None where it does not say."""
    if not path.name.lower().endswith(NIFTI):
        return None
    header = _header(path)
    # by its text: the header is float32, in which 0.05 s is not 50 ms
    step = float(str(header.get_zooms()[-1])) * MILLISECONDS.get(header.get_xyzt_units()[1], 0.0)
    if not 0 <= step < float("inf"):
        raise InputError(f"{path}: {step:g} ms from frame to frame by its header; give the right one by --frame-time.")
    return step or None


def _header(path: Path) -> nib.Nifti1Header:
    """The header of a NIfTI file; raise InputError if there is none."""
    try:
        return load_nifti(path).header
    except UNREADABLE as error:
        raise InputError(f"{path}: cannot be read ({error}); is the file whole?") from error


def _of_many(paths: Sequence[str | Path]) -> list[MedicalImage]:
    images = [read_image(path) for path in paths]
    first, *others = images
    shape = first.array.shape
    for image in others:
        if image.array.shape != shape or not same_grid(image.affine, first.affine, shape):
            raise InputError(f"{image.path}: lies on another grid than {first.path}; frames of a cine share one.")
    return images


def _stored(frames: np.ndarray) -> list[int]:
    return [*frames.shape[1:], len(frames)]

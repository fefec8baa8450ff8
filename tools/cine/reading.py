"""A cine from a 4D file, a DICOM series or one file a frame, and a label map of one of its frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from common.errors import InputError
from common.grids import same_grid
from common.io import MedicalImage, read_image, read_label, stem
from common.io.dicom import frame_times, is_dicom
from common.io.formats import NIFTI, PAIRS
from common.io.frames import frame_step
from common.io.images import read_loop
from common.nifti import nifti_header
from common.regridding import matched_label


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
    images = read_loop(first) if len(paths) == 1 else _of_many(paths)
    times = _times(paths, len(images)) if frame_time is None else frame_time * np.arange(len(images))
    return Cine(np.stack([image.array for image in images]), images[0].affine, times, first)


def read_reference_label(path: str | Path, cine: Cine, frame: int) -> tuple[np.ndarray, str]:
    """Read the label map (*spatial) of frame ``frame``, from a map of that frame or from a 4D one of the cine.

    It is matched to the cine in space, see `matched_label`, whose remark is returned too.

    Raises:
        InputError: not a label map, of another number of frames, empty, or elsewhere in space.
    """
    path, shape = Path(path), cine.frames.shape
    stored = _stored_axes(path)
    if len(stored) > 3 and stored[-1] != shape[0]:
        raise InputError(f"{path}: shape {list(stored)}, but the cine has {_stored(cine.frames)}; give its own.")
    label, image = read_label(path, frame), cine.image(frame)
    if label.array.ndim == image.array.ndim - 1 and image.array.shape[-1] == 1:
        label = replace(label, array=label.array[..., None])
    if label.array.ndim != image.array.ndim:
        raise InputError(f"{path}: {label.array.ndim}D, but frames of {cine.path} are {image.array.ndim}D.")
    array, remark = matched_label(label, image)
    if not array.any():
        raise InputError(f"{path}: no label in frame {frame}; give the map of the reference frame.")
    return array, remark


def _times(paths: Sequence[str | Path], count: int) -> np.ndarray | None:
    """The times [ms] of the frames of one file or series; None where it does not say, and of several files."""
    path = Path(paths[0])
    if len(paths) > 1:
        return None
    if is_dicom(path):
        return frame_times(path)
    step = frame_step(path)
    if step is None and path.name.lower().endswith((*NIFTI, *PAIRS)):
        said = float(nifti_header(path)["pixdim"][4])
        if not 0 <= said < float("inf"):
            raise InputError(f"{path}: {said:g} ms from frame to frame by its header; give them by --frame-time.")
    return None if step is None else step * np.arange(count)


def _stored_axes(path: Path) -> list[int]:
    """The axes of a NIfTI file, without those of one behind the third; none of another file."""
    if not path.name.lower().endswith((*NIFTI, *PAIRS)) or not path.is_file():
        return []
    shape = [int(n) for n in nifti_header(path).get_data_shape()]
    return shape[:3] + [n for n in shape[3:] if n != 1]


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

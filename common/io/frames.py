"""The frames of a cine: read all of them, as images or as label maps, and written as one file."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from ..errors import InputError
from ..forms import frame_time
from ..nifti import nifti_header, save_nifti, stored
from .formats import NIFTI, PAIRS
from .images import MedicalImage, checked_label, read_all


def read_each(path: str | Path, label: bool = False) -> list[MedicalImage]:
    """Read every frame of a cine, (i, j, slice, frame), as float32 or as a label map; of any other file the only one.

    Other than a frame that is to be registered, one may be constant.

    Raises:
        InputError: as `images.read_image`, or other axes.
    """
    array, affine = read_all(Path(path))
    if array.ndim not in (2, 3, 4):
        raise InputError(f"{path}: {array.ndim}D of shape {list(array.shape)}; give a cine, (i, j, slice, frame).")
    frames = np.moveaxis(array, 3, 0) if array.ndim == 4 else array[None]
    return [_checked(MedicalImage(frame, affine, Path(path)), label) for frame in frames]


def _checked(image: MedicalImage, label: bool) -> MedicalImage:
    if label:
        return checked_label(image)
    array = image.array.astype(np.float32)
    if not np.isfinite(array).all():
        count = int((~np.isfinite(array)).sum())
        raise InputError(f"{image.path}: {count} voxels are NaN or infinite; replace them, for instance by 0.")
    return MedicalImage(array, image.affine, image.path)


def frame_step(path: str | Path) -> float | None:
    """How long a frame of a NIfTI file takes, ms; None where it does not say it, or another kind of file.

    Raises:
        InputError: the header cannot be read.
    """
    path = Path(path)
    return frame_time(nifti_header(path)) if path.name.lower().endswith((*NIFTI, *PAIRS)) else None


def write_series(path: str | Path, frames: np.ndarray, affine: np.ndarray, step: float | None) -> Path:
    """Write ``frames`` (i, j, k, t), ``step`` ms apart, as NIfTI, atomically, in the types of `images.write_image`.

    Raises:
        InputError: another ending than .nii.gz or .nii, or no right to write.
    """
    path = Path(path)
    if not path.name.lower().endswith(NIFTI):
        raise InputError(f"{path}: an image is written as NIfTI; give a name with .nii.gz.")
    image = nib.Nifti1Image(stored(frames), affine)
    image.header.set_xyzt_units("mm", "unknown" if step is None else "msec")
    image.header["pixdim"][4] = step or 1
    save_nifti(path, image)
    return path

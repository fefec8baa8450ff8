"""The frames of a cine: read all of them, as images or as label maps, and written as one file."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from ..errors import InputError
from ..nifti import UNREADABLE, load_nifti, save_nifti, stored
from .formats import NIFTI
from .images import MedicalImage, _read_all, checked_label


def read_each(path: str | Path, label: bool = False) -> list[MedicalImage]:
    """Read every frame of a cine, (i, j, slice, frame), as float32 or as a label map; of any other file the only one.

    Other than a frame that is to be registered, one may be constant.

    Raises:
        InputError: as `images.read_image`, or other axes.
    """
    array, affine = _read_all(Path(path))
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


def frame_time(path: str | Path) -> float | None:
    """How long a frame of a NIfTI file takes, ms; None where it does not say it, or another kind of file."""
    if not str(path).lower().endswith(NIFTI):
        return None
    try:
        header = load_nifti(path).header
        factor = {"sec": 1e3, "msec": 1.0, "usec": 1e-3}.get(header.get_xyzt_units()[1])
    except (*UNREADABLE, KeyError):
        return None
    step = float(header["pixdim"][4])
    return step * factor if factor and header["dim"][0] > 3 and 0 < step < 1e6 else None


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

"""Read medical images into arrays with axes (i, j, k) and a RAS affine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..grids import RAS_TO_LPS, nifti_affine, spacing_of
from ..nifti import UNREADABLE, load_nifti, save_image
from .dicom import is_dicom, read_series
from .formats import DICOM, ITK, NIFTI, PICTURES
from .itk_transforms import quiet_itk


@dataclass(frozen=True, eq=False)
class MedicalImage:
    """An image of a file: ``array`` (i, j) or (i, j, k), ``affine`` (4, 4) voxel to RAS in mm."""

    array: np.ndarray
    affine: np.ndarray
    path: Path

    @property
    def spacing(self) -> tuple[float, ...]:
        """Voxel size in mm along each axis of the array."""
        return spacing_of(self.affine)[: self.array.ndim]


def read_image(path: str | Path, channel: int | None = None) -> MedicalImage:
    """Read the image at ``path`` (.nii, .nii.gz, .mha, .mhd, .nrrd, or a DICOM series) as float32.

    Args:
        path: of a DICOM series its folder, or any of its files, see `dicom`.
        channel: of a 4D file or series, which of its images (of a cine, the frame); None refuses such a file.

    Raises:
        InputError: no such file or channel, unreadable or truncated, not 2D or 3D, colours or vectors, NaN or Inf, or
            constant.
    """
    return checked_image(_read(Path(path), channel))


def read_frames(path: str | Path) -> list[MedicalImage]:
    """Read all images of a 4D file or series (a cine), each as `read_image` gives it; of any other file the only one.

    Raises:
        InputError: as `read_image`, or more than 4 axes.
    """
    array, affine = _read_all(Path(path))
    if array.ndim not in (2, 3, 4):
        raise InputError(f"{path}: {array.ndim}D of shape {list(array.shape)}; give a cine, (i, j, slice, frame).")
    frames = np.moveaxis(array, 3, 0) if array.ndim == 4 else [array]
    return [checked_image(MedicalImage(frame, affine, Path(path))) for frame in frames]


def checked_image(image: MedicalImage) -> MedicalImage:
    """``image`` as float32; raise InputError if it is not finite, or constant."""
    array, path = image.array.astype(np.float32), image.path
    if not np.isfinite(array).all():
        count = int((~np.isfinite(array)).sum())
        raise InputError(f"{path}: {count} voxels are NaN or infinite; replace them, for instance by 0.")
    if array.min() == array.max():
        raise InputError(f"{path}: every voxel is {array.flat[0]:g}, so there is nothing to register; check the file.")
    return MedicalImage(array, image.affine, path)


def read_label(path: str | Path, channel: int | None = None) -> MedicalImage:
    """Read the label map at ``path`` as uint8 (as int32 if its values need it); it may be empty.

    Args:
        channel: of a 4D file, as of `read_image`; a file of one map has it whatever the channel.

    Raises:
        InputError: as `read_image`, or values that are not whole numbers.
    """
    array, affine = _read_all(Path(path))
    return checked_label(single_image(array, affine, Path(path), channel if array.ndim == 4 else None))


def checked_label(image: MedicalImage) -> MedicalImage:
    """``image`` as a label map of whole numbers; raise InputError if it is none."""
    rounded = np.round(image.array)
    if not np.isfinite(image.array).all() or not np.allclose(image.array, rounded, atol=1e-4):
        raise InputError(f"{image.path}: a label map has whole numbers only; was it interpolated, or is it an image?")
    small = rounded.min() >= 0 and rounded.max() <= 255
    return MedicalImage(rounded.astype(np.uint8 if small else np.int32), image.affine, image.path)


def write_image(path: str | Path, array: np.ndarray, affine: np.ndarray) -> Path:
    """Write ``array`` (i, j) or (i, j, k) as NIfTI, atomically: floats as float32, whole numbers in a type that fits.

    Raises:
        InputError: another ending than .nii.gz or .nii, or no right to write.
    """
    path = Path(path)
    if not path.name.lower().endswith(NIFTI):
        raise InputError(f"{path}: an image is written as NIfTI; give a name with .nii.gz.")
    save_image(path, array, affine)
    return path


def read_affine(path: str | Path) -> np.ndarray:
    """Read the voxel-to-RAS affine (4, 4) of a NIfTI file, and not its voxels.

    Raises:
        InputError: no such file, or unreadable.
    """
    try:
        return nifti_affine(load_nifti(path).header)
    except UNREADABLE as error:
        raise InputError(f"{path}: cannot be read ({error}); is the file whole?") from error


def stem(path: str | Path) -> str:
    """Return the file's name without folder and format: ``a/b.nii.gz`` is ``b``."""
    name = Path(path).name
    ending = _ending(Path(path))
    return name[: -len(ending)] if ending else Path(path).stem


def _ending(path: Path) -> str | None:
    known = sorted(NIFTI + ITK + DICOM, key=len)
    return next((ending for ending in known if path.name.lower().endswith(ending)), None)


def _read(path: Path, channel: int | None = None) -> MedicalImage:
    array, affine = _read_all(path)
    return single_image(array, affine, path, channel)


def single_image(array: np.ndarray, affine: np.ndarray, path: Path, channel: int | None = None) -> MedicalImage:
    """The image of ``array``, or the one of its last axis that ``channel`` names; raise InputError if it is none."""
    if array.ndim == 4 and channel is not None:
        if not 0 <= channel < array.shape[3]:
            raise InputError(f"{path}: holds images 0 to {array.shape[3] - 1}; there is no {channel}.")
        array = array[..., channel]
    elif channel:
        raise InputError(f"{path}: holds one image, so it has no frame {channel}; leave the frame out.")
    if array.ndim not in (2, 3):
        raise InputError(
            f"{path}: {array.ndim}D of shape {list(array.shape)}; give a 2D image, a stack or a volume "
            "(of a cine, choose a frame, or cut one out)."
        )
    return MedicalImage(array, affine, path)


def _read_all(path: Path) -> tuple[np.ndarray, np.ndarray]:
    if not path.exists():
        raise InputError(f"{path}: no such file.")
    reader = _reader(path)
    try:
        array, affine = reader(path)
    except InputError:
        raise
    except UNREADABLE as error:
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise InputError(f"{path}: cannot be read ({reason}); is the file whole?") from error
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    return array, affine


def _reader(path: Path) -> Callable[[Path], tuple[np.ndarray, np.ndarray]]:
    ending = _ending(path)
    if path.is_file() and ending in NIFTI:
        return _read_nifti
    if path.is_file() and ending in ITK:
        return _read_itk
    if is_dicom(path):
        return read_series
    if path.suffix.lower() in PICTURES:
        raise InputError(
            f"{path}: unknown format; a picture does not say where it lies in space: convert it to NIfTI with its "
            "true spacing."
        )
    raise InputError(f"{path}: unknown format; give one of {', '.join(NIFTI + ITK)}, or a DICOM series.")


def _read_nifti(path: Path) -> tuple[np.ndarray, np.ndarray]:
    image = load_nifti(path)
    if image.get_data_dtype().fields:
        raise InputError(f"{path}: a colour image; convert it to one grey channel.")
    return np.asarray(image.dataobj), nifti_affine(image.header)


def _read_itk(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with quiet_itk() as itk:
        return from_itk(itk.imread(str(path)), path)


def from_itk(image: Any, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The array (i, j[, k]) and the RAS affine of an ITK image; raise InputError, naming ``path``, for colours."""
    with quiet_itk() as itk:
        if image.GetNumberOfComponentsPerPixel() != 1:
            raise InputError(f"{path}: {image.GetNumberOfComponentsPerPixel()} values a voxel; give one grey channel.")
        array = itk.array_from_image(image).T
        n = min(image.GetImageDimension(), 3)
        affine = np.eye(4)
        direction = itk.array_from_matrix(image.GetDirection())[:n, :n]
        affine[:n, :n] = direction * np.array([image.GetSpacing()[a] for a in range(n)])
        affine[:n, 3] = [image.GetOrigin()[a] for a in range(n)]
    return array, RAS_TO_LPS @ affine

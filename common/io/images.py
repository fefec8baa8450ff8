"""Read medical images into arrays with axes (i, j, k) and a RAS affine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..files import regular_file
from ..grids import spacing_of
from ..label_values import label_values
from ..nifti import UNREADABLE, check_affine, header_grid, load_nifti, save_image
from .dicom import is_dicom, read_series
from .formats import DICOM, ITK, MGH, NIFTI, PAIRS, PICTURES
from .itk_images import read_itk
from .mgh import read_mgh

READABLE = (*NIFTI, *PAIRS, *MGH, *ITK)
VECTORS = range(1004, 1010)  # intents of NIfTI whose fifth axis holds the parts of a vector or a matrix, not frames


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
    """Read the image at ``path`` (a file that ends as `READABLE` has it, or a DICOM series) as float32.

    Args:
        path: of a DICOM series its folder, or any of its files, see `dicom`.
        channel: of a 4D file or series, which of its images (of a cine, the frame); None refuses such a file.

    Raises:
        InputError: no such file or channel, unreadable or damaged, too large, not 2D or 3D, of other numbers than real
            ones (colours, vectors, complex), NaN or Inf, or constant.
    """
    array, affine = read_all(Path(path))
    return checked_image(single_image(array, affine, Path(path), channel))


def read_frames(path: str | Path) -> list[MedicalImage]:
    """Read all images of a 4D file or series (a cine), each as `read_image` gives it; of any other file the only one.

    Raises:
        InputError: as `read_image`, or more than 4 axes.
    """
    array, affine = read_all(Path(path))
    if array.ndim not in (2, 3, 4):
        raise InputError(f"{path}: {array.ndim}D of shape {list(array.shape)}; give a cine, (i, j, slice, frame).")
    if array.ndim < 4:
        return [checked_image(MedicalImage(array, affine, Path(path)))]
    frames = enumerate(np.moveaxis(array, 3, 0))
    return [checked_image(MedicalImage(frame, affine, Path(f"{path} frame {number}"))) for number, frame in frames]


def read_loop(path: str | Path) -> list[MedicalImage]:
    """Read the frames of a cine as `read_frames` does; of three axes the third is time: (i, j, t) is (i, j, 1, t).

    Raises:
        InputError: as `read_frames`, or one image.
    """
    images = read_frames(path)
    only = images[0]
    if len(images) == 1 and only.array.ndim == 3 and only.array.shape[2] > 1 and not is_dicom(Path(path)):
        count = only.array.shape[2]
        print(f"warning: {path}: shape {list(only.array.shape)}; taken as {count} frames of one slice, not as a volume")
        named = [Path(f"{path} frame {number}") for number in range(count)]
        frames = [MedicalImage(only.array[..., [t]], only.affine, named[t]) for t in range(count)]
        images = [checked_image(frame) for frame in frames]
    if len(images) < 2:
        raise InputError(f"{path}: holds one image; give a cine, or one image file a frame.")
    return images


def checked_image(image: MedicalImage) -> MedicalImage:
    """``image`` as float32; raise InputError if it is not of real numbers, not finite, or constant."""
    path = image.path
    if image.array.dtype.kind not in "biuf":
        raise InputError(f"{path}: {_kind(image.array.dtype)}")
    with np.errstate(over="ignore"):  # what is beyond float32 is refused as infinite
        array = image.array.astype(np.float32)
    if not np.isfinite(array).all():
        count = int((~np.isfinite(array)).sum())
        raise InputError(f"{path}: {count} voxels are NaN or infinite; replace them, for instance by 0.")
    if array.min() == array.max():
        raise InputError(f"{path}: every voxel is {array.flat[0]:g}, so there is nothing to register; check the file.")
    return MedicalImage(array, image.affine, path)


def read_label(path: str | Path, channel: int | None = None) -> MedicalImage:
    """Read the label map at ``path`` as uint8 (as int32 or uint32 if its values need it); it may be empty.

    Args:
        channel: of a 4D file, as of `read_image`; a file of one map has it whatever the channel.

    Raises:
        InputError: as `read_image`, or values that are no labels, see `label_values`.
    """
    array, affine = read_all(Path(path))
    return checked_label(single_image(array, affine, Path(path), channel if array.ndim == 4 else None))


def checked_label(image: MedicalImage) -> MedicalImage:
    """``image`` as a label map of whole numbers; raise InputError if it is none."""
    return MedicalImage(label_values(image.array, image.path), image.affine, image.path)


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
    return header_grid(path)[1]


def stem(path: str | Path) -> str:
    """Return the file's name without folder and format: ``a/b.nii.gz`` is ``b``."""
    name = Path(path).name
    ending = _ending(Path(path))
    return name[: -len(ending)] if ending else Path(path).stem


def _ending(path: Path) -> str | None:
    known = sorted((*READABLE, *DICOM), key=len, reverse=True)
    return next((ending for ending in known if path.name.lower().endswith(ending)), None)


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


def read_all(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the array (i, j[, k[, t]]) of a file or series as it is, and its affine to RAS mm (4, 4).

    Raises:
        InputError: no such file, unreadable or damaged, or too large.
    """
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
    check_affine(path, affine)
    return without_single_axes(array), affine


def without_single_axes(array: np.ndarray) -> np.ndarray:
    """``array`` (i, j, k, ...) without axes of one behind the third: (i, j, k, 1, t) is (i, j, k, t)."""
    return array.reshape(*array.shape[:3], *(n for n in array.shape[3:] if n != 1))


def _reader(path: Path) -> Callable[[Path], tuple[np.ndarray, np.ndarray]]:
    ending = _ending(path)
    if not path.is_dir():
        regular_file(path)
        if ending in (*NIFTI, *PAIRS):
            return _read_nifti
        if ending in MGH:
            return read_mgh
        if ending in ITK:
            return read_itk
    if is_dicom(path):
        return read_series
    if path.suffix.lower() in PICTURES:
        raise InputError(
            f"{path}: unknown format; a picture does not say where it lies in space: convert it to NIfTI with its "
            "true spacing."
        )
    raise InputError(f"{path}: unknown format; give one of {', '.join(READABLE)}, or a DICOM series.")


def _read_nifti(path: Path) -> tuple[np.ndarray, np.ndarray]:
    image = load_nifti(path)
    if image.ndim == 5 and int(image.header["intent_code"]) in VECTORS:
        raise InputError(f"{path}: vectors, not an image ({list(image.shape)}); give it as a field, or one channel.")
    return np.asarray(image.dataobj), image.affine


def _kind(dtype: np.dtype) -> str:
    if dtype.fields:
        return "a colour image; convert it to one grey channel."
    if dtype.kind == "c":
        return "complex numbers; give their magnitude."
    return f"numbers of type {dtype}; give whole or real ones."

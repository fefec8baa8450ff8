"""Read a medical image of any of the usual formats as a volume with its true affine."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.ndimage import affine_transform

from common.data.placing import Volume
from common.errors import InputError
from common.grids import nifti_affine, same_grid
from common.io import images
from common.nifti import UNREADABLE

NIFTI = (".nii.gz", ".nii")
ITK = (".mha", ".mhd", ".nrrd", ".nhdr")
EXTENSIONS = (*NIFTI, *ITK)


class BrokenInput(InputError):
    """A source file that cannot be used: the one kind of error that ``--skip-broken`` collects."""


def stem(path: str | Path) -> str:
    """Return the file's name without its image extension."""
    name = Path(path).name
    return next((name[: -len(end)] for end in EXTENSIONS if name.lower().endswith(end)), name)


def read_volume(path: str | Path, channel: int = 0, is_label: bool = False) -> Volume:
    """Read a 2D or 3D image as (X, Y, Z), of a 4D one its ``channel``; values as they are in the file.

    Raises:
        BrokenInput: naming the file that is missing, unreadable or of a shape that is no image.
    """
    path = Path(path)
    if not path.is_file():
        raise BrokenInput(f"{path}: no such file; restore it or pass --skip-broken")
    try:
        array, affine = _load(path, is_label)
    except UNREADABLE as error:
        raise unreadable(path, error) from error
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim == 4:
        if not 0 <= channel < array.shape[3]:
            raise BrokenInput(
                f"{path}: channel {channel} asked for, but it has {array.shape[3]}; pass another --channel"
            )
        array = array[..., channel]
    array = array[:, :, None] if array.ndim == 2 else array
    if array.ndim != 3 or array.dtype.kind not in "biuf" or 0 in array.shape:
        raise BrokenInput(
            f"{path}: {array.dtype} of shape {array.shape} is no grey image; remove it or pass --skip-broken"
        )
    return Volume(array, affine)


def unreadable(path: Path, error: Exception) -> BrokenInput:
    """Say in one line why ``path`` cannot be read."""
    reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
    if isinstance(error, InputError):
        return BrokenInput(reason)
    return BrokenInput(f"{path}: cannot be read ({reason}); download it again or pass --skip-broken")


def read_image(path: str | Path, channel: int = 0) -> Volume:
    """Read an image as float32; raise BrokenInput if it holds NaN or infinite values."""
    array, affine = read_volume(path, channel)
    return Volume(finite(path, array), affine)


def shape_and_affine(path: str | Path) -> tuple[tuple[int, ...], np.ndarray]:
    """Return the (X, Y, Z) shape and affine of an image; of NIfTI only the header is read."""
    path = Path(path)
    if not path.is_file() or not path.name.lower().endswith(NIFTI):
        volume = read_volume(path)
        return volume.array.shape, volume.affine
    try:
        header = nib.load(path).header
    except UNREADABLE as error:
        raise unreadable(path, error) from error
    shape = tuple(int(n) for n in header.get_data_shape())
    return (*shape, 1)[:3], nifti_affine(header)


def on_grid(volume: Volume, like: Volume, order: int) -> Volume:
    """Resample ``volume`` onto the grid of ``like`` by world coordinates, zero outside; as it is if it lies there."""
    if volume.array.shape == like.array.shape and same_grid(volume.affine, like.affine):
        return Volume(volume.array, like.affine)
    change = np.linalg.inv(volume.affine) @ like.affine
    array = affine_transform(volume.array, change[:3, :3], change[:3, 3], like.array.shape, order=order)
    return Volume(array, like.affine)


def finite(path: str | Path, array: np.ndarray) -> np.ndarray:
    """Return ``array`` as float32; raise BrokenInput if it holds NaN or infinite values."""
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise BrokenInput(
            f"{path}: {int((~np.isfinite(array)).sum())} voxels are NaN or infinite; repair it or pass --skip-broken"
        )
    return array


def read_label(path: str | Path, like: Volume, like_path: str | Path) -> Volume:
    """Read a label map as uint8; raise BrokenInput unless it is one and has the shape of its image."""
    array, affine = read_volume(path, is_label=True)
    if array.shape != like.array.shape:
        raise BrokenInput(
            f"{path}: label of shape {array.shape}, but {Path(like_path).name} is {like.array.shape}; "
            "repair it or pass --skip-broken"
        )
    return Volume(as_labels(path, array), affine)


def as_labels(path: str | Path, array: np.ndarray) -> np.ndarray:
    """Return ``array`` as uint8; raise BrokenInput if a value is no whole number from 0 to 255."""
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    odd = array[~((array >= 0) & (array <= 255) & (array == np.round(array)))]
    if odd.size:
        raise BrokenInput(
            f"{path}: label value {odd.flat[0]} is no whole number from 0 to 255; renumber it or pass --skip-broken"
        )
    return array.astype(np.uint8)


def _load(path: Path, is_label: bool) -> tuple[np.ndarray, np.ndarray]:
    if path.name.lower().endswith(NIFTI):
        image = nib.load(path)
        return np.asanyarray(image.dataobj), nifti_affine(image.header)
    image = images.read_label(path) if is_label else images.read_image(path)
    return image.array, image.affine

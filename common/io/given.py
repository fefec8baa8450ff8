"""Images as a caller has them: a file, an image of nibabel or ITK, or an array with its affine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from ..errors import InputError
from ..forms import nifti_affine
from ..nifti import UNREADABLE, check_affine
from .images import (
    MedicalImage,
    checked_image,
    checked_label,
    read_image,
    read_label,
    single_image,
    without_single_axes,
)
from .itk_images import from_itk

KINDS = "a file, an image of nibabel or ITK, or (array, affine) with the affine from voxels to RAS mm"


def image_of(given: Any, frame: int | None = None, name: str = "image") -> MedicalImage:
    """The image that ``given`` is, float32.

    Args:
        given: a path, a `MedicalImage`, an image of nibabel or ITK, or an array (i, j[, k[, frame]]) with its affine.
        frame: of one with four axes, counted from 0.
        name: what messages and files call it that has no file.

    Raises:
        InputError: as `read_image`, or something else.
    """
    if isinstance(given, str | Path):
        return read_image(given, frame)
    return checked_image(_in_memory(given, name, frame))


def label_of(given: Any, name: str = "label", frame: int | None = None) -> MedicalImage:
    """The label map that ``given`` is, as `image_of` takes it; ``frame`` is for four axes alone.

    Raises:
        InputError: as `read_label`, or something else.
    """
    if isinstance(given, str | Path):
        return read_label(given, frame)
    return checked_label(_in_memory(given, name, frame, single=True))


def _in_memory(given: Any, name: str, frame: int | None = None, single: bool = False) -> MedicalImage:
    """An image that is no file; a frame of one that has none is refused, but for ``single`` left out."""
    array, affine, path = _parts(given, Path(name))
    frame = None if single and array.ndim < 4 else frame
    if isinstance(given, MedicalImage):
        return single_image(array, affine, path, frame)
    check_affine(path, affine)
    return single_image(array, affine, path, frame)


def _parts(given: Any, path: Path) -> tuple[np.ndarray, np.ndarray, Path]:
    if isinstance(given, MedicalImage):
        return given.array, given.affine, given.path
    if isinstance(given, nib.spatialimages.SpatialImage):
        return _of_nibabel(given, Path(given.get_filename() or path))
    if hasattr(given, "GetNumberOfComponentsPerPixel") and hasattr(given, "GetLargestPossibleRegion"):
        return *from_itk(given, path), path
    if isinstance(given, tuple | list) and len(given) == 2:
        return np.asarray(given[0]), np.asarray(given[1], dtype=float), path
    raise InputError(f"{path} is {type(given).__name__}; give {KINDS}.")


def _of_nibabel(image: nib.spatialimages.SpatialImage, path: Path) -> tuple[np.ndarray, np.ndarray, Path]:
    try:
        affine = nifti_affine(image.header) if isinstance(image, nib.Nifti1Pair) else image.affine
        return without_single_axes(np.asarray(image.dataobj)), affine, path
    except UNREADABLE as error:  # its voxels may still lie in a file
        raise InputError(f"{path}: cannot be read ({error}); is the file whole?") from error

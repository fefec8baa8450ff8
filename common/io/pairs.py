"""Read the files of one registration and check that they fit each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..grids import same_grid, spacing_of
from .images import MedicalImage, read_image, read_label


@dataclass(frozen=True, eq=False)
class NativePair:
    """A moving and a fixed image on one native grid, and the moving label if there is one."""

    moving: MedicalImage
    fixed: MedicalImage
    moving_label: MedicalImage | None = None


def read_pair(
    moving: str | Path, fixed: str | Path, moving_label: str | Path | None = None, spatial_dims: int = 3
) -> NativePair:
    """Read a pair for a network of ``spatial_dims``: 2 takes an image (i, j) or a stack (i, j, slice), 3 a volume.

    Raises:
        InputError: a file that `read_image` refuses, grids that differ, or a shape that the network cannot take.
    """
    pair = NativePair(read_image(moving), read_image(fixed), read_label(moving_label) if moving_label else None)
    for other in (pair.fixed, pair.moving_label):
        if other is not None:
            _check_same_grid(pair.moving, other)
    _check_shape(pair.moving, spatial_dims)
    return pair


def _check_same_grid(first: MedicalImage, second: MedicalImage) -> None:
    way_out = "resample one onto the grid of the other first, or use `python -m tools.register`, which takes any grids"
    if first.array.shape != second.array.shape:
        one, two = list(first.array.shape), list(second.array.shape)
        raise InputError(f"{first.path} has shape {one} but {second.path} has {two}; {way_out}.")
    if not same_grid(first.affine, second.affine):
        raise InputError(f"{first.path} lies at {_place(first)} but {second.path} at {_place(second)}; {way_out}.")


def _place(image: MedicalImage) -> str:
    affine = image.affine
    directions = (affine[:3, :3] / spacing_of(affine)).T.round(3).tolist()
    spacing = [round(s, 4) for s in image.spacing]
    return f"origin {affine[:3, 3].round(3).tolist()}, spacing {spacing}, axes {directions}"


def _check_shape(image: MedicalImage, spatial_dims: int) -> None:
    shape = list(image.array.shape)
    if spatial_dims == 3 and (len(shape) == 2 or min(shape) < 2):
        raise InputError(f"{image.path}: shape {shape} is no volume; for a 2D image use a bundle with spatial_dims 2.")
    if min(shape[:2]) < 2:
        raise InputError(f"{image.path}: shape {shape} is no stack of slices (i, j, slice); reorder its axes.")

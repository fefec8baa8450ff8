"""Carry images, label maps and points between the two images of a field, or of several transforms in a row.

What belongs to the moving image goes to the fixed image; inversely, what belongs to the fixed image goes to the moving
one. This is the same for images and for points, so that a landmark stays on what it marks, although the two are
computed in opposite ways: the field holds, at each point of the fixed image, the way to its point of the moving image.
An image is pulled along it; a point of the moving image takes the inverse way.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .chain import beyond, move, move_back
from .errors import InputError
from .fields import Chain, Field, Transform, chain_of
from .io.images import MedicalImage
from .io.points import Points
from .physical import background, grid_points, sample


def carry_image(
    transform: Transform,
    image: MedicalImage,
    label: bool = False,
    inverse: bool = False,
    grid: MedicalImage | None = None,
    fill: float | None = None,
) -> tuple[MedicalImage, str]:
    """Carry ``image`` along ``transform``, interpolating it once; return it, and a remark on how that went.

    Args:
        label: a label map: take the nearest voxel.
        grid: whose grid the result has; None is that of the field, of the first of several.
        fill: the value outside of the image; None is its `background`; of a label map it is 0.

    Raises:
        InputError: an image or a grid of other dimensions than the field's, no field and no grid, or a fill of a label
            map.
    """
    chain = chain_of(transform)
    check_image(image, chain)
    shape, affine = grid_of(chain, grid)
    points, remark = grid_points(shape, affine), ""
    if inverse:
        points, residual = move_back(points, chain)
        remark = f", inverted to {np.median(residual):.2g} mm (median), {residual.max():.2g} mm (largest)"
    elif grid is None and len(chain.parts) == 1:
        points += chain.fields[0].vectors
    else:
        points = move(points, chain)
    if label and fill is not None:
        raise InputError(f"{image.path}: a label map is 0 outside; give a fill of images only.")
    order, value = (0, 0.0) if label else (1, background(image.array, fill))
    array = sample(image.array, image.affine, points, order, value)
    if array.min() == array.max() and image.array.min() != image.array.max():
        remark += "; nothing of it lies there: do they share a space?"
    return MedicalImage(array, affine, image.path), remark


def check_image(image: MedicalImage, chain: Chain) -> None:
    """Raise InputError for an image, or one that gives a grid, of other dimensions than the field's."""
    if image.array.ndim != chain.dims:
        raise InputError(f"{image.path}: {image.array.ndim}D, but the field is {chain.dims}D; give one that fits it.")


def grid_of(chain: Chain, grid: MedicalImage | None) -> tuple[Sequence[int], np.ndarray]:
    """The shape and the affine that a carried image gets: those of ``grid``, or of the field that comes first.

    Raises:
        InputError: a grid of other dimensions, or neither.
    """
    if grid is not None:
        check_image(grid, chain)
        return grid.array.shape, grid.affine
    first = chain.parts[0]
    if not isinstance(first, Field):
        raise InputError("a linear transform comes first, which has no grid; give an image that has (--reference).")
    return first.shape, first.affine


def carry_points(transform: Transform, points: Points, inverse: bool = False) -> tuple[np.ndarray, np.ndarray, str]:
    """Where ``points`` lie in the other image, (N, 2 or 3) LPS mm, which leave the fields, (N,), and a remark on it.

    Raises:
        InputError: points without z for a field of three dimensions.
    """
    chain = chain_of(transform)
    check_points(points, chain.dims)
    inside, moved, remark = points.lps[:, : chain.dims], points.lps.copy(), ""
    if inverse:
        moved[:, : chain.dims], on_grid = move(inside, chain), inside
    else:
        moved[:, : chain.dims], residual = move_back(inside, chain)
        on_grid, remark = moved[:, : chain.dims], f", inverted to {residual.max():.2g} mm (largest)"
    left = beyond(on_grid, chain)
    if count := int(left.sum()):
        remark += f"; {count} outside of the field, moved as its nearest voxel"
    return moved, left, remark


def check_points(points: Points, dims: int) -> None:
    """Raise InputError for points without z, where there are ``dims`` = 3 of space."""
    if points.lps.shape[1] < dims:
        raise InputError(f"{points.path}: points without z, but the images are 3D; add a column z.")

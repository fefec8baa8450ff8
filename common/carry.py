"""Carry images, label maps and points between the two images of a field.

What belongs to the moving image goes to the fixed image; inversely, what belongs to the fixed image goes to the moving
one. This is the same for images and for points, so that a landmark stays on what it marks, although the two are
computed in opposite ways: the field holds, at each point of the fixed image, the way to its point of the moving image.
An image is pulled along it; a point of the moving image takes the inverse way.
"""

from __future__ import annotations

import numpy as np

from .errors import InputError
from .fields import Field
from .io.images import MedicalImage
from .io.points import Points
from .physical import background, invert_field, invert_points, outside, resample_field, transform_points, warp_image


def carry_image(
    field: Field,
    image: MedicalImage,
    label: bool = False,
    inverse: bool = False,
    grid: MedicalImage | None = None,
    fill: float | None = None,
) -> tuple[MedicalImage, str]:
    """Carry ``image`` along ``field``; return it, and a remark on how that went.

    Args:
        label: a label map: take the nearest voxel.
        grid: whose grid the result has; None is the field's.
        fill: the value outside of the image; None is its `background`; of a label map it is 0.

    Raises:
        InputError: an image or a grid of other dimensions than the field's, or a fill of a label map.
    """
    for each in (image, grid):
        if each is not None and each.array.ndim != field.dims:
            raise InputError(f"{each.path}: {each.array.ndim}D, but the field is {field.dims}D; give one that fits it.")
    shape, affine = (field.shape, field.affine) if grid is None else (grid.array.shape, grid.affine)
    remark = ""
    if inverse:
        field, residual = invert_field(field, shape, affine)
        remark = f", inverted to {np.median(residual):.2g} mm (median), {residual.max():.2g} mm (largest)"
    elif grid is not None:
        field = resample_field(field, shape, affine)
    if label and fill is not None:
        raise InputError(f"{image.path}: a label map is 0 outside; give a fill of images only.")
    order, value = (0, 0.0) if label else (1, background(image.array, fill))
    array = warp_image(image.array, image.affine, field, order, value)
    if array.min() == array.max() and image.array.min() != image.array.max():
        remark += "; nothing of it lies there: do they share a space?"
    return MedicalImage(array, affine, image.path), remark


def carry_points(field: Field, points: Points, inverse: bool = False) -> tuple[np.ndarray, str]:
    """Where ``points`` lie in the other image, (N, 2 or 3) LPS mm, and a remark on how that went.

    Raises:
        InputError: points without z for a field of three dimensions.
    """
    check_points(points, field.dims)
    inside, moved, remark = points.lps[:, : field.dims], points.lps.copy(), ""
    if inverse:
        moved[:, : field.dims], on_grid = transform_points(inside, field), inside
    else:
        moved[:, : field.dims], residual = invert_points(inside, field)
        on_grid, remark = moved[:, : field.dims], f", inverted to {residual.max():.2g} mm (largest)"
    if count := int(outside(on_grid, field).sum()):
        remark += f"; {count} outside of the field, moved as its nearest voxel"
    return moved, remark


def check_points(points: Points, dims: int) -> None:
    """Raise InputError for points without z, where there are ``dims`` = 3 of space."""
    if points.lps.shape[1] < dims:
        raise InputError(f"{points.path}: points without z, but the images are 3D; add a column z.")

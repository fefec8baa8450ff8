"""Register a stack whose slices breath holds have shifted: the network sees them in line, the field is of the files.

With s(z) the shift of the slice at z, linear between slices, a point p of the fixed file is p - s(p_z) where slices are
in line, and one y there is y + s(y_z) in the moving file. So with u_a between the images in line, that of the files is

    p + u(p) = y + u_a(y) + s(z'),    y = p - s(p_z),    z' that of y + u_a(y)
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..chain import on_grid
from ..errors import InputError
from ..fields import Chain, Field, to_physical
from ..grids import same_grid
from ..io.images import MedicalImage
from ..regridding import on_grid as brought
from ..slices import shifted, slice_shifts, stack_axis
from .bundle import OpenBundle
from .case import Case
from .outcome import Registration
from .register import register_case

ASKED = "--align-slices"


def register_aligned(bundle: OpenBundle, case: Case, slice_axis: int | None = None) -> Registration:
    """Register a stack by a 3D bundle, the shifts between its slices undone for the network.

    Args:
        slice_axis: across the slices; None is the axis of the largest spacing.

    Raises:
        InputError: as `register_case`; a 2D bundle; images that are no two of one stack, or known to be apart.
    """
    axis = _axis(bundle, case, slice_axis)
    labels = {name: _label(getattr(case, name), case.fixed) for name in ("label", "fixed_label")}
    known = [label.array > 0 for label in labels.values() if label is not None]
    images = {"moving": case.moving, "fixed": case.fixed}
    region = np.any(known, axis=0) if known else None
    shifts = slice_shifts([image.array for image in images.values()], case.fixed.spacing, axis, region)
    line: dict[str, Any] = {name: _shifted(image, shifts, axis, 1) for name, image in images.items()}
    line |= {name: _shifted(label, shifts, axis, 0) for name, label in labels.items() if label is not None}
    return of_files(register_case(bundle, replace(case, points=None, **line)), case, shifts, axis)


def of_files(found: Registration, case: Case, shifts: np.ndarray, slice_axis: int) -> Registration:
    """Turn what was found between images in line into a registration of ``case``, the files as they are.

    Args:
        shifts: (slices, 2) in voxels, see `slices`.
    """
    there, back = (_way(sign * shifts, slice_axis, found.field) for sign in (-1, 1))
    shape, affine = found.field.shape, found.field.affine
    in_line = on_grid(Chain((there, found.field)), shape, affine).vectors - there.vectors
    maps = {name: _returned(array, shifts, slice_axis) for name, array in found.maps.items()}
    return replace(
        found,
        case=case,
        field=on_grid(Chain((there, found.field, back)), shape, affine),
        own=Field(in_line, affine),
        maps=maps,
        seen=_returned(found.seen, shifts, slice_axis),
        slice_shifts_mm=shifts * np.delete(case.fixed.spacing, slice_axis),
    )


def _axis(bundle: OpenBundle, case: Case, slice_axis: int | None) -> int:
    moving, fixed = case.moving, case.fixed
    if bundle.spatial_dims != 3:
        raise InputError(
            f"{ASKED}: {bundle.name} registers slice by slice, for which shifts do not matter; leave it out."
        )
    if case.initial is not None:
        raise InputError(f"{ASKED}: slices of two images that an initial transform tells apart; leave out one of both.")
    if moving.array.shape != fixed.array.shape or not same_grid(moving.affine, fixed.affine, fixed.array.shape):
        raise InputError(
            f"{moving.path}: lies on another grid than {fixed.path}, so their slices were not taken in the same breath "
            f"holds; leave out {ASKED}."
        )
    if (axis := stack_axis(fixed.spacing) if slice_axis is None else slice_axis) is None:
        voxels = " x ".join(f"{step:g}" for step in fixed.spacing)
        raise InputError(
            f"{fixed.path}: voxels of {voxels} mm are no stack of slices; leave out {ASKED}, or give --slice-axis."
        )
    return axis


def _label(label: MedicalImage | None, image: MedicalImage) -> MedicalImage | None:
    """A label map on the grid of ``image``, by its own header."""
    if label is None or (label.array.shape == image.array.shape and same_grid(label.affine, image.affine)):
        return label
    array = brought(label.array, label.affine, image.array.shape, image.affine, 0)[0]
    return MedicalImage(array, image.affine, label.path)


def _shifted(image: MedicalImage, shifts: np.ndarray, axis: int, order: int) -> MedicalImage:
    return replace(image, array=shifted(image.array, shifts, axis, order))


def _returned(array: np.ndarray, shifts: np.ndarray, axis: int) -> np.ndarray:
    return shifted(array, -shifts, axis, order=int(array.dtype.kind == "f"))


def _way(shifts: np.ndarray, slice_axis: int, field: Field) -> Field:
    """Shifts (slices, 2) in voxels as a field on the grid of ``field``."""
    moved = np.zeros((3, field.shape[slice_axis], 1, 1))
    for axis, along in zip((a for a in range(3) if a != slice_axis), shifts.T, strict=True):
        moved[axis, :, 0, 0] = along
    moved = np.broadcast_to(np.moveaxis(moved, 1, slice_axis + 1), (3, *field.shape))
    return Field(to_physical(moved, field.affine), field.affine)

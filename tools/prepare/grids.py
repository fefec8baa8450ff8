"""One grid for all cases of a source whose volumes differ in size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from common.errors import InputError
from common.grids import resampled_shape, spacing_of

from .cases import Case
from .volumes import shape_and_affine


def full_size(size: Sequence[int], axes: int) -> tuple[int, ...]:
    """Return ``size`` for ``axes`` axes; one number stands for all of them."""
    full = tuple(size) * axes if len(size) == 1 else tuple(size)
    if len(full) != axes:
        raise InputError(
            f"--size {','.join(map(str, size))}: {len(size)} numbers, but {axes} axes are cropped or padded"
        )
    return full


def native_grid(case: Case) -> dict[str, Any]:
    """Return the shape and spacing of a case's fixed image (``image`` where there is but one)."""
    shape, affine = shape_and_affine(case.files.get("fixed") or case.files["image"])
    return {"shape": shape, "spacing": spacing_of(affine)}


def largest(
    grids: Sequence[dict[str, Any]], spacing: Sequence[float] | None, axes: int, multiple: int = 1
) -> tuple[int, ...]:
    """Return the smallest box, in multiples of ``multiple``, that holds every grid once resampled."""
    shapes = [resampled_shape(g["shape"], g["spacing"], spacing) if spacing else g["shape"] for g in grids]
    return tuple(-(-max(shape[axis] for shape in shapes) // multiple) * multiple for axis in range(axes))

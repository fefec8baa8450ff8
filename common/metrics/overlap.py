"""Dice and surface distances of a pair of binary masks, all from one pass over their borders."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, nan
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from .arrays import as_mask, same_shape
from .surface import border_points, bounding_box, nearest_distances

Spacing = Sequence[float] | None


class Overlap(NamedTuple):
    """How well a warped mask covers the fixed one; distances in voxels, and in the unit of the spacing (``_mm``).

    Attributes:
        dice: 2 |A and B| / (|A| + |B|), from 0 to 1; NaN when both masks are empty.
        hd: Hausdorff distance, the larger of its two directions.
        hd95: the larger of the two directed 95th percentiles (linear interpolation), as MONAI defines it; the 95th
            percentile of both directions pooled, which some libraries report, is another number.
        asd: symmetric average surface distance, the mean over the points of both borders, as MONAI defines it.
        asd_directed: average distance from the fixed border to the warped border.
        hd_mm, hd95_mm, asd_mm, asd_directed_mm: the same in the unit of the spacing; NaN without a spacing.

    Distances are NaN where a mask is empty.
    """

    dice: float
    hd: float = nan
    hd95: float = nan
    asd: float = nan
    asd_directed: float = nan
    hd_mm: float = nan
    hd95_mm: float = nan
    asd_mm: float = nan
    asd_directed_mm: float = nan


def dice(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """``2 |A and B| / (|A| + |B|)`` of two binary masks of one shape, from 0 to 1; NaN where both are empty."""
    total = np.count_nonzero(first) + np.count_nonzero(second)
    return 2 * np.count_nonzero(first & second) / total if total else nan


def overlap(fixed_mask: ArrayLike, warped_mask: ArrayLike, spacing: Spacing = None) -> Overlap:
    """Compare two binary masks of one shape, in 2D or 3D.

    Args:
        fixed_mask: (*spatial), the reference; what is not zero belongs to it.
        warped_mask: (*spatial).
        spacing: size of a voxel along each array axis; adds the distances in that unit.

    Raises:
        InputError: if the shapes differ or the spacing is not a positive number per axis.

    Example:
        >>> a, b = np.zeros((2, 8, 8), bool)
        >>> a[2:5, 2:5] = b[2:5, 3:6] = True
        >>> overlap(a, b).hd
        1.0
    """
    fixed, warped = as_mask(fixed_mask), as_mask(warped_mask)
    same_shape(fixed_mask=fixed, warped_mask=warped)
    scale = None if spacing is None else _checked(spacing, fixed.ndim)
    union = fixed | warped
    if not union.any():
        return Overlap(nan)
    box = bounding_box(union)
    fixed, warped = fixed[box], warped[box]
    covered = dice(fixed, warped)
    if not (fixed.any() and warped.any()):
        return Overlap(covered)
    return Overlap(covered, *_distances(fixed, warped, scale))


def _checked(spacing: Sequence[float], dims: int) -> NDArray[np.float64]:
    values = [float(value) for value in spacing]
    if len(values) != dims or not all(isfinite(value) and value > 0 for value in values):
        raise InputError(f"metrics: spacing {values} does not fit {dims} axes; give one positive number per axis")
    return np.array(values)


def _distances(fixed: NDArray[np.bool_], warped: NDArray[np.bool_], scale: NDArray | None) -> list[float]:
    first, second = border_points(fixed, warped)
    in_voxels = _summary(*nearest_distances(first, second))
    if scale is None:
        return in_voxels
    if np.allclose(scale, scale[0], rtol=1e-6, atol=0):
        return in_voxels + [value * float(scale[0]) for value in in_voxels]
    # Oblong voxels change which point is the nearest.
    column = scale[:, None].astype(np.float32)
    return in_voxels + _summary(*nearest_distances(first * column, second * column))


def _summary(from_fixed: NDArray, from_warped: NDArray) -> list[float]:
    """Reduce the distances of both directions to hd, hd95, asd and asd_directed."""
    from_fixed, from_warped = np.sort(from_fixed), np.sort(from_warped)
    hd = float(max(from_fixed[-1], from_warped[-1]))
    hd95 = max(_quantile(from_fixed, 0.95), _quantile(from_warped, 0.95))
    total, total_warped = float(from_fixed.sum(dtype=float)), float(from_warped.sum(dtype=float))
    asd = (total + total_warped) / (from_fixed.size + from_warped.size)
    return [hd, hd95, asd, total / from_fixed.size]


def _quantile(ordered: NDArray, q: float) -> float:
    """Interpolate linearly, as ``np.quantile`` does, whose general machinery takes longer than all of the above."""
    position = q * (ordered.size - 1)
    below = int(position)
    low, high = float(ordered[below]), float(ordered[min(below + 1, ordered.size - 1)])
    return low + (high - low) * (position - below)

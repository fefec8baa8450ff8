"""How alike the warped and the fixed image are; padding is left out where a mask says so."""

from __future__ import annotations

from math import nan

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ..similarity import masked_mean, squared_correlation
from .arrays import as_array, as_mask, same_shape

WINDOW = 5
BINS = 100


def mean_squared_error(warped: ArrayLike, fixed: ArrayLike, mask: ArrayLike | None = None) -> float:
    """Mean of ``(fixed - warped)^2`` over the voxels in ``mask`` (*spatial), all where that is None.

    Returns:
        NaN when no voxel is counted or one of them is not finite.

    Raises:
        InputError: if the shapes differ.
    """
    ours, true = _inside(warped, fixed, mask)
    return float(np.square(true - ours, dtype=float).mean()) if _computable(ours, true) else nan


def nlcc(warped: ArrayLike, fixed: ArrayLike, mask: ArrayLike | None = None, window: int = WINDOW) -> float:
    """Mean squared local correlation (predictive, Gong et al., WACV 2022, Eq. 1), as the loss computes it.

    Args:
        warped: (*spatial).
        fixed: (*spatial).
        mask: (*spatial), the voxels around which a window counts; the windows themselves may reach beyond it.
        window: edge of the windows in voxels, odd; zeros continue the images.

    Returns:
        0 to 1, 1 where every window of one image is a multiple of the other's; NaN as in `mean_squared_error`.

    Raises:
        InputError: if the shapes differ or the window is not odd.
    """
    if window < 1 or window % 2 == 0:
        raise InputError(f"metrics: nlcc over windows of {window} voxels; give an odd number")
    if not _computable(*_inside(warped, fixed, mask)):
        return nan
    kept = None if mask is None else _batch(as_mask(mask))
    return float(masked_mean(squared_correlation(_batch(warped), _batch(fixed), window), kept))


def mutual_information(warped: ArrayLike, fixed: ArrayLike, mask: ArrayLike | None = None, bins: int = BINS) -> float:
    """Mutual information in nats of the intensities in ``mask``, from their joint histogram.

    Each image's bins share the range that it has there, so a linear change of contrast changes nothing. Few voxels in
    many bins look dependent: independent images have about (bins - 1)^2 / (2 voxels), not 0.

    Returns:
        0 or more, 0 for a constant image; NaN as in `mean_squared_error`.

    Raises:
        InputError: if the shapes differ or there are fewer than two bins.
    """
    if bins < 2:
        raise InputError(f"metrics: mutual information in {bins} bins; give 2 or more")
    ours, true = _inside(warped, fixed, mask)
    if not _computable(ours, true):
        return nan
    pairs = _bin_of(ours, bins) * bins + _bin_of(true, bins)
    joint = np.bincount(pairs, minlength=bins * bins).reshape(bins, bins) / pairs.size
    independent = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    seen = joint > 0
    return max(float((joint[seen] * np.log(joint[seen] / independent[seen])).sum()), 0.0)  # rounding can be below 0


def _inside(warped: ArrayLike, fixed: ArrayLike, mask: ArrayLike | None) -> tuple[NDArray, NDArray]:
    """The counted voxels of both images, flat."""
    ours, true = as_array(warped), as_array(fixed)
    same_shape(warped=ours, fixed=true)
    if mask is None:
        return ours.ravel(), true.ravel()
    kept = as_mask(mask)
    same_shape(warped=ours, mask=kept)
    return ours[kept], true[kept]


def _computable(*values: NDArray) -> bool:
    return all(each.size > 0 and bool(np.isfinite(each).all()) for each in values)


def _batch(values: ArrayLike) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(as_array(values), dtype=np.float32))[None, None]


def _bin_of(values: NDArray, bins: int) -> NDArray[np.int64]:
    """The bin of each value, from 0 to ``bins - 1``; the highest value belongs to the last."""
    low, high = float(values.min()), float(values.max())
    scale = bins / (high - low) if high > low else 0.0
    return np.minimum((values.astype(float) - low) * scale, bins - 1).astype(np.int64)

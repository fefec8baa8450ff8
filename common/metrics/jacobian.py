"""How regular a displacement field is: folding, and the spread of its local volume change."""

from __future__ import annotations

from math import nan

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ..spatial import jacobian_determinant
from .arrays import as_array, as_mask

LOG_FLOOR = 1e-3
"""A determinant below this counts as this in ``sd_log_jacobian``: folding has no logarithm, and a smaller floor
would let a handful of folded voxels alone decide the figure (each would lie more than 20 SDs out at 1e-9)."""


def folding_percent(ddf: ArrayLike, mask: ArrayLike | None = None) -> float:
    """Percentage of cells where the map folds, |J| <= 0, of a field (D, *spatial) in voxels.

    Args:
        ddf: displacement field; J is the determinant of d(x + ddf)/dx by forward differences, one per cell.
        mask: (*spatial); counts only the cells whose lowest corner lies in it.

    Returns:
        0 to 100; NaN if no cell is counted or the field is not finite there.
    """
    return _folding(_determinants(ddf, mask))


def sd_log_jacobian(ddf: ArrayLike, mask: ArrayLike | None = None) -> float:
    """Population standard deviation of log |J| over the cells; J is clipped from below at ``LOG_FLOOR`` = 0.001.

    Arguments and NaN as in :func:`folding_percent`; 0 for a field that scales every cell alike.
    """
    return _sd_log(_determinants(ddf, mask))


def regularity(ddf: ArrayLike, mask: ArrayLike | None = None) -> dict[str, float]:
    """Compute ``folding_percent`` and ``sd_log_jacobian``, by these names, from one set of determinants."""
    determinants = _determinants(ddf, mask)
    return {"folding_percent": _folding(determinants), "sd_log_jacobian": _sd_log(determinants)}


def _folding(determinants: NDArray) -> float:
    return 100 * float(np.mean(determinants <= 0)) if _computable(determinants) else nan


def _sd_log(determinants: NDArray) -> float:
    if not _computable(determinants):
        return nan
    return float(np.log(np.maximum(determinants, LOG_FLOOR)).std(dtype=float))


def _computable(determinants: NDArray) -> bool:
    return determinants.size > 0 and bool(np.isfinite(determinants).all())


def _determinants(ddf: ArrayLike, mask: ArrayLike | None) -> NDArray[np.float32]:
    """One determinant per counted cell, flat."""
    field = as_array(ddf)
    if field.ndim not in (3, 4) or field.shape[0] != field.ndim - 1:
        raise InputError(f"metrics: a ddf of shape {list(field.shape)} is no field; give (2, H, W) or (3, X, Y, Z)")
    batch = torch.from_numpy(np.ascontiguousarray(field, dtype=np.float32))[None]
    determinants = jacobian_determinant(batch)[0].numpy()
    if mask is None:
        return determinants.ravel()
    kept = as_mask(mask)
    if kept.shape != field.shape[1:]:
        raise InputError(f"metrics: mask {list(kept.shape)} does not fit the ddf {list(field.shape)}; use its grid")
    return determinants[kept[(slice(-1),) * kept.ndim]]

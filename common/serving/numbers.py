"""The numbers that come back beside an image."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engines.inference_cases import Case
from ..fields import to_physical


def numbers_of(case: Case, fixed: np.ndarray, outputs: dict[str, np.ndarray], ddf: np.ndarray) -> dict[str, Any]:
    """Summarise a registration over the region that the network saw, on the native grid; None: not computable.

    Slices of a stack that the moving image does not reach are left out.

    ``mean_displacement_mm``, ``max_displacement_mm``; ``folding_percent`` of the voxels (Jacobian at or below 0);
    ``correlation_before`` and ``correlation_after`` of moving and of warped with fixed; the mean of every map.

    Args:
        fixed: (i, j[, k]).
        outputs: as `native_outputs`, with "jacobian".
        ddf: (D, i, j[, k]) in voxels.
    """
    inside = _inside(case, fixed.shape)
    length = np.linalg.norm(to_physical(ddf, case.affine), axis=-1)[inside]
    maps = {name: array for name, array in outputs.items() if array.dtype.kind == "f" and name not in NOT_MAPS}
    values = {
        "mean_displacement_mm": length.mean(),
        "max_displacement_mm": length.max(),
        "folding_percent": 100 * np.mean(outputs["jacobian"][inside] <= 0),
        "correlation_before": _correlation(case.moving[inside], fixed[inside]),
        "correlation_after": _correlation(outputs["warped"][inside], fixed[inside]),
        **{f"mean_{name}": array[inside].mean() for name, array in maps.items()},
    }
    # JSON has no NaN
    return {name: float(value) if np.isfinite(value) else None for name, value in values.items()}


NOT_MAPS = ("warped", "warped_label", "jacobian")


def _inside(case: Case, shape: tuple[int, ...]) -> np.ndarray:
    """Which native voxels the region covers, in the slices that the moving image reaches."""
    inside = np.ones(shape, bool)
    for axis, (first, step, count) in enumerate(zip(case.region.first, case.region.step, case.region.shape)):
        at = (np.arange(shape[axis]) - first) / step
        within = (at >= -0.5) & (at <= count - 0.5)
        inside &= within.reshape([-1 if a == axis else 1 for a in range(len(shape))])
    if case.covered is not None and len(shape) > case.spatial_dims:
        inside[..., ~case.covered.numpy()] = False
    return inside


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    one, other = one.astype(float) - one.mean(dtype=float), other.astype(float) - other.mean(dtype=float)
    scale = np.sqrt((one**2).sum() * (other**2).sum())
    return float((one * other).sum() / scale) if scale > 0 else float("nan")

"""Metrics against a known truth, which the phantom has: motion, noise variance, non-correspondence."""

from __future__ import annotations

from math import nan
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from .arrays import as_array, as_mask, same_shape
from .ranks import auroc, spearman


def endpoint_error(ddf: ArrayLike, truth: ArrayLike, mask: ArrayLike | None = None) -> float:
    """Mean length of ``ddf - truth`` in voxels.

    Args:
        ddf: (D, *spatial).
        truth: (D, *spatial), the true displacement.
        mask: (*spatial); counts only the voxels in it.

    Returns:
        NaN when no voxel is counted or a field is not finite there.

    Raises:
        InputError: if the shapes differ.
    """
    ours, true = as_array(ddf), as_array(truth)
    same_shape(ddf=ours, truth=true)
    lengths = np.sqrt(np.square(ours - true, dtype=float).sum(axis=0))
    if mask is not None:
        kept = as_mask(mask)
        same_shape(mask=kept, displacement=lengths)
        lengths = lengths[kept]
    return float(lengths.mean()) if lengths.size and np.isfinite(lengths).all() else nan


def variance_spearman(log_variance: ArrayLike, true_variance: ArrayLike) -> float:
    """Rank correlation of the predicted and the true variance; logarithms change no rank, so either may be one.

    NaN when a map is constant, as the true variance is where the noise is the same everywhere.
    """
    return spearman(log_variance, true_variance)


class Calibration(NamedTuple):
    """Predicted variance against observed squared residual, in bins of equal count by predicted variance.

    Attributes:
        predicted, observed: (bins,), mean predicted variance and mean squared residual of each bin.
        ratio: mean of residual^2 / variance over all pixels: 1 when calibrated, above 1 when overconfident.
        slope: of log observed on log predicted over the bins: 1 when calibrated, 0 when uninformative.
    """

    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    ratio: float
    slope: float


def variance_calibration(squared_residual: ArrayLike, log_variance: ArrayLike, bins: int = 10) -> Calibration:
    """Compare a predicted variance with the residuals that it should explain.

    Args:
        squared_residual: any shape, intensity^2.
        log_variance: the same shape, log of intensity^2.
        bins: number of bins of equal count; fewer are used when there are fewer pixels.

    Returns:
        ``ratio`` and ``slope`` are NaN where they cannot be computed (no pixel, values not finite; for the slope also
        a constant prediction, or a bin without any residual).

    Raises:
        InputError: if the shapes differ or ``bins`` is below 1.
    """
    squared, log = as_array(squared_residual), as_array(log_variance)
    same_shape(squared_residual=squared, log_variance=log)
    if bins < 1:
        raise InputError(f"metrics: calibration needs at least one bin, got {bins}")
    squared, log = squared.ravel().astype(float), log.ravel().astype(float)
    bins = min(bins, squared.size)
    if not bins or not (np.isfinite(squared).all() and np.isfinite(log).all()):
        return Calibration(np.full(bins, nan), np.full(bins, nan), nan, nan)
    parts = np.array_split(np.argsort(log, kind="stable"), bins)
    variance = np.exp(log)
    predicted = np.array([variance[part].mean() for part in parts])
    observed = np.array([squared[part].mean() for part in parts])
    return Calibration(predicted, observed, float((squared / variance).mean()), _log_slope(predicted, observed))


def _log_slope(predicted: NDArray, observed: NDArray) -> float:
    if not observed.all():
        return nan
    x, y = np.log(predicted), np.log(observed)
    x = x - x.mean()
    # Rounding leaves a constant prediction a spread of the order of the machine epsilon.
    return float(x @ y / (x @ x)) if np.ptp(x) > 1e-9 else nan


def score_auroc(score: ArrayLike, non_correspondence: ArrayLike) -> float:
    """AUROC of finding true non-correspondence where the correspondence ``score`` is low.

    1 when every corresponding voxel scores higher than every other one, 0.5 for chance; NaN without both classes.
    """
    return 1 - auroc(score, non_correspondence)

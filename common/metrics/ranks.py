"""Rank statistics of two maps, exact with ties."""

from __future__ import annotations

from math import nan

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arrays import as_array, as_mask, same_shape


def mean_ranks(values: NDArray) -> NDArray[np.float64]:
    """Rank flat ``values`` from 1, ties given their mean rank: ``scipy.stats.rankdata``, several times as fast."""
    order = np.argsort(values)
    ordered = values[order]
    is_first = np.append(True, ordered[1:] != ordered[:-1])
    starts = np.flatnonzero(is_first)
    middles = (starts + np.append(starts[1:], values.size) + 1) / 2
    ranks = np.empty(values.size)
    ranks[order] = middles[np.cumsum(is_first) - 1]
    return ranks


def spearman(first: ArrayLike, second: ArrayLike) -> float:
    """Spearman's rank correlation of two maps of one shape, ties given their mean rank.

    Returns:
        -1 to 1; NaN for fewer than two values, a constant map, or one that is not finite.

    Raises:
        InputError: if the shapes differ.
    """
    a, b = as_array(first), as_array(second)
    same_shape(first=a, second=b)
    if a.size < 2 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return nan
    centred = [ranks - ranks.mean() for ranks in (mean_ranks(a.ravel()), mean_ranks(b.ravel()))]
    norm = np.sqrt((centred[0] @ centred[0]) * (centred[1] @ centred[1]))
    return float(np.clip(centred[0] @ centred[1] / norm, -1, 1)) if norm > 0 else nan


def auroc(values: ArrayLike, positive: ArrayLike) -> float:
    """Area under the ROC curve of detecting ``positive`` by high ``values``: the Mann-Whitney statistic.

    It is the chance that a positive voxel has the higher value, a tie counting half.

    Returns:
        0 to 1; NaN when one class is missing or a value is not finite.

    Raises:
        InputError: if the shapes differ.
    """
    scores, labels = as_array(values), as_mask(positive)
    same_shape(values=scores, positive=labels)
    hits = int(np.count_nonzero(labels))
    misses = labels.size - hits
    if not hits or not misses or not np.isfinite(scores).all():
        return nan
    ranks = mean_ranks(scores.ravel())[labels.ravel()]
    return float((ranks.sum() - hits * (hits + 1) / 2) / (hits * misses))

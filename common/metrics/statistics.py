"""Summaries and paired comparisons of per-pair metrics; what could not be computed is NaN, left out and counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from .arrays import as_array, same_shape


def summary(values: ArrayLike) -> dict[str, float]:
    """Mean, sample standard deviation and count of the values that are not NaN: ``{"mean", "sd", "n"}``.

    The mean of none and the deviation of fewer than two are NaN. See :func:`not_computed` for the number left out.
    """
    known = _flat(values)
    known = known[~np.isnan(known)]
    mean = float(known.mean()) if known.size else math.nan
    return {"mean": mean, "sd": float(known.std(ddof=1)) if known.size > 1 else math.nan, "n": int(known.size)}


def not_computed(values: ArrayLike) -> int:
    """Count the NaN among ``values``."""
    return int(np.isnan(_flat(values)).sum())


def mean_by_subject(values: ArrayLike, subjects: Sequence[str]) -> dict[str, float]:
    """Average ``values`` (N,) per subject, NaN left out; in order of first appearance, NaN for one without a value."""
    flat = _flat(values)
    if flat.size != len(subjects):
        raise InputError(f"metrics: {flat.size} values for {len(subjects)} subjects; give one subject per value")
    names, index = np.unique(np.asarray(subjects, dtype=object), return_inverse=True)
    known = ~np.isnan(flat)
    counts = np.bincount(index[known], minlength=names.size)
    sums = np.bincount(index[known], weights=flat[known], minlength=names.size)
    means = dict(zip(names, np.where(counts > 0, sums / np.maximum(counts, 1), math.nan).tolist(), strict=True))
    return {name: means[name] for name in dict.fromkeys(subjects)}


class Comparison(NamedTuple):
    """Paired comparison of two methods; every difference is ``a - b``.

    Attributes:
        n: pairs (or patients) compared; dropped: pairs left out because a value of either method was NaN.
        mean_a, mean_b, difference: means over the n.
        p_t: two-sided paired t-test; p_wilcoxon: two-sided Wilcoxon signed-rank test.
        effect_size: Cohen's d_z, mean over standard deviation of the differences.
        ci_low, ci_high: bootstrap confidence interval of the mean difference.
    """

    n: int
    dropped: int
    mean_a: float
    mean_b: float
    difference: float
    p_t: float
    p_wilcoxon: float
    effect_size: float
    ci_low: float
    ci_high: float


def compare(a: ArrayLike, b: ArrayLike, seed: int = 0, confidence: float = 0.95, resamples: int = 9999) -> Comparison:
    """Compare two methods over the same N cases.

    Identical samples have p = 1, an effect size of 0 and the interval [0, 0]; a constant difference other than 0 has
    p_t = 0 and an infinite effect size. Fewer than two cases leave all but the means NaN.

    Args:
        a: (N,) values of one method, NaN where it could not be computed.
        b: (N,) values of the other, in the same order.
        seed: of the bootstrap; the same seed gives the same interval.
        confidence: level of the bias-corrected and accelerated (BCa) interval.
        resamples: number of bootstrap samples.

    Raises:
        InputError: if a and b differ in length.
    """
    first, second = _flat(a), _flat(b)
    same_shape(a=first, b=second)
    known = ~(np.isnan(first) | np.isnan(second))
    dropped = int(known.size - known.sum())
    first, second = first[known], second[known]
    difference = first - second
    n = int(difference.size)
    means = [float(x.mean()) if n else math.nan for x in (first, second, difference)]
    if n < 2:
        return Comparison(n, dropped, *means, *[math.nan] * 5)
    p_t, effect_size = _t_test(difference)
    interval = _bootstrap(difference, seed, confidence, resamples)
    return Comparison(n, dropped, *means, p_t, _wilcoxon(difference), effect_size, *interval)


def compare_patients(a: ArrayLike, b: ArrayLike, subjects: Sequence[str], seed: int = 0) -> Comparison:
    """Compare over patients, the independent unit: :func:`compare` of each patient's means.

    A pair that either method lacks is left out of both means first, so both average the same pairs; ``dropped``
    counts those pairs, ``n`` the patients that remain.
    """
    first, second = _flat(a), _flat(b)
    same_shape(a=first, b=second)
    missing = np.isnan(first) | np.isnan(second)
    means = [mean_by_subject(np.where(missing, math.nan, values), subjects) for values in (first, second)]
    result = compare(*(list(mean.values()) for mean in means), seed=seed)
    return result._replace(dropped=int(missing.sum()))


def _flat(values: ArrayLike) -> NDArray[np.float64]:
    return as_array(values).astype(float).ravel()


def _is_constant(difference: NDArray) -> bool:
    """Whether the differences are equal up to the rounding of the subtraction."""
    return bool(np.ptp(difference) <= 1e-12 * max(np.abs(difference).max(), 1e-300))


def _t_test(difference: NDArray) -> tuple[float, float]:
    """p-value and Cohen's d_z, without the warning that SciPy gives for equal differences."""
    mean = difference.mean()
    if _is_constant(difference):
        return (1.0, 0.0) if mean == 0 else (0.0, math.copysign(math.inf, mean))
    from scipy import stats  # half a second, which who asks for other metrics need not wait

    effect_size = mean / difference.std(ddof=1)
    t = effect_size * math.sqrt(difference.size)
    return float(2 * stats.t.sf(abs(t), difference.size - 1)), float(effect_size)


def _wilcoxon(difference: NDArray) -> float:
    from scipy import stats

    return float(stats.wilcoxon(difference).pvalue) if difference.any() else 1.0


def _bootstrap(difference: NDArray, seed: int, confidence: float, resamples: int) -> tuple[float, float]:
    mean = float(difference.mean())
    if _is_constant(difference):
        return mean, mean
    from scipy import stats

    result = stats.bootstrap(
        (difference,),
        np.mean,
        n_resamples=resamples,
        batch=1000,  # bounds the memory for thousands of pairs
        confidence_level=confidence,
        method="BCa",
        rng=np.random.default_rng(seed),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)

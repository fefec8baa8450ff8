from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from common.errors import InputError
from common.metrics import compare, compare_patients, mean_by_subject, not_computed, summary

TESTS = ("p_t", "p_wilcoxon", "effect_size", "ci_low", "ci_high")


def samples(n: int = 40, gain: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    a = random.normal(80, 5, n)
    return a, a - gain + random.normal(0, 1, n)


def test_summary_leaves_out_and_counts_what_is_missing():
    values = [1.0, math.nan, 3.0]
    assert summary(values) == {"mean": 2.0, "sd": pytest.approx(math.sqrt(2)), "n": 2}
    assert not_computed(values) == 1


@pytest.mark.parametrize("values", [[], [math.nan]])
def test_summary_of_nothing(values):
    result = summary(values)
    assert result["n"] == 0
    assert math.isnan(result["mean"])
    assert math.isnan(result["sd"])


def test_summary_of_one_value_has_no_deviation():
    assert summary([4.0])["mean"] == 4
    assert math.isnan(summary([4.0])["sd"])


def test_both_tests_agree_with_scipy():
    a, b = samples()
    result = compare(a, b)
    assert result.p_t == pytest.approx(stats.ttest_rel(a, b).pvalue)
    assert result.p_wilcoxon == pytest.approx(stats.wilcoxon(a, b).pvalue)
    assert result.effect_size == pytest.approx((a - b).mean() / (a - b).std(ddof=1))
    assert (result.n, result.dropped) == (40, 0)
    assert result.difference == pytest.approx(result.mean_a - result.mean_b)


def test_the_interval_holds_the_mean_and_is_seeded():
    a, b = samples()
    result = compare(a, b, seed=3)
    assert result.ci_low < result.difference < result.ci_high
    assert result == compare(a, b, seed=3)
    assert result[-2:] != compare(a, b, seed=4)[-2:]
    half = stats.t.ppf(0.975, 39) * stats.sem(a - b)
    assert result.ci_high - result.ci_low == pytest.approx(2 * half, rel=0.1)


def test_of_skewed_differences_the_interval_is_bias_corrected_and_accelerated():
    skewed = np.random.default_rng(1).gamma(0.5, 1.0, 25)
    settings = {"n_resamples": 9999, "confidence_level": 0.95, "batch": 1000}
    found = compare(skewed, np.zeros(25))
    for method, alike in (("BCa", True), ("percentile", False)):
        expected = stats.bootstrap((skewed,), np.mean, method=method, rng=np.random.default_rng(0), **settings)
        interval = expected.confidence_interval
        assert ((found.ci_low, found.ci_high) == pytest.approx((interval.low, interval.high), rel=1e-9)) == alike


def test_nearly_constant_differences_are_tested():
    difference = 1 + 1e-7 * np.array([-1.0, 0.0, 1.0])
    assert compare(difference, np.zeros(3)).effect_size == pytest.approx(1e7, rel=1e-3)


def test_swapping_the_methods_mirrors_the_result():
    a, b = samples()
    forth, back = compare(a, b), compare(b, a)
    assert (forth.p_t, forth.p_wilcoxon) == pytest.approx((back.p_t, back.p_wilcoxon))
    assert (forth.effect_size, forth.difference) == pytest.approx((-back.effect_size, -back.difference))


@pytest.mark.parametrize("n", [2, 5, 300])
def test_identical_samples_do_not_differ(n):
    a, _ = samples(n)
    result = compare(a, a)
    assert (result.p_t, result.p_wilcoxon, result.effect_size) == (1, 1, 0)
    assert (result.ci_low, result.ci_high) == (0, 0)


def test_a_constant_difference_is_certain():
    a, _ = samples()
    result = compare(a, a - 0.1)
    assert (result.p_t, result.effect_size) == (0, math.inf)
    assert result.p_wilcoxon < 1e-6
    assert (result.ci_low, result.ci_high) == pytest.approx((0.1, 0.1))
    assert compare(a - 0.1, a).effect_size == -math.inf


def test_missing_pairs_are_dropped_from_both_and_counted():
    a, b = samples()
    gaps = a.copy(), b.copy()
    gaps[0][3] = gaps[1][3] = gaps[1][7] = math.nan
    kept = np.delete(np.arange(40), [3, 7])
    result = compare(*gaps)
    assert (result.n, result.dropped) == (38, 2)
    assert result[2:] == compare(a[kept], b[kept])[2:]


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_pairs_have_no_test(n):
    a, b = samples()
    result = compare(a[:n], b[:n])
    assert result.n == n
    assert all(math.isnan(getattr(result, name)) for name in TESTS)


@pytest.mark.parametrize("n", [2, 3, 4, 8])
def test_small_samples_warn_of_nothing(n):
    for seed in range(5):
        random = np.random.default_rng(seed)
        a, b = random.integers(0, 3, (2, n)).astype(float)
        result = compare(a, b, resamples=999)
        assert 0 <= result.p_t <= 1
        assert 0 <= result.p_wilcoxon <= 1
        assert result.ci_low <= result.difference <= result.ci_high


def test_a_thousand_pairs_are_fine():
    a, b = samples(1000, gain=1.0)
    result = compare(a, b)
    assert result.p_t < 1e-100
    assert result.ci_low == pytest.approx(result.difference, abs=0.1)


def test_patients_are_averaged_first():
    a, b = samples()
    subjects = [f"patient{i // 4:03d}" for i in range(40)]
    result = compare_patients(a, b, subjects)
    assert result.n == 10
    assert result == compare(a.reshape(10, 4).mean(axis=1), b.reshape(10, 4).mean(axis=1))


def test_a_pair_that_one_method_lacks_leaves_both_means():
    a, b = np.array([1.0, 5.0, 2.0, 3.0, 9.0]), np.array([1.0, math.nan, 2.0, 3.0, math.nan])
    result = compare_patients(a, b, ["p1", "p1", "p2", "p2", "p3"])
    assert (result.n, result.dropped) == (2, 2)
    assert (result.mean_a, result.mean_b, result.p_t) == (1.75, 1.75, 1)


def test_means_by_subject_keep_the_order_and_the_gaps():
    means = mean_by_subject([1.0, 2.0, 3.0, math.nan], ["b", "a", "b", "c"])
    assert list(means) == ["b", "a", "c"]
    assert (means["b"], means["a"]) == (2, 2)
    assert math.isnan(means["c"])
    assert mean_by_subject([], []) == {}


def test_bad_input_is_named():
    with pytest.raises(InputError, match="shapes differ"):
        compare([1.0], [1.0, 2.0])
    with pytest.raises(InputError, match="2 values for 1 subjects"):
        mean_by_subject([1.0, 2.0], ["a"])

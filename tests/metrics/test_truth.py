from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from common.errors import InputError
from common.metrics import auroc, endpoint_error, score_auroc, spearman, variance_calibration, variance_spearman
from common.metrics.ranks import mean_ranks


def test_endpoint_error_is_the_length_of_the_difference():
    truth = np.zeros((2, 4, 5), dtype=np.float32)
    ddf = truth + np.array([3, 4], dtype=np.float32)[:, None, None]
    assert endpoint_error(ddf, truth) == 5
    assert endpoint_error(truth, truth) == 0
    ddf[:, 0] = 0
    assert endpoint_error(ddf, truth) == pytest.approx(3.75)
    mask = np.zeros((4, 5))
    mask[0] = 1
    assert endpoint_error(ddf, truth, mask) == 0
    assert math.isnan(endpoint_error(ddf, truth, np.zeros((4, 5))))
    ddf[0, 0, 0] = math.nan
    assert math.isnan(endpoint_error(ddf, truth))


def test_endpoint_error_in_3d():
    truth = np.zeros((3, 3, 3, 3))
    assert endpoint_error(truth + np.reshape([1, 2, 2], (3, 1, 1, 1)), truth) == 3


def test_endpoint_error_names_what_does_not_fit():
    with pytest.raises(InputError, match="truth"):
        endpoint_error(np.zeros((2, 4, 5)), np.zeros((2, 5, 4)))
    with pytest.raises(InputError, match="mask"):
        endpoint_error(np.zeros((2, 4, 5)), np.zeros((2, 4, 5)), np.ones((5, 4)))


@pytest.mark.parametrize("levels", [1, 5, 100000])
def test_ranks_agree_with_scipy(levels):
    values = np.random.default_rng(0).integers(0, levels, 500).astype(np.float32)
    assert np.array_equal(mean_ranks(values), stats.rankdata(values))


def test_spearman_agrees_with_scipy_with_ties():
    random = np.random.default_rng(0)
    a = random.integers(0, 6, (20, 20))
    b = a + random.integers(0, 6, (20, 20))
    assert spearman(a, b) == pytest.approx(stats.spearmanr(a.ravel(), b.ravel()).statistic)


def test_spearman_of_a_monotone_map_is_one():
    x = np.linspace(-2, 2, 50).reshape(5, 10)
    assert spearman(x, np.exp(x)) == pytest.approx(1)
    assert spearman(x, -x) == pytest.approx(-1)


def test_spearman_that_cannot_be_computed():
    for values in ([1.0, 1.0, 1.0], [1.0, math.nan, 2.0]):
        assert math.isnan(spearman(values, [1.0, 2.0, 3.0]))
    assert math.isnan(spearman([1.0], [2.0]))


def test_a_variance_and_its_logarithm_have_the_same_ranks():
    variance = np.random.default_rng(0).gamma(2.0, 1.0, (8, 8))
    assert variance_spearman(np.log(variance), variance) == pytest.approx(1)
    assert math.isnan(variance_spearman(np.log(variance), np.ones((8, 8))))


def test_a_true_variance_is_calibrated():
    random = np.random.default_rng(0)
    variance = random.gamma(2.0, 0.01, 40000)
    squared = random.normal(0, np.sqrt(variance)) ** 2
    result = variance_calibration(squared, np.log(variance))
    assert result.ratio == pytest.approx(1, abs=0.05)
    assert result.slope == pytest.approx(1, abs=0.05)
    np.testing.assert_allclose(result.predicted, result.observed, rtol=0.15)
    assert variance_calibration(squared, np.log(variance / 4)).ratio == pytest.approx(4 * result.ratio)
    assert variance_calibration(squared, 2 * np.log(variance)).slope == pytest.approx(0.5, abs=0.05)


def test_calibration_by_hand():
    result = variance_calibration([1.0, 4.0], np.log([1.0, 8.0]))
    assert result.ratio == pytest.approx(0.75)  # the mean of 1 / 1 and 4 / 8
    assert result.slope == pytest.approx(math.log(4) / math.log(8))
    assert variance_calibration(np.ones(40), np.arange(40.0)).predicted.size == 10


def test_calibration_that_cannot_be_computed():
    assert math.isnan(variance_calibration([], []).ratio)
    assert math.isnan(variance_calibration([1.0, math.nan], [0.0, 1.0]).ratio)
    constant = variance_calibration(np.full(40, 0.3), np.full(40, math.log(0.3)))
    assert constant.ratio == pytest.approx(1)
    assert math.isnan(constant.slope)
    assert math.isnan(variance_calibration(np.zeros(40), np.linspace(0, 1, 40)).slope)
    with pytest.raises(InputError, match="bin"):
        variance_calibration([1.0], [1.0], bins=0)


def test_auroc_by_hand():
    assert auroc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]) == 0.75
    assert auroc([1, 2, 3, 4], [0, 0, 1, 1]) == 1
    assert auroc([5, 5, 5, 5], [0, 0, 1, 1]) == 0.5


def test_auroc_counts_pairs_with_ties():
    random = np.random.default_rng(0)
    values, labels = random.integers(0, 5, 60), random.random(60) > 0.6
    wins = values[labels][:, None] - values[~labels]
    assert auroc(values, labels) == pytest.approx(np.mean((wins > 0) + 0.5 * (wins == 0)))


def test_auroc_needs_both_classes():
    assert math.isnan(auroc([1.0, 2.0], [0, 0]))
    assert math.isnan(auroc([1.0, 2.0], [1, 1]))
    assert math.isnan(auroc([1.0, math.nan], [0, 1]))


@pytest.mark.parametrize("kind", [np.float32, np.uint8])
def test_a_low_score_finds_non_correspondence(kind):
    score = np.array([[9, 8], [1, 0]], dtype=kind)
    assert score_auroc(score, [[0, 0], [1, 1]]) == 1
    assert score_auroc(score, [[1, 1], [0, 0]]) == 0
    assert math.isnan(score_auroc(score, np.zeros((2, 2))))

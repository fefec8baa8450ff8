from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate

from common.errors import InputError
from common.metrics import METRICS, sparsification, spearman


def example(seed: int = 0, size: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    variance = random.gamma(2.0, 1.0, size)
    return random.normal(0, np.sqrt(variance)) ** 2, variance


def test_the_oracle_has_no_error():
    error, _ = example()
    curve = sparsification(error, error)
    assert curve.ause == 0
    assert curve.aurg > 0


def test_a_good_ranking_gains_and_its_inverse_loses():
    error, variance = example()
    good, bad = sparsification(error, variance), sparsification(error, -variance)
    assert good.aurg > 0 > bad.aurg
    assert 0 < good.ause < bad.ause


def test_four_pixels_by_hand():
    curve = sparsification([[1.0, 2.0], [3.0, 6.0]], [[1, 2], [4, 3]], steps=2)
    # Half of the pixels: the percentile between the second and third keeps floor(3 / 2) + 1 = 2 of 4.
    assert curve.fraction.tolist() == [0, 0.5, 1]
    assert curve.model.tolist() == curve.oracle.tolist() == [3, 1.5, 0]
    assert curve.random.tolist() == [3, 3, 0]
    curve = sparsification([1.0, 2.0, 3.0, 6.0], [4, 3, 2, 1], steps=2)
    assert curve.model.tolist() == [3, 4.5, 0]
    assert curve.ause == pytest.approx(0.5 * (4.5 - 1.5))
    assert curve.aurg == pytest.approx(0.5 * (3 - 4.5))


def test_it_equals_the_percentile_loop():
    error, variance = example(size=2001)
    curve = sparsification(error, variance)
    for step in range(50):
        kept = variance <= np.percentile(variance, 100 * (1 - step / 50)) * (1 + 1e-12)
        assert curve.model[step] == pytest.approx(error[kept].mean())
    assert curve.model[-1] == 0
    areas = [integrate.trapezoid(values, curve.fraction) for values in (curve.model, curve.oracle, curve.random)]
    assert (curve.ause, curve.aurg) == pytest.approx((areas[0] - areas[1], areas[2] - areas[0]))


@pytest.mark.parametrize("transform", [np.log, np.sqrt, lambda x: 3 * x - 7])
def test_only_the_ranks_matter(transform):
    error, variance = example()
    one, other = sparsification(error, variance), sparsification(error, transform(variance))
    np.testing.assert_array_equal(one.model, other.model)


def test_a_constant_uncertainty_is_no_better_than_chance():
    error, _ = example()
    curve = sparsification(error, np.ones_like(error))
    assert curve.aurg == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(curve.model, curve.random)


def test_ties_do_not_depend_on_the_order_of_the_pixels():
    error, variance = example()
    coarse = np.round(variance)
    order = np.random.default_rng(1).permutation(error.size)
    np.testing.assert_allclose(
        sparsification(error, coarse).model, sparsification(error[order], coarse[order]).model, rtol=1e-12
    )


def test_a_tie_is_the_mean_over_its_orders():
    error, variance = example(size=400)
    coarse = np.round(variance)
    random = np.random.default_rng(0)
    broken = [sparsification(error, coarse + 1e-3 * random.random(error.size)).model for _ in range(600)]
    np.testing.assert_allclose(np.mean(broken, axis=0), sparsification(error, coarse).model, rtol=0.02)


@pytest.mark.parametrize("size", [1, 2, 7, 49])
def test_fewer_pixels_than_steps(size):
    error, variance = example(size=size)
    curve = sparsification(error, variance)
    assert len(curve.model) == 51
    assert np.isfinite(curve.model).all()
    assert curve.model[0] == pytest.approx(error.mean())
    assert curve.ause >= 0


def test_single_precision_is_enough():
    error, variance = example(size=20000)
    one, other = sparsification(error, variance), sparsification(error.astype("f4"), variance.astype("f4"))
    np.testing.assert_allclose(one.model, other.model, rtol=1e-3)


def test_what_cannot_be_computed_is_not_a_number():
    for error, variance in (([], []), ([1.0, math.nan], [1, 2]), ([1.0, 2.0], [1, math.inf])):
        curve = sparsification(error, variance)
        assert math.isnan(curve.ause)
        assert math.isnan(curve.aurg)
        assert len(curve.model) == 51


def test_bad_input_is_named():
    with pytest.raises(InputError, match="shapes differ"):
        sparsification([1.0, 2.0], [1.0])
    with pytest.raises(InputError, match="step"):
        sparsification([1.0], [1.0], steps=0)


def test_the_table_has_both_areas_and_the_rank_correlation():
    error, variance = example()
    curve = sparsification(error, variance)
    assert METRICS["ause"].function(error, variance) == curve.ause
    assert METRICS["aurg"].function(error, variance) == curve.aurg
    assert METRICS["spearman"].function(error, variance) == spearman(error, variance)

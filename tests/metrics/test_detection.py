from __future__ import annotations

from math import isnan

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from common.errors import InputError
from common.metrics import METRICS, auroc, border_band, error_auroc, error_auroc_band


def square(size: int = 15, start: int = 5, stop: int = 10) -> np.ndarray:
    label = np.zeros((size, size), np.uint8)
    label[start:stop, start:stop] = 1
    return label


def test_the_band_by_hand() -> None:
    line = np.array([[0, 0, 0, 0, 0, 1, 1, 1, 1, 1]])
    assert border_band(line, 0).tolist() == [[i in (4, 5) for i in range(10)]]
    assert border_band(line, 1).tolist() == [[i in (3, 4, 5, 6) for i in range(10)]]
    assert border_band(line).tolist() == [[1 <= i <= 8 for i in range(10)]]
    corner = np.zeros((9, 9), int)
    corner[4, 4] = 2
    # the voxel and its four neighbours are border; (1, 1) is at sqrt(2^2 + 3^2) > 3 of the nearest, (3, 4)
    band = border_band(corner)
    assert band[0, 4] and band[2, 2] and not band[1, 1] and not band[0, 0]


def test_the_band_lies_on_both_sides_between_structures_too_and_not_at_the_edge() -> None:
    assert not border_band(np.ones((6, 6))).any()
    touching = np.repeat([[1] * 6 + [2] * 6], 12, axis=0)
    assert border_band(touching, 0).sum() == 24
    assert border_band(touching, 0)[:, [5, 6]].all()


@pytest.mark.parametrize("shape", [(23, 17), (11, 13, 9)])
def test_the_band_is_the_distance_to_all_borders(shape: tuple[int, ...]) -> None:
    label = np.zeros(shape, int)
    label[tuple(slice(3, 7) for _ in shape)] = 1
    label[(0, *(slice(2, 6) for _ in shape[1:]))] = 2
    border = border_band(label, 0)
    assert np.array_equal(border_band(label, 2.5), distance_transform_edt(~border) <= 2.5)
    assert np.array_equal(border_band(np.swapaxes(label, 0, 1)), np.swapaxes(border_band(label), 0, 1))


def test_by_hand() -> None:
    fixed = np.array([[0, 0, 1, 1]])
    warped = np.array([[0, 1, 1, 2]])  # wrong at 1 and 3
    # of the 4 (wrong, right) pairs, wrong is higher in: (0.5, 0.1), (0.4, 0.1) and half a tie at (0.4, 0.4)
    assert error_auroc([[0.1, 0.4, 0.4, 0.5]], warped, fixed) == pytest.approx((1 + 1 + 1 + 0.5) / 4)


def test_extremes_and_invariances() -> None:
    fixed, warped = square(), square(start=6, stop=11)
    wrong = (fixed != warped).astype(float)
    random = np.random.default_rng(0).random(fixed.shape)
    for function in (error_auroc, error_auroc_band):
        assert function(wrong, warped, fixed) == 1
        assert function(-wrong, warped, fixed) == 0
        assert function(np.zeros(fixed.shape), warped, fixed) == 0.5
        assert function(random, warped, fixed) == pytest.approx(function(np.exp(3 * random), warped, fixed))
        assert function(random, warped, fixed) == pytest.approx(1 - function(-random, warped, fixed))


def test_the_band_ignores_what_is_far() -> None:
    fixed, warped = square(31, 12, 18), square(31, 13, 19)
    near = border_band(fixed)
    high_near_structures = near.astype(float)
    assert error_auroc(high_near_structures, warped, fixed) > 0.8
    assert error_auroc_band(high_near_structures, warped, fixed) == 0.5
    noise = np.random.default_rng(1).random(fixed.shape)
    expected = auroc(noise[near], (warped != fixed)[near])
    assert error_auroc_band(noise, warped, fixed) == expected
    assert error_auroc_band(np.where(near, noise, 9.0), warped, fixed) == expected


def test_nan_without_errors_labels_or_numbers() -> None:
    fixed, empty = square(), np.zeros((15, 15), np.uint8)
    assert isnan(error_auroc(np.zeros((15, 15)), fixed, fixed))
    assert isnan(error_auroc(np.full((15, 15), np.nan), empty, fixed))
    assert isnan(error_auroc_band(np.zeros((15, 15)), fixed, empty))  # no border of the fixed label
    assert error_auroc(fixed, fixed, empty) == 1


def test_misfits_are_refused() -> None:
    with pytest.raises(InputError, match="shapes differ"):
        error_auroc(np.zeros((4, 4)), square(), square())
    with pytest.raises(InputError, match="-1"):
        border_band(square(), -1)


def test_table_has_both() -> None:
    assert METRICS["error_auroc"].higher_is_better and METRICS["error_auroc_band"].function is error_auroc_band


def test_padding_is_left_out_and_its_edge_is_no_border() -> None:
    fixed = np.zeros((12, 16), np.uint8)
    fixed[3:8, 6:12] = 1  # runs up to the padding, where there is no label
    mask = np.ones(fixed.shape, np.uint8)
    mask[:, 12:] = 0
    band = border_band(fixed, 1, mask)
    assert not band[:, 12:].any() and not band[5, 10:].any() and border_band(fixed, 1)[5, 10:].any()
    assert np.array_equal(band[:, :12], border_band(fixed[:, :12], 1))
    rng = np.random.default_rng(0)
    warped, uncertainty = np.roll(fixed, 1, 0), rng.random(fixed.shape)
    inside = [each[:, :12] for each in (uncertainty, warped, fixed)]
    for function in (error_auroc, error_auroc_band):
        assert function(uncertainty, warped, fixed, mask=mask) == pytest.approx(function(*inside))
    with pytest.raises(InputError, match="shapes differ"):
        error_auroc(uncertainty, warped, fixed, mask.T)

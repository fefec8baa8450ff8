from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from common.errors import InputError
from common.interfaces import Deformation, Pair
from common.losses import NCCObjective
from common.metrics import METRICS, mean_squared_error, mutual_information, nlcc

ALL = (mean_squared_error, nlcc, mutual_information)


def images(shape: tuple[int, ...] = (20, 18), seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    fixed = rng.random(shape).astype(np.float32)
    return (0.7 * fixed + 0.3 * rng.random(shape)).astype(np.float32), fixed


def test_a_constant_difference_has_its_square() -> None:
    fixed = np.zeros((4, 5), np.float32)
    assert mean_squared_error(fixed + 0.5, fixed) == 0.25
    assert mean_squared_error(np.float16([300.0]), np.float16([0.0])) == 90000  # beyond half precision
    half = np.arange(20).reshape(4, 5) < 10
    assert mean_squared_error(0.5 * half, fixed) == 0.125
    assert mean_squared_error(0.5 * half, fixed, half) == 0.25


@pytest.mark.parametrize("shape", [(20, 18), (9, 12, 7)])
@pytest.mark.parametrize("window", [5, 9])
@pytest.mark.parametrize("masked", [False, True])
def test_the_local_correlation_is_that_of_the_loss(shape: tuple[int, ...], window: int, masked: bool) -> None:
    warped, fixed = images(shape)
    mask = (np.arange(fixed.size).reshape(shape) % 3 > 0) if masked else None
    tensors = [None if each is None else torch.tensor(each)[None, None].float() for each in (warped, fixed, mask)]
    ours, true, kept = tensors
    loss = NCCObjective(window=window).data(Pair(ours, true, mask=kept), Deformation(ours, warped=ours), None)
    assert nlcc(warped, fixed, mask, window) == pytest.approx(-loss.item(), rel=1e-6)


def test_the_local_correlation_by_its_sums() -> None:
    warped, fixed = images((11, 9))
    a, b = (np.pad(each.astype(float), 2) for each in (warped, fixed))
    windows = [(a[i : i + 5, j : j + 5], b[i : i + 5, j : j + 5]) for i in range(11) for j in range(9)]
    centred = [(u - u.mean(), v - v.mean()) for u, v in windows]
    values = [(u * v).sum() ** 2 / ((u**2).sum() * (v**2).sum()) for u, v in centred]
    assert nlcc(warped, fixed) == pytest.approx(np.mean(values), rel=1e-4)
    assert nlcc(0.5 * fixed, fixed) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("k", [2, 5, 100])
def test_identical_images_of_k_equally_frequent_values_share_log_k(k: int) -> None:
    image = np.repeat(np.arange(k) / max(k - 1, 1), 12).reshape(k, 12)
    assert mutual_information(image, image) == pytest.approx(math.log(k))
    assert mutual_information(1 - 0.3 * image, image) == pytest.approx(math.log(k))  # whatever the contrast


def test_independent_images_share_nothing() -> None:
    rows, columns = np.meshgrid(np.arange(10) / 9, np.arange(12) / 11)
    assert mutual_information(rows, columns) == pytest.approx(0, abs=1e-12)
    assert mutual_information(rows, np.ones_like(rows)) == pytest.approx(0, abs=1e-12)
    rng = np.random.default_rng(0)
    assert mutual_information(rng.random(400_000), rng.random(400_000)) < 0.02


@pytest.mark.parametrize("metric", [mean_squared_error, mutual_information])
def test_what_the_mask_leaves_out_does_not_matter(metric) -> None:
    warped, fixed = images()
    mask = np.zeros(fixed.shape, np.uint8)
    mask[3:-3, 4:-4] = 1
    value = metric(warped, fixed, mask)
    assert value == pytest.approx(metric(warped[mask > 0], fixed[mask > 0]))
    assert value == metric(np.where(mask, warped, np.nan), np.where(mask, fixed, 7), mask)


@pytest.mark.parametrize("metric", ALL)
def test_nothing_to_count_is_not_a_number(metric) -> None:
    warped, fixed = images()
    assert math.isnan(metric(warped, fixed, np.zeros_like(fixed)))
    assert math.isnan(metric(np.full_like(fixed, np.nan), fixed))
    with pytest.raises(InputError, match="shapes differ"):
        metric(warped, fixed.T)
    with pytest.raises(InputError, match="shapes differ"):
        metric(warped, fixed, fixed.T)


def test_settings_that_cannot_be_are_named() -> None:
    warped, fixed = images()
    with pytest.raises(InputError, match="windows of 4 voxels"):
        nlcc(warped, fixed, window=4)
    with pytest.raises(InputError, match="1 bins"):
        mutual_information(warped, fixed, bins=1)


def test_the_table_knows_them() -> None:
    warped, fixed = images()
    assert [METRICS[name].function(warped, fixed) for name in ("mse", "nlcc", "mi")] == [m(warped, fixed) for m in ALL]
    assert [METRICS[name].higher_is_better for name in ("mse", "nlcc", "mi")] == [False, True, True]

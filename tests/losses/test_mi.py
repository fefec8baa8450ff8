"""common.losses.MIObjective: the histogram by loops, closed forms, and images without information."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline
from torch import Tensor

from common.errors import InputError
from common.interfaces import Deformation, Pair
from common.losses import MIObjective
from common.losses.mi import joint_histogram, mutual_information

SPLINE = BSpline.basis_element([-2, -1, 0, 1, 2], extrapolate=False)


def by_loops(first: Tensor, second: Tensor, bins: int, mask: np.ndarray | None = None) -> np.ndarray:
    """The joint histogram of one pair: the value 0 is the middle of the second bin, 1 that of the last but one."""
    a, b = (image.numpy().astype(np.float64).ravel() for image in (first, second))
    counts = np.ones_like(a) if mask is None else mask.ravel()
    found = np.zeros((bins, bins))
    for x, y, count in zip(a, b, counts):
        shares = [np.nan_to_num(SPLINE(np.arange(bins) - (1 + value * (bins - 3)))) for value in (x, y)]
        found += count * np.outer(*shares)
    return found


def information(histogram: np.ndarray) -> float:
    joint = histogram / histogram.sum()
    product = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    there = joint > 0
    return float((joint[there] * np.log(joint[there] / product[there])).sum())


@pytest.mark.parametrize("bins", [4, 8, 32])
@pytest.mark.parametrize("size", [(6, 7), (4, 3, 5)])
def test_histogram_and_information_as_by_loops(bins: int, size: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.rand(2, 1, *size, generator=generator) for _ in range(2))
    first[..., 0], second[..., 0] = 0.0, 1.0  # both ends too
    histogram, found = joint_histogram(first, second, bins, None), mutual_information(first, second, bins)
    for i in range(2):
        expected = by_loops(first[i], second[i], bins)
        assert np.allclose(histogram[i].numpy(), expected, atol=1e-5)
        assert found[i].item() == pytest.approx(information(expected), abs=1e-5)


def test_only_the_mask_counts() -> None:
    first, second, mask = torch.rand(2, 1, 6, 7), torch.rand(2, 1, 6, 7), (torch.rand(2, 1, 6, 7) > 0.4).float()
    expected = np.mean([information(by_loops(first[i], second[i], 32, mask[i].numpy())) for i in range(2)])
    deformation = Deformation(torch.zeros(2, 2, 6, 7), warped=first)
    terms = MIObjective(0.0).displacement_loss(Pair(first, second, mask=mask), deformation)
    assert terms["loss"].item() == pytest.approx(-expected, abs=1e-5)
    nothing = mutual_information(first, second, mask=torch.zeros_like(mask))
    assert torch.equal(nothing, torch.zeros(2))


@pytest.mark.parametrize("share", [0.5, 0.25, 0.1])
def test_of_two_values_it_is_their_entropy(share: float) -> None:
    image = (torch.arange(100) < 100 * share).float().view(1, 1, 10, 10)
    entropy = -share * math.log(share) - (1 - share) * math.log(1 - share)
    for other in (image, 1 - image, 0.2 + 0.6 * image):
        assert mutual_information(image, other).item() == pytest.approx(entropy, abs=1e-5)


def test_of_a_table_of_two_by_two_by_hand() -> None:
    first = torch.tensor([0.0] * 6 + [1.0] * 4).view(1, 1, 2, 5)
    second = torch.tensor([0.0] * 4 + [1.0] * 2 + [0.0] + [1.0] * 3).view(1, 1, 2, 5)
    table = np.array([[0.4, 0.2], [0.1, 0.3]])
    assert information(table) == pytest.approx(0.0863046, abs=1e-6)  # 0.4 log 4/3 + ... + 0.3 log 3/2
    assert mutual_information(first, second).item() == pytest.approx(0.0863046, abs=1e-5)


def test_an_image_knows_most_about_itself() -> None:
    image, noise = torch.rand(1, 1, 64, 64), torch.rand(1, 1, 64, 64)
    itself, inverted, blend, other = (
        mutual_information(image, y) for y in (image, 1 - image, (image + noise) / 2, noise)
    )
    assert itself > blend > other > 0
    assert torch.allclose(itself, inverted, atol=1e-5)
    assert other < 0.2 < 1 < itself


@pytest.mark.parametrize("value", [0.0, 0.37, 1.0])
def test_a_constant_image_shares_nothing(value: float) -> None:
    image = torch.rand(2, 1, 20, 20)
    for pair in ((torch.full_like(image, value), image), (image, torch.full_like(image, value))):
        assert mutual_information(*pair).abs().max() < 1e-6


def test_it_is_symmetric_and_of_each_sample() -> None:
    first, second = torch.rand(3, 1, 16, 16), torch.rand(3, 1, 16, 16)
    found = mutual_information(first, second)
    assert torch.allclose(found, mutual_information(second, first), atol=1e-6)
    assert torch.allclose(found[1:2], mutual_information(first[1:2], second[1:2]), atol=1e-6)


def test_values_outside_count_as_the_nearer_end() -> None:
    first, second = torch.rand(1, 1, 16, 16) * 3 - 1, torch.rand(1, 1, 16, 16)
    assert torch.equal(mutual_information(first, second), mutual_information(first.clamp(0, 1), second))


def test_voxels_of_a_volume_are_not_lost_in_rounding() -> None:
    first = torch.zeros(1, 1, 96, 96, 96)
    first[..., 48:] = torch.rand(48)
    histogram = joint_histogram(first, first.flip(2), 32, None)
    assert histogram.sum().item() == pytest.approx(96**3, rel=5e-4)
    assert histogram[0, 1, 1].item() >= 96**3 / 2 * 4 / 9 * 0.9995


@pytest.mark.parametrize("size", [(12, 13), (5, 6, 4)])
def test_extremes_are_finite(size: tuple[int, ...], check_finite: Callable) -> None:
    check_finite(MIObjective(), size)


def test_gradient_is_that_of_finite_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.rand(1, 1, 16, 16, generator=generator) for _ in range(2))
    first = (0.1 + 0.8 * first).requires_grad_()
    (gradient,) = torch.autograd.grad(mutual_information(first, second, bins=8), first)
    step = 0.05 * gradient / gradient.norm()
    with torch.no_grad():
        ends = [mutual_information(first + sign * step, second, bins=8).item() for sign in (1, -1)]
    assert gradient.norm().item() == pytest.approx((ends[0] - ends[1]) / (2 * 0.05), rel=0.02)


def test_low_precision_images_are_counted_in_float32() -> None:
    first, second = (torch.rand(1, 1, 12, 12).bfloat16() for _ in range(2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = mutual_information(first, second)
    assert found.dtype == torch.float32
    assert torch.equal(found, mutual_information(first.float(), second.float()))


def test_too_few_bins_are_refused() -> None:
    with pytest.raises(InputError, match="bins is 3: a histogram must have 4 or more"):
        MIObjective(bins=3)

"""common.losses.NCCObjective: windows by loops, its limits, and images without structure."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from common.errors import InputError
from common.interfaces import Deformation, Pair
from common.losses import NCCObjective
from common.similarity import squared_correlation

SIZES = pytest.mark.parametrize(("size", "window"), [((7, 9), 5), ((8, 4), 9), ((5, 6, 4), 3), ((6, 5, 1), 3)])


def by_loops(first: Tensor, second: Tensor, window: int) -> np.ndarray:
    a, b = (np.pad(image[0, 0].numpy().astype(np.float64), window // 2) for image in (first, second))
    found = np.zeros(first.shape[2:])
    for place in np.ndindex(*found.shape):
        box = tuple(slice(start, start + window) for start in place)
        x, y = a[box] - a[box].mean(), b[box] - b[box].mean()
        found[place] = (x * y).sum() ** 2 / ((x * x).sum() * (y * y).sum() + 1e-5)
    return found


@SIZES
def test_every_window_as_by_loops(size: tuple[int, ...], window: int) -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.rand(1, 1, *size, generator=generator) for _ in range(2))
    second = 0.5 * second + 0.5 * first
    found = squared_correlation(first, second, window)
    assert found.shape == first.shape
    assert np.allclose(found[0, 0].numpy(), by_loops(first, second, window), atol=1e-4)


def test_the_loss_is_minus_the_mean_over_the_mask() -> None:
    first, second, mask = torch.rand(1, 1, 7, 9), torch.rand(1, 1, 7, 9), torch.zeros(1, 1, 7, 9)
    mask[..., 2:5, 3:8] = 1
    deformation = Deformation(torch.zeros(1, 2, 7, 9), warped=first)
    terms = NCCObjective(0.0, window=5).displacement_loss(Pair(first, second, mask=mask), deformation)
    expected = by_loops(first, second, 5)[2:5, 3:8].mean()
    assert terms["loss"].item() == terms["data"].item() == pytest.approx(-expected, abs=1e-5)


@pytest.mark.parametrize(("gain", "offset"), [(1.0, 0.0), (0.6, 0.2), (-1.0, 1.0), (-0.5, 0.9)])
@pytest.mark.parametrize("size", [(20, 24), (12, 11, 13)])
def test_contrast_and_brightness_do_not_count(gain: float, offset: float, size: tuple[int, ...]) -> None:
    image = torch.rand(1, 1, *size)
    inner = (..., *[slice(4, -4)] * len(size))  # the zeros that continue an image know of no offset
    found = squared_correlation(image, gain * image + offset, 9)
    assert found[inner].min() > 0.999
    assert found.max() <= 1


def test_a_multiple_of_an_image_has_the_least_loss() -> None:
    image = torch.rand(2, 1, 20, 24)
    deformation = Deformation(torch.zeros(2, 2, 20, 24), warped=0.5 * image)
    data = NCCObjective().displacement_loss(Pair(image, image), deformation)["data"]
    assert data.item() == pytest.approx(-1, abs=1e-3)


@pytest.mark.parametrize("window", [5, 9])
def test_of_noise_the_mean_is_that_of_its_degrees_of_freedom(window: int) -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(4, 1, 128, 128, generator=generator) for _ in range(2))
    inner = (..., slice(4, -4), slice(4, -4))
    found = squared_correlation(first, second, window)[inner].mean()
    assert found.item() == pytest.approx(1 / (window**2 - 1), rel=0.1)


def test_structure_counts_half_where_its_square_is_the_threshold() -> None:
    """One voxel of v has a summed square of 8/9 v^2 in a window of 3 x 3; that of both images together is 1e-5 here."""
    image = torch.zeros(1, 1, 9, 9)
    image[..., 4, 4] = (9 / 8 * 1e-5**0.5) ** 0.5
    assert squared_correlation(image, image, 3)[..., 3:6, 3:6] == pytest.approx(np.full((1, 1, 3, 3), 0.5), rel=1e-3)


@pytest.mark.parametrize("level", [0.1, 0.3, 0.7, 0.9])
def test_rounding_of_a_flat_image_makes_no_correlation_negative(level: float) -> None:
    image = torch.rand(1, 1, 40, 40, generator=torch.Generator().manual_seed(0))
    flat = torch.full_like(image, level)
    for found in (squared_correlation(flat, image, 9), squared_correlation(image, flat, 9)):
        assert found.min() >= 0
        assert found[..., 4:-4, 4:-4].max() < 1e-3


def test_windows_have_nine_voxels_unless_told_otherwise() -> None:
    first, second = torch.rand(1, 1, 12, 11), torch.rand(1, 1, 12, 11)
    deformation = Deformation(torch.zeros(1, 2, 12, 11), warped=first)
    data = NCCObjective().displacement_loss(Pair(first, second), deformation)["data"]
    assert data.item() == pytest.approx(-by_loops(first, second, 9).mean(), abs=1e-4)


def test_a_constant_patch_correlates_with_nothing() -> None:
    first, second = torch.rand(1, 1, 24, 24), torch.rand(1, 1, 24, 24)
    first[..., 4:20, 4:20] = 0.7
    found = squared_correlation(first, second, 5)
    assert found[..., 6:18, 6:18].max() < 1e-3
    assert found[..., :3, :3].min() > 0


@pytest.mark.parametrize("size", [(12, 13), (5, 6, 4)])
def test_extremes_are_finite(size: tuple[int, ...], check_finite: Callable) -> None:
    check_finite(NCCObjective(), size)


def test_low_precision_images_are_correlated_in_float32() -> None:
    first, second = (torch.rand(1, 1, 12, 12).bfloat16() for _ in range(2))
    found = squared_correlation(first, second, 9)
    assert found.dtype == torch.float32
    assert torch.equal(found, squared_correlation(first.float(), second.float(), 9))


@pytest.mark.parametrize("window", [-3, 0, 1, 4])
def test_an_impossible_window_is_refused(window: int) -> None:
    with pytest.raises(InputError, match=f"window is {window}: it must be an odd number"):
        NCCObjective(window=window)

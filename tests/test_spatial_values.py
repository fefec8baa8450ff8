"""common.spatial at borders, with its defaults and in half precision: values known beforehand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from common.spatial import compose, integrate, invert, jacobian_determinant, resize_field, warp


def shift(*voxels: float, size: tuple[int, ...] = (9, 12)) -> Tensor:
    return torch.tensor(voxels).view(1, -1, *[1] * len(size)).expand(1, len(voxels), *size).clone()


def test_shifts_add_up_integrate_to_themselves_and_turn_round_up_to_the_border() -> None:
    assert torch.allclose(compose(shift(3.0, -2.0), shift(1.0, 4.0)), shift(4.0, 2.0))
    assert torch.allclose(integrate(shift(3.0, -2.0)), shift(3.0, -2.0), atol=1e-5)
    assert torch.allclose(invert(shift(3.0, -2.0)), shift(-3.0, 2.0))


def test_a_field_goes_on_outside_as_it_ends() -> None:
    first = shift(0.0, 0.0)
    first[:, 1] = torch.arange(12.0)
    last = torch.arange(3.0, 15.0).clamp(max=11)  # neither zero nor mirrored
    assert torch.allclose(compose(first, shift(0.0, 3.0))[0, 1, 4], last + 3, atol=1e-4)


def test_seven_squarings_and_twenty_iterations_unless_told_otherwise() -> None:
    here = torch.arange(-10.0, 11.0).view(1, 1, 1, -1).expand(1, 1, 21, 21)
    field = torch.cat([torch.zeros_like(here), 0.7 * here], dim=1)
    assert torch.equal(integrate(field), integrate(field, steps=7))
    assert not torch.allclose(integrate(field), integrate(field, steps=6), atol=1e-3)
    # the fixed point's error shrinks to 0.7 of itself in each of the iterations
    found, exact = invert(field)[0, 1, 10, -1].item(), -0.7 * 10 / 1.7
    assert found == pytest.approx(exact * (1 - 0.7**20), abs=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_field_in_half_precision_is_computed_with_in_float32(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    image, ddf = torch.rand(1, 1, 31, 40), (3 * torch.rand(1, 2, 31, 40)).to(dtype)
    assert torch.equal(warp(image, ddf), warp(image, ddf.float()))
    assert torch.equal(integrate(ddf), integrate(ddf.float()))
    assert torch.equal(jacobian_determinant(ddf), jacobian_determinant(ddf.float()))
    for size in ([31, 40], [16, 20]):
        assert resize_field(ddf, size).dtype == torch.float32
        assert torch.equal(resize_field(ddf, size), resize_field(ddf.float(), size))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_field_of_other_dimensions_is_refused(channels: int) -> None:
    with pytest.raises(ValueError, match="does not fit an image of shape"):
        warp(torch.rand(1, 1, 9, 9), torch.zeros(1, channels, 9, 9))

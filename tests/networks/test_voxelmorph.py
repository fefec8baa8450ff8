"""common.networks.VoxelMorph: sizes, its start at the identity, its way back, its precision."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from common.errors import InputError
from common.networks import VoxelMorph
from common.spatial import compose, jacobian_determinant

SIZES = pytest.mark.parametrize("size", [(32, 40), (31, 17), (6, 33), (16, 18, 9), (12, 20, 1), (2, 3, 17)])
KINDS = [{}, {"half_resolution_decoder": True}, {"diffeomorphic": False}]
KINDS += [{"diffeomorphic": False, "half_resolution_decoder": True}]


def moving_network(dims: int, **options: bool) -> VoxelMorph:
    """A network whose field is not small, and smooth as a trained one's: few channels decide, weakly."""
    torch.manual_seed(0)
    network = VoxelMorph(dims, **options)
    nn.init.normal_(network.flow.weight, std=0.1)
    nn.init.constant_(network.flow.bias, 1.5)
    return network


def images(size: tuple[int, ...], batch: int = 1) -> tuple[Tensor, Tensor]:
    return torch.rand(batch, 1, *size), torch.rand(batch, 1, *size)


@pytest.mark.parametrize(("dims", "count"), [(2, 109_170), (3, 327_331)])
def test_number_of_parameters(dims: int, count: int) -> None:
    assert sum(p.numel() for p in VoxelMorph(dims).parameters()) == count


@pytest.mark.parametrize("options", KINDS)
@SIZES
def test_any_size_gives_a_field_of_that_size(size: tuple[int, ...], options: dict[str, bool]) -> None:
    deformation = moving_network(len(size), **options)(*images(size, batch=2))
    assert deformation.ddf.shape == (2, len(size), *size)
    assert deformation.ddf.isfinite().all()
    diffeomorphic = options.get("diffeomorphic", True)
    assert deformation.stride == (2 if diffeomorphic else 1)
    assert (deformation.dvf is not None) == diffeomorphic
    assert deformation.regularised.shape[2:] == torch.Size(
        [max((n + 1) // 2, min(n, 2)) if diffeomorphic else n for n in size]
    )


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize("size", [(32, 40), (16, 18, 9)])
def test_a_new_network_nearly_moves_nothing(size: tuple[int, ...], options: dict[str, bool]) -> None:
    torch.manual_seed(0)
    assert VoxelMorph(len(size), **options)(*images(size)).ddf.abs().max() < 1e-3


@pytest.mark.parametrize("size", [(32, 41), (16, 19, 24)])
def test_the_way_back_is_the_inverse(size: tuple[int, ...]) -> None:
    moving, fixed = images(size)
    network = moving_network(len(size))
    with torch.no_grad():
        forward = network(moving, fixed)
        backward = network.reverse(moving, fixed, forward)
    assert forward.ddf.abs().mean() > 0.5
    inner = (slice(None), slice(None), *[slice(4, -4)] * len(size))
    assert compose(forward.ddf, backward.ddf)[inner].abs().mean() < 0.05
    assert torch.equal(backward.dvf, -forward.dvf)
    assert jacobian_determinant(forward.ddf).min() > 0


def test_without_a_velocity_the_way_back_is_the_swapped_pair() -> None:
    moving, fixed = images((20, 24))
    network = moving_network(2, diffeomorphic=False)
    forward = network(moving, fixed)
    assert torch.equal(network.reverse(moving, fixed, forward).ddf, network(fixed, moving).ddf)


def test_each_axis_moves_in_its_own_voxels() -> None:
    network = moving_network(2)
    nn.init.zeros_(network.flow.weight)
    network.flow.bias.data = torch.tensor([2.0, -1.0])
    ddf = network(*images((33, 48))).ddf
    assert torch.allclose(ddf, torch.tensor([2.0, -1.0]).view(1, 2, 1, 1).expand_as(ddf), atol=1e-4)


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize("size", [(32, 40), (16, 18, 9)])
def test_fields_are_float32_under_autocast_and_close(size: tuple[int, ...], options: dict[str, bool]) -> None:
    network, pair = moving_network(len(size), **options), images(size)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = network(*pair)
        back = network.reverse(*pair, low)
    assert low.ddf.dtype == low.regularised.dtype == back.ddf.dtype == torch.float32
    assert (low.ddf - network(*pair).ddf).abs().max() < 0.02


@pytest.mark.parametrize("size", [(16, 2), (8, 2, 2)])
def test_an_axis_of_two_voxels_can_still_be_learned(size: tuple[int, ...]) -> None:
    network = VoxelMorph(len(size))
    ddf = network(*images(size)).ddf
    (gradient,) = torch.autograd.grad(ddf[:, -1].sum(), network.flow.bias)
    assert gradient[-1] != 0


def test_every_weight_is_trained() -> None:
    network = moving_network(2)
    network(*images((32, 32))).ddf.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in network.parameters())


def test_other_numbers_of_dimensions_are_refused() -> None:
    with pytest.raises(InputError, match="spatial_dims is 4"):
        VoxelMorph(4)

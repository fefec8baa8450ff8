"""common.networks.Pyramid: its levels and its way back, besides what test_architectures.py asks of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from common.errors import InputError
from common.networks import Cascaded, Pyramid
from common.spatial import compose, integrate, jacobian_determinant, resize_field


def told(dims: int, levels: list[float], **options: Any) -> Pyramid:
    """A network whose level k, the coarsest first, adds a motion of ``levels[k]`` of its voxels along every axis."""
    network = Pyramid(dims, **options).eval()
    for head, voxels in zip(network.flows, levels, strict=True):
        nn.init.zeros_(head.weight)
        nn.init.constant_(head.bias, voxels)
    return network


def images(size: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    moving, fixed = torch.rand(2, 1, 1, *size, generator=random)
    return moving, fixed


@pytest.mark.parametrize("size", [(48, 33), (16, 19, 24)])
def test_levels_add_up_in_voxels_of_half_the_resolution(size: tuple[int, ...]) -> None:
    found = told(len(size), [0.25, -0.5, 1.0, 0.75])(*images(size))
    torch.testing.assert_close(found.dvf, torch.full_like(found.dvf, 0.25 * 8 - 0.5 * 4 + 1.0 * 2 + 0.75))
    assert found.stride == 2 and found.features.shape[2:] == found.dvf.shape[2:]


def test_a_level_sees_moving_features_where_the_level_before_points() -> None:
    network, seen = told(2, [0.0, 1.0, 0.0, 0.0]), []
    network.decoder[2].register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    moving, _ = images((64, 64))
    network(moving, moving)
    there, here = seen[0][:, :32], seen[0][:, 32:64]  # at a quarter, one voxel of the level before is two
    torch.testing.assert_close(there[..., :-2, :-2], here[..., 2:, 2:], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(32, 41), (16, 19, 24)])
def test_the_way_back_is_the_inverse(size: tuple[int, ...]) -> None:
    network, pair = told(len(size), [0.1, 0.1, 0.2, 0.4]), images(size)
    torch.manual_seed(0)
    nn.init.normal_(network.flows[0].weight, std=0.01)
    with torch.no_grad():
        there = network(*pair)
        back = network.reverse(*pair, there)
    assert there.ddf.abs().mean() > 0.5 and jacobian_determinant(there.ddf).min() > 0
    assert torch.equal(back.dvf, -there.dvf)
    inner = (slice(None), slice(None), *[slice(4, -4)] * len(size))
    assert compose(there.ddf, back.ddf)[inner].abs().mean() < 0.05


@pytest.mark.parametrize("steps", [2, 7])
def test_a_velocity_is_integrated_in_as_many_steps_as_told(steps: int) -> None:
    network, pair = told(2, [0.1, 0.1, 0.2, 0.4], integration_steps=steps), images((32, 40))
    nn.init.normal_(network.flows[0].weight, std=0.02)
    found = network(*pair)
    torch.testing.assert_close(found.ddf, resize_field(integrate(found.dvf, steps), [32, 40]))


def test_cascades_sum_its_velocities() -> None:
    once = told(2, [0.0, 0.0, 0.0, 0.5])
    found = Cascaded(once, 2)(*images((32, 40)))
    torch.testing.assert_close(found.dvf, 2 * once(*images((32, 40))).dvf)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"spatial_dims": 4}, "spatial_dims is 4: it must be 2 or 3"),
        ({"width": 0}, "width is 0: it must be a whole number from 1 on"),
        ({"width": 1.5}, "width is 1.5: it must be a whole number from 1 on"),
        ({"encoder": (16,)}, "encoder is \\(16,\\): it must have the channels of 2 levels or more"),
    ],
)
def test_settings_that_it_cannot_have_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=f"^{said}"):
        Pyramid(**settings)


@pytest.mark.parametrize(("dims", "count"), [(2, 175_080), (3, 530_476)])
def test_number_of_parameters(dims: int, count: int) -> None:
    assert sum(p.numel() for p in Pyramid(dims).parameters()) == count

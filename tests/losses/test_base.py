"""common.losses.base: means, masks and smoothness, and the plain mean squared error made of them."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch

from common.engines.directions import both_directions
from common.errors import InputError
from common.interfaces import Deformation, Pair
from common.losses import (
    AdaCSObjective,
    AdaFrameObjective,
    AdaRegObjective,
    HeteroObjective,
    MIObjective,
    MSEObjective,
    NCCObjective,
    NLLObjective,
    Objective,
)
from common.losses.base import foreground, mean_squared_difference, smoothness
from common.networks import VoxelMorph
from common.similarity import masked_mean
from common.spatial import warp

POINTWISE = {
    "mse": MSEObjective(0.3),
    "mi": MIObjective(0.3),
    "nll": NLLObjective(0.3),
    "beta_nll": NLLObjective(0.3, beta=0.5),
    "adaframe": AdaFrameObjective(0.3),
    "adareg": AdaRegObjective(0.3),
    "adareg released": AdaRegObjective(0.3, formulation="released"),
    "hetero": HeteroObjective(0.3),
    "adacs": AdaCSObjective(0.3),
    "adacs released": AdaCSObjective(0.3, formulation="released"),
}
ALL = {**POINTWISE, "ncc": NCCObjective(0.3, window=5)}  # whose windows look past a mask's border


def test_mean_squared_error_by_hand() -> None:
    pair = Pair(torch.tensor([[[[0.0, 0.5]]]]), torch.tensor([[[[0.2, 0.1]]]]))
    objective = MSEObjective(smooth_weight=0.5)
    terms = objective.displacement_loss(pair, objective.observe(pair, Deformation(torch.zeros(1, 2, 1, 2))))
    assert terms["data"].item() == pytest.approx((0.04 + 0.16) / 2, rel=1e-5)
    assert terms["smooth"] == 0
    shifted = Deformation(torch.tensor([[[[0.0, 0.0]], [[0.0, 2.0]]]]), warped=pair.moving)
    terms = objective.displacement_loss(pair, shifted)
    assert terms["smooth"].item() == 2.0  # mean over two channels of 0 and 2^2; the axis of one voxel does not count
    assert terms["loss"].item() == pytest.approx(0.1 + 0.5 * 2.0)


@pytest.mark.parametrize("slopes", [(0.5, 0.0), (0.3, -0.4), (0.1, 0.2, 0.3)])
def test_smoothness_of_a_linear_field_is_its_mean_squared_slope(slopes: tuple[float, ...]) -> None:
    size = [7, 9, 5][: len(slopes)]
    axes = torch.meshgrid(*[torch.arange(float(n)) for n in size], indexing="ij")
    field = sum(slope * axis for slope, axis in zip(slopes, axes))[None, None]
    expected = sum(slope**2 for slope in slopes) / len(slopes)
    assert mean_squared_difference(field).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("spacing", "size"), [((2.0, 0.5), [7, 9]), ((1.8, 1.8, 10.0), [7, 9, 5])])
def test_smoothness_by_a_spacing_is_that_of_millimetres(spacing: tuple[float, ...], size: list[int]) -> None:
    slopes = 0.1 * torch.randn(len(size), len(size), generator=torch.Generator().manual_seed(0))  # of voxels, a voxel
    axes = torch.stack(torch.meshgrid(*[torch.arange(float(n)) for n in size], indexing="ij"))
    field = torch.tensordot(slopes, axes, 1)[None]
    edges = torch.tensor(spacing)
    expected = (slopes * edges[:, None] / edges[None, :]).square().mean().item()
    assert mean_squared_difference(field, spacing=spacing).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("spacing", [None, (1.8, 1.8, 10.0)])
def test_smoothness_of_a_field_on_a_coarser_grid_is_that_of_what_it_moves(spacing: tuple[float, ...] | None) -> None:
    slopes = 0.1 * torch.randn(3, 3, generator=torch.Generator().manual_seed(0))  # of fine voxels, a fine voxel
    strides = torch.tensor([2.0, 2.0, 1.0])
    axes = torch.stack(torch.meshgrid(*[torch.arange(float(n)) for n in (7, 9, 5)], indexing="ij"))
    field = torch.tensordot(slopes * strides / strides[:, None], axes, 1)[None]  # in voxels of its own grid
    deformation = Deformation(torch.zeros(1, 3, 14, 18, 5), dvf=field, stride=(2, 2, 1))
    edges = torch.tensor(spacing or (1.0, 1.0, 1.0))
    expected = 2 * (slopes * edges[:, None] / edges).square().mean().item()
    assert smoothness(deformation, spacing).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ALL)
def test_voxels_that_are_cubes_change_nothing_and_slices_far_apart_do(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    pair = Pair(*(torch.rand(1, 1, 6, 7, 4, generator=generator) for _ in range(2)))
    deformation = Deformation(torch.rand(1, 3, 6, 7, 4, generator=generator), warped=pair.moving)
    smooth = {}
    for spacing in (None, (2.0, 2.0, 2.0), (1.8, 1.8, 10.0)):
        objective = copy.deepcopy(ALL[name])
        objective.smooth_spacing = spacing
        smooth[spacing] = objective.smooth(pair, deformation).item()
    assert smooth[2.0, 2.0, 2.0] == pytest.approx(smooth[None], rel=1e-6)
    assert abs(smooth[1.8, 1.8, 10.0] / smooth[None] - 1) > 0.1


@pytest.mark.parametrize(("spacing", "said"), [((1.0, 0.0), "above 0"), ((1.0, 1.0, 1.0), "2 axes")])
def test_a_spacing_that_cannot_be_is_refused(spacing: tuple[float, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        smoothness(Deformation(torch.rand(1, 2, 5, 6)), MSEObjective(smooth_spacing=spacing).smooth_spacing)


def test_smoothness_counts_the_stride_and_prefers_the_velocity() -> None:
    velocity, ddf = torch.rand(1, 2, 5, 6), torch.rand(1, 2, 10, 12)
    deformation = Deformation(ddf, dvf=velocity, stride=2)
    assert torch.equal(smoothness(deformation), 2 * mean_squared_difference(velocity))
    assert torch.equal(smoothness(Deformation(ddf)), mean_squared_difference(ddf))


def test_axes_of_one_voxel_do_not_count() -> None:
    field = torch.rand(1, 1, 6, 7)
    assert torch.equal(mean_squared_difference(field[..., None]), mean_squared_difference(field))


def test_masked_mean_ignores_what_is_outside() -> None:
    values, mask = torch.tensor([[1.0, 2.0, 6.0]]), torch.tensor([[1.0, 1.0, 0.0]])
    assert masked_mean(values, mask) == 1.5
    assert masked_mean(values, None) == 3.0
    assert masked_mean(values, torch.zeros(1, 3)) == 0


def test_the_foreground_is_where_either_image_is_unless_there_is_a_mask() -> None:
    moving, fixed = (torch.tensor(values).view(1, 1, 1, 4) for values in ([0.5, 0.0, 0.5, 0.0], [0.5, 0.5, 0.0, 0.0]))
    assert foreground(Pair(moving, fixed)).flatten().tolist() == [1, 1, 1, 0]
    assert foreground(Pair(moving, fixed, mask=1 - moving.ceil())).flatten().tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("name", POINTWISE)
def test_padding_outside_the_mask_does_not_change_the_data_terms(name: str, observed: Callable) -> None:
    objective = POINTWISE[name]
    mask = torch.zeros(2, 1, 10, 12)
    mask[..., :8, :9] = 1
    pair, deformation = observed(objective, mask=mask)
    noisy = pair._replace(fixed=pair.fixed + 3 * (1 - mask))
    for found, expected in zip(terms_of(objective, noisy, deformation), terms_of(objective, pair, deformation)):
        for term in {"data", "scored", "regular"} & set(found):
            assert torch.allclose(found[term], expected[term])


def terms_of(objective: Objective, pair: Pair, deformation: Deformation) -> list[dict]:
    predicted = torch.linspace(0.1, 0.9, pair.fixed[0].numel()).view(1, *pair.fixed.shape[1:])
    predicted = predicted.expand_as(pair.fixed)
    if objective.companion_map is None:
        return [objective.displacement_loss(pair, deformation)]
    losses = [objective.displacement_loss(pair, deformation, predicted)]
    alternating = not isinstance(objective, NLLObjective)  # else one loss for both networks
    return [*losses, objective.companion_loss(pair, deformation, predicted)] if alternating else losses


@pytest.mark.parametrize("name", ALL)
def test_the_order_of_a_batch_does_not_matter(name: str, observed: Callable) -> None:
    objective = ALL[name]
    pair, deformation = observed(objective, batch=3)
    order = [2, 0, 1]
    other = Pair(pair.moving[order], pair.fixed[order])
    turned = Deformation(deformation.ddf[order], warped=deformation.warped[order])
    for terms, expected in zip(terms_of(objective, other, turned), terms_of(objective, pair, deformation)):
        for term in set(terms) - {"momentum", "loss"}:
            assert torch.allclose(terms[term], expected[term], atol=1e-6), term


@pytest.mark.parametrize("name", ALL)
def test_the_architecture_adds_its_own_terms(name: str, observed: Callable) -> None:
    pair, deformation = observed(ALL[name])
    plain = terms_of(ALL[name], pair, deformation)[0]
    more = terms_of(ALL[name], pair, deformation._replace(auxiliary={"diffusion": torch.tensor(0.25)}))[0]
    assert more["diffusion"] == 0.25
    assert torch.allclose(more["loss"], plain["loss"] + 0.25)


@pytest.mark.parametrize("size", [(16, 20), (8, 12, 6)])
def test_both_directions_are_the_mean_of_each(size: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    network, objective = VoxelMorph(len(size)), MSEObjective(0.3)
    torch.nn.init.normal_(network.flow.weight, std=0.1)
    pair = Pair(torch.rand(2, 1, *size), torch.rand(2, 1, *size))
    forward = network(pair.moving, pair.fixed)
    backward = network.reverse(pair.moving, pair.fixed, forward)
    doubled, both = both_directions(pair, forward, backward)
    found = objective.displacement_loss(doubled, objective.observe(doubled, both))
    there = objective.displacement_loss(pair, objective.observe(pair, forward))
    back = objective.displacement_loss(pair.swapped(), objective.observe(pair.swapped(), backward))
    for name in ("loss", "data", "smooth"):
        assert torch.allclose(found[name], (there[name] + back[name]) / 2, rtol=1e-5)
    assert torch.equal(warp(pair.fixed, backward.ddf), objective.observe(doubled, both).warped[2:])


def test_both_directions_keep_all_that_each_has() -> None:
    pair = Pair(*torch.rand(2, 1, 1, 6, 8))
    maps = {"ddf": (6, 8), "dvf": (3, 4), "log_variance": (3, 4), "features": (6, 8)}
    loss = {"diffusion": torch.tensor(0.25)}
    there, back = (
        Deformation(**{name: torch.rand(1, 2, *size) for name, size in maps.items()}, stride=2, auxiliary=loss)
        for _ in range(2)
    )
    doubled, both = both_directions(pair, there, back)
    for name in maps:
        assert torch.equal(getattr(both, name), torch.cat([getattr(there, name), getattr(back, name)])), name
    assert (both.stride, both.directions, both.auxiliary) == (2, 2, loss)
    assert torch.equal(doubled.moving, torch.cat([pair.moving, pair.fixed]))


def test_an_objective_without_a_companion_says_so() -> None:
    pair = Pair(torch.rand(1, 1, 4, 4), torch.rand(1, 1, 4, 4))
    with pytest.raises(TypeError, match="MSEObjective has no companion"):
        MSEObjective().companion_loss(pair, Deformation(torch.zeros(1, 2, 4, 4)), pair.fixed)

"""common.losses.HeteroDispObjective: sampling, the spread of the displacement, and what is left of hetero."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from common.errors import InputError
from common.interfaces import Deformation, Pair
from common.losses import HeteroDispObjective, HeteroObjective, MSEObjective
from common.spatial import warp


def pair_and_field(log_variance: float | None = -2.0, size: tuple[int, ...] = (10, 12)) -> tuple[Pair, Deformation]:
    generator = torch.Generator().manual_seed(0)
    moving, fixed = (torch.rand(2, 1, *size, generator=generator) for _ in range(2))
    ddf = 0.5 * torch.randn(2, len(size), *size, generator=generator)
    uncertainty = None if log_variance is None else torch.full((2, 1, *size), log_variance)
    return Pair(moving, fixed), Deformation(ddf, log_variance=uncertainty)


def observe(objective: HeteroDispObjective, pair: Pair, deformation: Deformation, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    return objective.observe(pair, deformation).warped


def test_training_draws_a_displacement_and_evaluation_does_not() -> None:
    objective, (pair, deformation) = HeteroDispObjective(), pair_and_field()
    mean = warp(pair.moving, deformation.ddf)
    first, again, other = (observe(objective, pair, deformation, seed) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.allclose(first, mean, atol=0.01)
    assert torch.equal(observe(objective.eval(), pair, deformation), mean)


@pytest.mark.parametrize("log_variance", [-4.0, 0.0])
@pytest.mark.parametrize("size", [(64, 80), (24, 20, 26)])
def test_what_is_drawn_has_the_predicted_variance(log_variance: float, size: tuple[int, ...]) -> None:
    """The image is one of its own coordinates, so that the warped image is the displacement drawn."""
    places = torch.arange(float(size[0])).view(-1, *[1] * (len(size) - 1)).expand(size)[None, None]
    deformation = Deformation(torch.zeros(1, len(size), *size), log_variance=torch.full((1, 1, *size), log_variance))
    inner = (..., *[slice(6, -6)] * len(size))
    drawn = (observe(HeteroDispObjective(), Pair(places, places), deformation) - places)[inner]
    assert drawn.mean().abs() < 0.1
    assert drawn.std().item() == pytest.approx(math.exp(log_variance / 2), rel=0.06)


def test_each_component_is_drawn_by_itself() -> None:
    axes = torch.meshgrid(torch.arange(64.0), torch.arange(80.0), indexing="ij")
    deformation = Deformation(torch.zeros(1, 2, 64, 80), log_variance=torch.zeros(1, 1, 64, 80))
    drawn = []
    for places in (axis[None, None] for axis in axes):
        moved = observe(HeteroDispObjective(), Pair(places, places), deformation)
        drawn.append((moved - places)[..., 6:-6, 6:-6].flatten())
    assert torch.corrcoef(torch.stack(drawn))[0, 1].abs() < 0.1


def test_spread_by_hand_and_its_minimum_at_a_variance_of_one() -> None:
    objective = HeteroDispObjective(alpha=0.3)
    for value in (-1.0, 0.0, 0.7):
        pair, deformation = pair_and_field(value)
        log_variance = deformation.log_variance.requires_grad_()
        terms = objective.displacement_loss(pair, deformation._replace(warped=pair.moving))
        assert terms["spread"].item() == pytest.approx(math.exp(value) - value, rel=1e-5)
        rest = terms["data"] + objective.smooth_weight * terms["smooth"]
        assert terms["loss"].item() == pytest.approx(rest.item() + 0.3 * terms["spread"].item(), rel=1e-5)
        (gradient,) = torch.autograd.grad(terms["spread"], log_variance)
        assert gradient.sum().item() == pytest.approx(math.exp(value) - 1, abs=1e-4)


def test_the_sampled_residual_teaches_the_variance() -> None:
    """On an image with structure everywhere noise costs residual: the data term alone wants less of it."""
    pair, deformation = pair_and_field(-3.0, size=(32, 32))
    pair = Pair(pair.moving, pair.moving)
    log_variance = deformation.log_variance.requires_grad_()
    deformation = Deformation(torch.zeros_like(deformation.ddf), log_variance=log_variance)
    objective = HeteroDispObjective(alpha=0.0)
    torch.manual_seed(0)
    loss = objective.displacement_loss(pair, objective.observe(pair, deformation))["loss"]
    (gradient,) = torch.autograd.grad(loss, log_variance)
    assert gradient.sum() > 0


def test_smoothness_acts_on_the_mean_field() -> None:
    objective, (pair, deformation) = HeteroDispObjective(), pair_and_field(2.0)
    found = objective.displacement_loss(pair, objective.observe(pair, deformation))["smooth"]
    assert torch.equal(found, MSEObjective().smooth(pair, deformation))


def test_with_the_image_variance_the_data_term_is_heteros() -> None:
    pair, deformation = pair_and_field()
    log_variance = torch.randn_like(pair.fixed)
    deformation = HeteroDispObjective().eval().observe(pair, deformation)
    for options in ({}, {"gamma": 1.0}, {"formulation": "released"}):
        found = HeteroDispObjective(**options).displacement_loss(pair, deformation, log_variance)
        expected = HeteroObjective(**options).displacement_loss(pair, deformation, log_variance)
        assert torch.equal(found["data"], expected["data"])
        companions = [kind(**options) for kind in (HeteroDispObjective, HeteroObjective)]
        losses = [kind.companion_loss(pair, deformation, log_variance)["loss"] for kind in companions]
        assert torch.equal(*losses)


def test_without_the_image_variance_every_voxel_counts_the_same() -> None:
    pair, deformation = pair_and_field()
    log_variance = torch.randn_like(pair.fixed)
    objective = HeteroDispObjective(image_variance=False).eval()
    deformation = objective.observe(pair, deformation)
    assert objective.weight(pair, deformation, log_variance) is None
    found = objective.displacement_loss(pair, deformation, log_variance)["data"]
    assert torch.equal(found, MSEObjective().displacement_loss(pair, deformation)["data"])


def test_in_the_warm_up_every_voxel_counts_the_same_too() -> None:
    pair, deformation = pair_and_field()
    deformation = HeteroDispObjective().eval().observe(pair, deformation)
    found = HeteroDispObjective().displacement_loss(pair, deformation)["data"]
    assert torch.equal(found, MSEObjective().displacement_loss(pair, deformation)["data"])


@pytest.mark.parametrize("level", [-10.0, 10.0])
def test_extremes_are_finite(level: float) -> None:
    objective, black, image = HeteroDispObjective(), torch.zeros(1, 1, 8, 9), torch.rand(1, 1, 8, 9)
    for moving, fixed in ((black, black), (image, image), (image, black), (black, image), (black + 1, black + 1)):
        ddf, log_variance = torch.zeros(1, 2, 8, 9, requires_grad=True), torch.full((1, 1, 8, 9), level)
        log_variance.requires_grad_()
        pair = Pair(moving, fixed)
        deformation = objective.observe(pair, Deformation(ddf, log_variance=log_variance))
        loss = objective.displacement_loss(pair, deformation, torch.full_like(fixed, -level))["loss"]
        loss.backward()
        assert loss.isfinite() and ddf.grad.isfinite().all() and log_variance.grad.isfinite().all()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [None, (2, 2, 5, 6), (2, 2, 10, 12), (2, 1, 5, 6)])
def test_an_estimator_without_this_uncertainty_is_refused(shape: tuple[int, ...] | None, training: bool) -> None:
    pair, deformation = pair_and_field(None)
    deformation = deformation._replace(log_variance=None if shape is None else torch.zeros(shape))
    with pytest.raises(InputError, match="predicts no displacement uncertainty: set its uncertainty to displacement"):
        HeteroDispObjective().train(training).observe(pair, deformation)


def test_an_unknown_formulation_is_refused() -> None:
    with pytest.raises(InputError, match="formulation is 'old'"):
        HeteroDispObjective(formulation="old")

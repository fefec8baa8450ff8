"""common.losses.NLLObjective: the likelihood by hand, its gradient, its optimum; one loss for both networks."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from common.interfaces import Deformation, Pair
from common.losses import HeteroObjective, MSEObjective, NLLObjective
from common.networks import VarianceEstimator, VoxelMorph

BETAS = pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])


@pytest.mark.parametrize(
    ("beta", "expected"),
    [
        # residuals^2 0.01 and 0.09, variances 0.02 and 0.5: terms (0.5 + log 0.02) / 2 and (0.18 + log 0.5) / 2
        (0.0, (-1.7060115 - 0.2565736) / 2),
        (0.5, (-1.7060115 * 0.1414214 - 0.2565736 * 0.7071068) / 2),
        (1.0, (-1.7060115 * 0.02 - 0.2565736 * 0.5) / 2),
    ],
)
def test_likelihood_by_hand(beta: float, expected: float, row: Callable) -> None:
    pair, deformation = row([0.5, 0.9], [0.4, 0.6], ddf=[0.0, 2.0])
    log_variance = torch.tensor([0.02, 0.5]).log().view(1, 1, 1, 2)
    terms = NLLObjective(0.3, beta).displacement_loss(pair, deformation, log_variance)
    assert terms["data"].item() == pytest.approx(expected, rel=1e-5)
    assert terms["loss"].item() == pytest.approx(expected + 0.3 * 2.0, rel=1e-5)


@BETAS
def test_unit_variance_is_half_the_squared_error(beta: float, observed: Callable) -> None:
    objective = NLLObjective(beta=beta)
    pair, deformation = observed(objective)
    found = objective.displacement_loss(pair, deformation, torch.zeros_like(pair.fixed))
    expected = MSEObjective().displacement_loss(pair, deformation)
    assert torch.allclose(found["data"], 0.5 * expected["data"])
    assert torch.equal(found["smooth"], expected["smooth"])


@BETAS
def test_gradient_on_the_residual_is_weighted_by_a_power_of_the_variance(beta: float, row: Callable) -> None:
    pair, deformation = row([0.5, 0.9], [0.4, 0.6])
    variance = torch.tensor([0.02, 0.5])
    NLLObjective(0.0, beta).displacement_loss(pair, deformation, variance.log().view(1, 1, 1, 2))["loss"].backward()
    weight = NLLObjective(0.0, beta).weight(pair, deformation, variance.log().view(1, 1, 1, 2)).flatten()
    assert torch.allclose(weight, variance ** (beta - 1))
    expected = weight * torch.tensor([-0.1, -0.3]) / 2  # of r^2 / 2, over 2 voxels
    assert torch.allclose(deformation.warped.grad.flatten(), expected, rtol=1e-4)


def test_with_beta_one_the_residual_has_half_the_gradient_of_mse(observed: Callable) -> None:
    pair, deformation = observed(NLLObjective())
    log_variance = 2 * torch.randn_like(pair.fixed)
    found = NLLObjective(0.0, beta=1.0).displacement_loss(pair, deformation, log_variance)["loss"]
    expected = MSEObjective(0.0).displacement_loss(pair, deformation)["loss"]
    gradients = [torch.autograd.grad(loss, deformation.ddf, retain_graph=True)[0] for loss in (found, expected)]
    assert torch.allclose(gradients[0], 0.5 * gradients[1], atol=1e-8)


@BETAS
def test_the_best_variance_is_the_squared_residual(beta: float, row: Callable) -> None:
    pair, deformation = row([0.5, 0.9], [0.4, 0.6])
    for offset, sign in ((0.0, 0), (0.5, 1), (-0.5, -1)):
        log_variance = (torch.tensor([0.01, 0.09]).log() + offset).view(1, 1, 1, 2).requires_grad_()
        NLLObjective(beta=beta).displacement_loss(pair, deformation, log_variance)["loss"].backward()
        gradient = log_variance.grad.flatten()
        assert gradient.abs().max() < 1e-6 if sign == 0 else (gradient.sign() == sign).all()


def test_the_variance_learns_as_in_hetero(observed: Callable) -> None:
    pair, deformation = observed(NLLObjective())
    log_variance = torch.randn_like(pair.fixed).requires_grad_()
    losses = (
        NLLObjective(beta=0.5).displacement_loss(pair, deformation, log_variance),
        HeteroObjective(beta=0.5).companion_loss(pair, deformation, log_variance),
    )
    gradients = [torch.autograd.grad(terms["loss"], log_variance)[0] for terms in losses]
    assert torch.allclose(*gradients)


@BETAS
def test_one_loss_trains_both_networks(beta: float) -> None:
    torch.manual_seed(0)
    network, companion, objective = VoxelMorph(), VarianceEstimator(), NLLObjective(beta=beta)
    nn.init.normal_(network.flow.weight, std=0.05)
    pair = Pair(torch.rand(1, 1, 16, 24), torch.rand(1, 1, 16, 24))
    deformation = objective.observe(pair, network(pair.moving, pair.fixed))
    inputs = objective.companion_inputs(pair, deformation)
    objective.displacement_loss(pair, deformation, companion(*inputs))["loss"].backward()
    for trained in (network, companion):
        assert all(p.grad is not None and p.grad.abs().max() > 0 for p in trained.parameters())


def test_the_likelihood_reaches_the_field_through_the_map_too(observed: Callable) -> None:
    objective = NLLObjective(0.0)
    pair, deformation = observed(objective)
    warped, fixed = objective.companion_inputs(pair, deformation)
    assert warped is deformation.warped and fixed is pair.fixed
    loss = objective.displacement_loss(pair, deformation._replace(warped=warped.detach()), torch.sin(warped))["loss"]
    (gradient,) = torch.autograd.grad(loss, deformation.ddf)
    assert gradient.abs().max() > 0


@BETAS
@pytest.mark.parametrize("level", [-10.0, 0.0, 10.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_extremes_are_finite(beta: float, level: float, dtype: torch.dtype) -> None:
    objective = NLLObjective(beta=beta)
    black, image = torch.zeros(1, 1, 6, 6, dtype=dtype), torch.rand(1, 1, 6, 6).to(dtype)
    for moving, fixed in ((black, black), (image, image), (image, black), (black, image), (black + 1, black)):
        ddf = torch.zeros(1, 2, 6, 6, requires_grad=True)
        log_variance = torch.full((1, 1, 6, 6), level, requires_grad=True)
        pair = Pair(moving, fixed)
        loss = objective.displacement_loss(pair, objective.observe(pair, Deformation(ddf)), log_variance)["loss"]
        loss.backward()
        assert loss.isfinite() and ddf.grad.isfinite().all() and log_variance.grad.isfinite().all()


def test_a_perfect_match_of_least_variance_has_the_least_loss(row: Callable) -> None:
    pair, deformation = row([0.5, 0.9], [0.5, 0.9])
    terms = NLLObjective().displacement_loss(pair, deformation, torch.full_like(pair.fixed, -10.0))
    assert terms["loss"].item() == pytest.approx(-5.0)
    gaussian = torch.distributions.Normal(0.0, math.exp(-5)).log_prob(torch.tensor(0.0)).item()
    assert terms["loss"].item() == pytest.approx(-gaussian - 0.5 * math.log(2 * math.pi), rel=1e-5)

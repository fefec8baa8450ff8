"""common.losses.HeteroObjective: Eq. 4 and 5 by hand, its limits, and the released weight."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from common.engines.directions import both_directions
from common.errors import InputError
from common.interfaces import Deformation, Pair
from common.losses import HeteroDispObjective, HeteroObjective, MSEObjective

SIGMOID_1 = 0.7310585786300049


def one_row(fixed: list[float], warped: list[float]) -> tuple[Pair, Deformation]:
    images = torch.tensor(fixed).view(1, 1, 1, -1), torch.tensor(warped).view(1, 1, 1, -1)
    return Pair(images[1], images[0]), Deformation(torch.zeros(1, 2, 1, len(fixed)), warped=images[1])


def sigmoid(*values: float) -> Tensor:
    return 1 / (1 + torch.exp(-torch.tensor(values)))


def test_gamma_zero_is_mse_up_to_a_factor(observed: Callable) -> None:
    objective = HeteroObjective(gamma=0.0)
    pair, deformation = observed(objective)
    terms = objective.displacement_loss(pair, deformation, torch.randn_like(pair.fixed))
    assert torch.allclose(terms["data"], SIGMOID_1 * MSEObjective().displacement_loss(pair, deformation)["data"])


def test_without_a_map_it_is_mse(observed: Callable) -> None:
    pair, deformation = observed(HeteroObjective())
    terms = [objective.displacement_loss(pair, deformation) for objective in (HeteroObjective(), MSEObjective())]
    assert torch.equal(terms[0]["loss"], terms[1]["loss"])


@pytest.mark.parametrize("gamma", [0.25, 0.5, 1.0])
def test_weight_of_unit_variance_by_hand(gamma: float) -> None:
    pair, deformation = one_row([0.25, 0.5, 1.0], [0.0, 0.0, 0.0])
    weight = HeteroObjective(gamma=gamma).weight(pair, deformation, torch.zeros(1, 1, 1, 3)).flatten()
    assert torch.allclose(weight, sigmoid(0.25 ** (2 * gamma), 0.5 ** (2 * gamma), 1.0), atol=1e-5)


@pytest.mark.parametrize("gamma", [0.25, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("kind", [HeteroObjective, HeteroDispObjective])
def test_weight_is_the_sigmoid_of_the_fixed_images_signal_to_noise(
    kind: type[HeteroObjective], gamma: float, observed: Callable
) -> None:
    torch.manual_seed(0)
    pair, deformation = observed(HeteroObjective())
    log_variance = 2 * torch.randn_like(pair.fixed) - 3
    fixed, sigma = pair.fixed.double().numpy(), np.sqrt(np.exp(log_variance.double().numpy()))
    expected = 1 / (1 + np.exp(-((fixed / sigma) ** (2 * gamma))))
    weight = kind(gamma=gamma).weight(pair, deformation, log_variance)
    assert weight.numpy() == pytest.approx(expected, abs=1e-4)  # TINY


@pytest.mark.parametrize("formulation", ["paper", "released"])
def test_weight_does_not_depend_on_the_warped_image(formulation: str, observed: Callable) -> None:
    objective = HeteroObjective(formulation=formulation)
    pair, deformation = observed(objective)
    log_variance = torch.randn_like(pair.fixed)
    other = pair._replace(moving=1 - pair.moving), deformation._replace(warped=torch.rand_like(pair.fixed))
    weights = [objective.weight(*case, log_variance) for case in ((pair, deformation), other)]
    assert torch.equal(*weights)
    brighter = pair._replace(fixed=pair.fixed + 0.1)
    assert not torch.equal(objective.weight(brighter, deformation, log_variance), weights[0])


def test_weighted_loss_by_hand() -> None:
    pair, deformation = one_row([0.4, 0.8], [0.5, 0.5])
    log_variance = torch.tensor([0.01, 0.04]).log().view(1, 1, 1, 2)
    terms = HeteroObjective(smooth_weight=0.0, gamma=0.5).displacement_loss(pair, deformation, log_variance)
    weights = sigmoid(0.4 / 0.1, 0.8 / 0.2)  # (F^2 / sigma^2)^(1/2)
    assert terms["data"].item() == pytest.approx((weights * torch.tensor([0.01, 0.09])).mean().item(), rel=1e-4)


def test_a_larger_variance_weighs_less() -> None:
    pair, deformation = one_row([0.5] * 4, [0.5] * 4)
    weight = HeteroObjective().weight(pair, deformation, torch.tensor([-6.0, -2.0, 2.0, 6.0]).view(1, 1, 1, 4))
    assert (weight.flatten().diff() < 0).all()


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_beta_nll_by_hand(beta: float) -> None:
    pair, deformation = one_row([0.5, 0.9], [0.4, 0.6])
    variance, residual = torch.tensor([0.02, 0.5]), torch.tensor([0.01, 0.09])
    terms = HeteroObjective(beta=beta).companion_loss(pair, deformation, variance.log().view(1, 1, 1, 2))
    expected = variance**beta * 0.5 * (residual / variance + variance.log())
    assert terms["loss"].item() == pytest.approx(expected.mean().item(), rel=1e-4)


def test_losses_are_of_the_voxels_in_the_mask(observed: Callable) -> None:
    torch.manual_seed(0)
    mask = (torch.rand(2, 1, 10, 12) > 0.4).float()
    pair, deformation = observed(HeteroObjective(), mask=mask)
    outside = 1 - mask
    pair = pair._replace(fixed=pair.fixed + 5 * outside)
    log_variance = torch.randn_like(mask) - 7 * outside
    fixed, warped, log = (x.detach().double()[mask > 0] for x in (pair.fixed, deformation.warped, log_variance))
    squared, variance = (fixed - warped) ** 2, log.exp()
    weighted = squared / (1 + torch.exp(-fixed / variance.sqrt()))
    nll = variance.sqrt() * 0.5 * (squared / variance + log)
    objective = HeteroObjective()
    found = objective.displacement_loss(pair, deformation, log_variance)["data"]
    assert found.item() == pytest.approx(weighted.mean().item(), rel=1e-4)
    found = objective.companion_loss(pair, deformation, log_variance)
    assert found["loss"].item() == pytest.approx(nll.mean().item(), rel=1e-4)
    assert torch.equal(found["log_variance"], log_variance.mean())  # the map's, for the log


def test_beta_one_has_the_gradient_of_a_squared_error() -> None:
    pair, deformation = one_row([0.5, 0.9], [0.4, 0.6])
    log_variance = torch.tensor([0.02, 0.5]).log().view(1, 1, 1, 2).requires_grad_()
    HeteroObjective(beta=1.0).companion_loss(pair, deformation, log_variance)["loss"].backward()
    expected = 0.5 * (torch.tensor([0.02, 0.5]) - torch.tensor([0.01, 0.09])) / 2  # over 2 voxels
    assert torch.allclose(log_variance.grad.flatten(), expected, atol=1e-5)


def test_the_best_variance_is_the_squared_residual() -> None:
    pair, deformation = one_row([0.5, 0.9], [0.4, 0.6])
    log_variance = torch.tensor([0.01, 0.09]).log().view(1, 1, 1, 2).requires_grad_()
    HeteroObjective().companion_loss(pair, deformation, log_variance)["loss"].backward()
    assert log_variance.grad.abs().max() < 1e-5


def test_released_weight_by_hand() -> None:
    pair, deformation = one_row([0.04, 0.25, 1.0], [0.9, 0.9, 0.9])
    weight = HeteroObjective(formulation="released").weight(pair, deformation, torch.zeros(1, 1, 1, 3)).flatten()
    assert torch.allclose(weight, sigmoid(0.0, (0.5 - 0.2) / (1 - 0.2), 1.0), atol=1e-4)


def test_released_weight_lies_between_a_half_and_sigmoid_of_one(observed: Callable) -> None:
    objective = HeteroObjective(formulation="released")
    pair, deformation = observed(objective)
    weight = objective.weight(pair, deformation, torch.randn_like(pair.fixed))
    assert weight.min().item() == pytest.approx(0.5)
    assert weight.max().item() == pytest.approx(SIGMOID_1)


@pytest.mark.parametrize("formulation", ["paper", "released"])
def test_weight_of_a_direction_is_its_own(formulation: str, observed: Callable) -> None:
    objective = HeteroObjective(formulation=formulation)
    pair, there = observed(objective)
    back = Deformation(-there.ddf)
    doubled, both = both_directions(pair, there, back)
    log_variance = torch.randn_like(doubled.fixed)
    directions = [(pair, there), (pair.swapped(), back)]
    apart = [objective.weight(*each, part) for each, part in zip(directions, log_variance.chunk(2))]
    assert torch.allclose(objective.weight(doubled, both, log_variance), torch.cat(apart))
    joined = objective.weight(doubled, both._replace(directions=1), log_variance)
    assert torch.allclose(joined, torch.cat(apart)) == (formulation == "paper")


@pytest.mark.parametrize("formulation", ["paper", "released"])
@pytest.mark.parametrize("level", [-10.0, 0.0, 10.0])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0])
def test_extremes_are_finite(formulation: str, level: float, gamma: float) -> None:
    objective = HeteroObjective(gamma=gamma, formulation=formulation)
    black, image = torch.zeros(1, 1, 6, 6), torch.rand(1, 1, 6, 6)
    for moving, fixed in ((black, black), (image, image), (image, black), (black, image), (black + 1, black + 1)):
        ddf = torch.zeros(1, 2, 6, 6, requires_grad=True)
        log_variance = torch.full((1, 1, 6, 6), level, requires_grad=True)
        pair = Pair(moving, fixed)
        deformation = objective.observe(pair, Deformation(ddf))
        losses = [objective.displacement_loss, objective.companion_loss]
        total = sum(loss(pair, deformation, log_variance)["loss"] for loss in losses)
        total.backward()
        assert total.isfinite()
        assert ddf.grad.isfinite().all()
        assert log_variance.grad.isfinite().all()


def test_the_companion_sees_warped_as_an_observation(observed: Callable) -> None:
    objective = HeteroObjective()
    pair, deformation = observed(objective)
    warped, fixed = objective.companion_inputs(pair, deformation)
    assert not warped.requires_grad
    assert torch.equal(warped, deformation.warped)
    assert fixed is pair.fixed


def test_as_released_the_companion_passes_gradient_on(observed: Callable) -> None:
    objective = HeteroObjective(formulation="released")
    pair, deformation = observed(objective)
    warped, _ = objective.companion_inputs(pair, deformation)
    loss = objective.companion_loss(pair, deformation, torch.sin(warped))["loss"]
    (gradient,) = torch.autograd.grad(loss, deformation.ddf)
    assert gradient.abs().max() > 0


def test_an_unknown_formulation_is_refused() -> None:
    with pytest.raises(InputError, match="formulation is 'old': it must be one of paper, released"):
        HeteroObjective(formulation="old")

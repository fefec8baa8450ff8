"""common.losses.AdaRegObjective: stiffness by hand, as printed and as released, at either resolution."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from common.errors import InputError
from common.interfaces import Deformation, Pair
from common.losses import AdaRegObjective, MSEObjective
from common.losses.base import smoothness

FIXED, WARPED = [0.50, 0.50, 0.50, 0.50], [0.50, 0.51, 0.52, 0.55]  # |r| 0, 0.01, 0.02, 0.05: mean 0.02
FIELD = [0.0, 1.0, 3.0, 6.0]  # differences 1, 2, 3 along one of two axes; the other component is 0


def test_stiffness_and_smoothness_of_a_row_by_hand(row: Callable) -> None:
    pair, deformation = row(FIXED, WARPED, FIELD)
    objective = AdaRegObjective(smooth_weight=0.5, c=1.0)
    expected = torch.tensor([1.0, math.exp(-0.5), math.exp(-1.0), math.exp(-2.5)])
    assert torch.allclose(objective.alpha(pair, deformation).flatten(), expected, atol=1e-3)
    terms = objective.displacement_loss(pair, deformation)
    # (1 * 1)^2 + (e^-0.5 * 2)^2 + (e^-1 * 3)^2 = 1 + 4 / e + 9 / e^2, over 3 differences of 2 components
    assert terms["smooth"].item() == pytest.approx((1 + 4 / math.e + 9 / math.e**2) / 6, rel=1e-3)
    assert terms["data"].item() == pytest.approx((0.0001 + 0.0004 + 0.0025) / 4, rel=1e-3)
    assert terms["loss"].item() == pytest.approx(terms["data"].item() + 0.5 * terms["smooth"].item(), rel=1e-5)


def test_as_printed_next_to_nothing_is_left_where_the_residual_is_average(row: Callable) -> None:
    smooth = AdaRegObjective().displacement_loss(*row(FIXED, WARPED, FIELD))["smooth"]
    assert smooth.item() == pytest.approx(1 / 6, rel=1e-6)  # of the first difference, whose residual is 0


def test_released_form_multiplies_instead_and_weighs_the_field(row: Callable) -> None:
    pair, deformation = row(FIXED, WARPED, FIELD)
    objective = AdaRegObjective(formulation="released")
    alpha = [math.exp(-50 * residual * 0.02) for residual in (0.0, 0.01, 0.02, 0.05)]
    assert torch.allclose(objective.alpha(pair, deformation).flatten(), torch.tensor(alpha), atol=1e-6)
    weighted = [a * u for a, u in zip(alpha, FIELD)]
    expected = sum((after - before) ** 2 for before, after in zip(weighted, weighted[1:])) / 6
    assert objective.displacement_loss(pair, deformation)["smooth"].item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("formulation", ["paper", "released"])
def test_without_residual_it_is_mse(formulation: str) -> None:
    image, ddf = torch.rand(2, 1, 6, 7), torch.rand(2, 2, 6, 7)
    pair, deformation = Pair(image, image), Deformation(ddf, warped=image)
    objective = AdaRegObjective(0.3, formulation=formulation)
    assert torch.equal(objective.alpha(pair, deformation), torch.ones(2, 1, 6, 7))
    found = objective.displacement_loss(pair, deformation)
    assert torch.equal(found["loss"], MSEObjective(0.3).displacement_loss(pair, deformation)["loss"])


@pytest.mark.parametrize("formulation", ["paper", "released"])
def test_stiffness_has_no_gradient(formulation: str, observed: Callable) -> None:
    objective = AdaRegObjective(c=1.0, formulation=formulation)
    pair, deformation = observed(objective)
    (through_images,) = torch.autograd.grad(
        objective.smooth(pair, deformation), deformation.warped, allow_unused=True, retain_graph=True
    )
    assert through_images is None
    assert not objective.alpha(pair, deformation).requires_grad
    (found,) = torch.autograd.grad(objective.displacement_loss(pair, deformation)["data"], deformation.warped)
    assert torch.allclose(found, 2 * (deformation.warped - pair.fixed) / pair.fixed.numel())


@pytest.mark.parametrize(("formulation", "exponent"), [("paper", 0.7), ("released", 0.7 * 0.1 * 0.1)])
@pytest.mark.parametrize("size", [(8, 11), (6, 5, 9)])
def test_at_half_resolution_stiffness_lies_on_the_grid_of_the_velocity(
    size: tuple[int, ...], formulation: str, exponent: float
) -> None:
    coarse = [(n + 1) // 2 for n in size]
    dvf = torch.rand(1, len(size), *coarse)
    fixed = torch.full((1, 1, *size), 0.5)
    deformation = Deformation(torch.zeros(1, len(size), *size), dvf=dvf, stride=2, warped=fixed + 0.1)
    objective = AdaRegObjective(c=0.7, formulation=formulation)
    alpha = objective.alpha(Pair(fixed, fixed), deformation)
    assert alpha.shape == (1, 1, *coarse)
    assert torch.allclose(alpha, torch.full_like(alpha, math.exp(-exponent)), atol=1e-4)
    expected = math.exp(-2 * exponent) * smoothness(deformation).item()  # alpha^2, and the stride once
    assert objective.smooth(Pair(fixed, fixed), deformation).item() == pytest.approx(expected, rel=1e-4)


def test_half_resolution_takes_the_stiffness_of_the_same_place() -> None:
    fixed, residual = torch.full((1, 1, 9, 9), 0.5), torch.zeros(1, 1, 9, 9)
    residual[..., 4:, :] = 0.2
    deformation = Deformation(torch.zeros(1, 2, 9, 9), torch.zeros(1, 2, 5, 5), 2, warped=fixed + residual)
    alpha = AdaRegObjective().alpha(Pair(fixed, fixed), deformation)
    assert torch.allclose(alpha[..., :2, :], torch.ones(1, 1, 2, 5))
    assert alpha[..., 2:, :].max() < 1e-6


def test_the_mean_residual_is_that_of_the_foreground(row: Callable) -> None:
    expected = AdaRegObjective(c=1.0).alpha(*row(FIXED, WARPED)).flatten()
    padded = AdaRegObjective(c=1.0).alpha(*row([*FIXED, 0.0, 0.0], [*WARPED, 0.0, 0.0])).flatten()
    masked = row([*FIXED, 0.1], [*WARPED, 0.9], mask=[1.0, 1.0, 1.0, 1.0, 0.0])
    assert torch.allclose(padded[:4], expected)
    assert torch.allclose(AdaRegObjective(c=1.0).alpha(*masked).flatten()[:4], expected)


@pytest.mark.parametrize("formulation", ["paper", "released"])
def test_extremes_are_finite(formulation: str, check_finite: Callable) -> None:
    check_finite(AdaRegObjective(formulation=formulation))


def test_an_unknown_formulation_is_refused() -> None:
    with pytest.raises(InputError, match="formulation is 'old': it must be one of paper, released"):
        AdaRegObjective(formulation="old")

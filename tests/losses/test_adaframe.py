"""common.losses.AdaFrameObjective: weights by hand, over the foreground, and without gradient."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from common.interfaces import Deformation, Pair
from common.losses import AdaFrameObjective, MSEObjective

FIXED, WARPED = [0.1, 0.4, 0.9, 0.3], [0.1, 0.5, 0.7, 0.8]  # |r| 0, 0.1, 0.2, 0.5: mean 0.2, variance 0.035
ALPHA = torch.tensor([0.9201467, 0.8981729, 0.8710001, 0.7517676])  # 1 - sigmoid(0.5 rho - 1.90983)


def test_weights_of_a_row_by_hand(row: Callable) -> None:
    pair, deformation = row(FIXED, WARPED)
    objective = AdaFrameObjective(smooth_weight=0.0)
    assert torch.allclose(objective.weight(pair, deformation, None).flatten(), ALPHA, atol=1e-5)
    expected = (ALPHA * torch.tensor([0.0, 0.01, 0.04, 0.25])).mean().item()
    assert objective.displacement_loss(pair, deformation)["loss"].item() == pytest.approx(expected, rel=1e-4)


def test_steepness_and_trust_are_a0_and_b0(row: Callable) -> None:
    pair, deformation = row(FIXED, WARPED)
    flat = AdaFrameObjective(a0=0.0, b0=5.0).weight(pair, deformation, None)
    assert torch.allclose(flat, torch.sigmoid(torch.tensor(0.9549150)).expand(1, 1, 1, 4), atol=1e-6)
    steep = AdaFrameObjective(a0=0.2, b0=0.0).weight(pair, deformation, None).flatten()
    assert steep[2].item() == pytest.approx(0.5)
    assert (steep[:-1] > steep[1:]).all()


def test_weights_have_no_gradient(row: Callable) -> None:
    pair, deformation = row(FIXED, WARPED)
    AdaFrameObjective(smooth_weight=0.0).displacement_loss(pair, deformation)["loss"].backward()
    residual = torch.tensor(WARPED) - torch.tensor(FIXED)
    assert torch.allclose(deformation.warped.grad.flatten(), ALPHA * 2 * residual / 4, atol=1e-6)


def test_background_does_not_count(row: Callable) -> None:
    pair, deformation = row([*FIXED, 0.0, 0.0, 0.0], [*WARPED, 0.0, 0.0, 0.0])
    assert torch.allclose(AdaFrameObjective().weight(pair, deformation, None).flatten()[:4], ALPHA, atol=1e-5)


def test_a_mask_says_what_counts(row: Callable) -> None:
    pair, deformation = row([*FIXED, 0.2, 0.9], [*WARPED, 0.9, 0.1], mask=[1.0] * 4 + [0.0] * 2)
    objective = AdaFrameObjective(smooth_weight=0.0)
    assert torch.allclose(objective.weight(pair, deformation, None).flatten()[:4], ALPHA, atol=1e-5)
    expected = objective.displacement_loss(*row(FIXED, WARPED))["loss"]
    assert torch.allclose(objective.displacement_loss(pair, deformation)["loss"], expected)


def test_each_sample_has_its_own_statistics(row: Callable) -> None:
    (pair, deformation), (other, beside) = row(FIXED, WARPED), row([0.9, 0.1, 0.2, 0.3], [0.8, 0.2, 0.9, 0.1])
    both = Pair(*(torch.cat(images) for images in zip(pair[:2], other[:2])))
    joined = Deformation(torch.zeros(2, 2, 1, 4), warped=torch.cat([deformation.warped, beside.warped]))
    weight = AdaFrameObjective().weight(both, joined, None)
    assert torch.allclose(weight[0].flatten(), ALPHA, atol=1e-5)
    assert torch.allclose(weight[1:], AdaFrameObjective().weight(other, beside, None))


@pytest.mark.parametrize("residual", [0.0, 0.3])
def test_alike_residuals_weigh_alike(residual: float) -> None:
    fixed = torch.full((1, 1, 4, 5), 0.5)
    pair, deformation = Pair(fixed, fixed), Deformation(torch.zeros(1, 2, 4, 5), warped=fixed + residual)
    weight = AdaFrameObjective().weight(pair, deformation, None)
    expected = {0.0: 0.5, 0.3: 0.9839172}[residual]  # sigmoid(b) of b = 10 (1 - cos(0.3 pi)) = 4.122147
    assert torch.allclose(weight, torch.full_like(weight, expected), atol=1e-3)


def test_smoothness_is_that_of_mse(observed: Callable) -> None:
    pair, deformation = observed(AdaFrameObjective())
    terms = [kind(0.4).displacement_loss(pair, deformation) for kind in (AdaFrameObjective, MSEObjective)]
    assert torch.equal(terms[0]["smooth"], terms[1]["smooth"])
    assert torch.allclose(terms[0]["loss"], terms[0]["data"] + 0.4 * terms[0]["smooth"])
    assert terms[0]["data"] < terms[1]["data"]


@pytest.mark.parametrize("size", [(12, 13), (5, 6, 4)])
def test_extremes_are_finite(size: tuple[int, ...], check_finite: Callable) -> None:
    check_finite(AdaFrameObjective(), size)

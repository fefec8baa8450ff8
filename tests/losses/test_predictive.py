"""common.losses.PredictiveObjective: Eq. 6 by hand, its best uncertainty, and what trains what."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from common.interfaces import Deformation, Pair
from common.losses import NCCObjective, PredictiveObjective, WeakObjective
from common.networks import LabelRefiner, VoxelMorph


def observed(size: tuple[int, ...], classes: int, mask: torch.Tensor | None = None) -> tuple[Pair, Deformation]:
    generator = torch.Generator().manual_seed(0)
    images = [torch.rand(2, 1, *size, generator=generator) for _ in range(2)]
    labels = [torch.randint(0, classes, (2, 1, *size), generator=generator) for _ in range(2)]
    ddf = torch.zeros(2, len(size), *size)
    return Pair(*images, *labels, mask), Deformation(ddf, warped=images[0])


def test_the_uncertainty_term_is_equation_6() -> None:
    pair, deformation = observed((5, 6), 2)
    refined = torch.full((2, 2, 5, 6), 0.5)  # wrong by a half everywhere, whatever the label
    for u in (0.1, 0.5, 2.0):
        log_u = torch.full((2, 2, 5, 6), math.log(u))
        terms = PredictiveObjective(num_classes=2).displacement_loss(pair, deformation, torch.cat([refined, log_u], 1))
        assert terms["uncertainty"].item() == pytest.approx(0.5 / u + math.log(u), abs=1e-5)


def test_the_best_uncertainty_is_the_expected_error() -> None:
    pair, deformation = observed((12, 12), 3)
    refined = torch.softmax(torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(1)), 1)
    error = (refined - torch.nn.functional.one_hot(pair.fixed_label[:, 0], 3).movedim(-1, 1)).abs().mean((0, 2, 3))
    log_u = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.Adam([log_u], 0.05)
    for _ in range(300):
        spread = log_u.view(1, 3, 1, 1).expand(2, 3, 12, 12)
        terms = PredictiveObjective().displacement_loss(pair, deformation, torch.cat([refined, spread], 1))
        optimizer.zero_grad()
        terms["uncertainty"].backward()
        optimizer.step()
    assert torch.allclose(log_u.exp(), error, rtol=0.02)


def test_without_its_weight_it_is_weak_with_the_refined_labels_besides() -> None:
    mask = torch.zeros(2, 1, 8, 8)
    mask[..., 2:7] = 1
    pair, deformation = observed((8, 8), 3, mask)
    refined = torch.softmax(torch.randn(2, 3, 8, 8), 1)
    ours = PredictiveObjective(uncertainty_weight=0).displacement_loss(
        pair, deformation, torch.cat([refined, torch.randn(2, 3, 8, 8)], 1)
    )
    theirs = WeakObjective().displacement_loss(pair, deformation)
    overlap = WeakObjective().overlap(refined, pair)
    assert ours["loss"].item() == pytest.approx((theirs["loss"] - overlap).item())


def test_the_uncertainty_weighs_a_tenth_and_the_windows_have_five_voxels() -> None:
    pair, deformation = observed((8, 8), 3)
    predicted = torch.cat([torch.softmax(torch.randn(2, 3, 8, 8), 1), torch.randn(2, 3, 8, 8)], 1)
    terms = PredictiveObjective().displacement_loss(pair, deformation, predicted)
    expected = terms["data"] - terms["overlap"] - terms["refined_overlap"] + 0.1 * terms["uncertainty"]
    assert terms["smooth"] == 0 and terms["loss"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert torch.equal(terms["data"], NCCObjective(window=5).data(pair, deformation, None))


def test_padding_does_not_count() -> None:
    inside = torch.zeros(2, 1, 8, 8)
    inside[..., 2:5, 1:7] = 1
    pair, deformation = observed((8, 8), 3, inside)
    refined, log_u = torch.softmax(torch.randn(2, 3, 8, 8), 1), torch.randn(2, 3, 8, 8)
    objective = PredictiveObjective()
    before = objective.displacement_loss(pair, deformation, torch.cat([refined, log_u], 1))
    noise = torch.rand(2, 3, 8, 8)
    changed = torch.where(inside > 0, torch.cat([refined, log_u], 1), torch.cat([noise, noise], 1))
    after = objective.displacement_loss(pair, deformation, changed)
    assert all(torch.equal(before[name], after[name]) for name in ("overlap", "refined_overlap", "uncertainty"))


@pytest.mark.parametrize("variant", ["published", "fast"])
@pytest.mark.parametrize("size", [(16, 20), (17, 9, 8)])
def test_one_loss_trains_the_estimator_and_the_refiner(size: tuple[int, ...], variant: str) -> None:
    torch.manual_seed(0)
    dims = len(size)
    estimator = VoxelMorph(dims, diffeomorphic=False, variant=variant)
    nn.init.normal_(estimator.flow.weight, std=0.05)
    companion, objective = LabelRefiner(dims), PredictiveObjective()
    nn.init.normal_(companion.last.weight, std=0.05)
    pair, _ = observed(size, 3)
    deformation = objective.observe(pair, estimator(pair.moving, pair.fixed))
    predicted = companion(*objective.companion_inputs(pair, deformation))
    terms = objective.displacement_loss(pair, deformation, predicted)
    for network in (estimator, companion):
        found = torch.autograd.grad(terms["loss"], list(network.parameters()), retain_graph=True)
        assert all(gradient.isfinite().all() and gradient.abs().max() > 0 for gradient in found)
    # Eq. 6 reaches the backbone through features and labels alike: one network, one loss
    reached = torch.autograd.grad(terms["uncertainty"], list(estimator.parameters()))
    assert all(gradient.abs().max() > 0 for gradient in reached)

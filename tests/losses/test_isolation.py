"""Each loss of a method with two networks trains one of them, and gives the other exactly nothing."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from common.engines.directions import both_directions
from common.interfaces import Deformation, Pair
from common.losses import AdaCSObjective, HeteroDispObjective, HeteroObjective, Objective
from common.networks import ScoringEstimator, VarianceEstimator, VoxelMorph

UNCERTAIN = partial(VoxelMorph, uncertainty="displacement")
METHODS = {
    "hetero": (HeteroObjective, VoxelMorph, VarianceEstimator),
    "hetero_disp": (HeteroDispObjective, UNCERTAIN, VarianceEstimator),
    "hetero_disp alone": (partial(HeteroDispObjective, image_variance=False), UNCERTAIN, VarianceEstimator),
    "adacs": (AdaCSObjective, VoxelMorph, ScoringEstimator),
    "adacs of two": (partial(AdaCSObjective, inputs=2), VoxelMorph, partial(ScoringEstimator, inputs=2)),
}
LEAKING = ("hetero", "hetero_disp")  # as released
CASES = [(name, "paper") for name in METHODS] + [(name, "released") for name in METHODS if "hetero" not in name]
SIZES = pytest.mark.parametrize(("size", "bidirectional"), [((16, 24), False), ((16, 24), True), ((6, 16, 5), False)])

Networks = tuple[nn.Module, nn.Module]


def gradients(loss: Tensor, network: nn.Module) -> list[Tensor | None]:
    return list(torch.autograd.grad(loss, list(network.parameters()), retain_graph=True, allow_unused=True))


def reaches(loss: Tensor, network: nn.Module) -> bool:
    return any(g is not None and g.abs().max() > 0 for g in gradients(loss, network))


def step(name: str, formulation: str, size: tuple[int, ...], bidirectional: bool) -> tuple[Networks, Tensor, Tensor]:
    """The two networks of a method, and the loss of each, in one iteration that trains both."""
    torch.manual_seed(0)
    make_objective, make_network, make_companion = METHODS[name]
    objective: Objective = make_objective(formulation=formulation)
    network, companion = make_network(len(size)), make_companion(len(size))
    nn.init.normal_(network.flow.weight, std=0.05)
    pair = Pair(torch.rand(1, 1, *size), torch.rand(1, 1, *size))
    deformation: Deformation = network(pair.moving, pair.fixed)
    if bidirectional:
        pair, deformation = both_directions(pair, deformation, network.reverse(pair.moving, pair.fixed, deformation))
    deformation = objective.observe(pair, deformation)
    predicted = companion(*objective.companion_inputs(pair, deformation))
    losses = (objective.displacement_loss, objective.companion_loss)
    ours, theirs = (loss(pair, deformation, predicted)["loss"] for loss in losses)
    return (network, companion), ours, theirs


@pytest.mark.parametrize(("name", "formulation"), CASES)
@SIZES
def test_each_loss_trains_one_network(name: str, formulation: str, size: tuple, bidirectional: bool) -> None:
    (network, companion), displacement_loss, companion_loss = step(name, formulation, size, bidirectional)
    for loss, trained, left in ((displacement_loss, network, companion), (companion_loss, companion, network)):
        assert all(g is not None and g.abs().max() > 0 for g in gradients(loss, trained))
        assert not reaches(loss, left)


@pytest.mark.parametrize("name", LEAKING)
@SIZES
def test_the_released_variance_loss_also_trains_the_field(name: str, size: tuple, bidirectional: bool) -> None:
    """By design: the authors' code feeds the warped image to the variance estimator without detaching it."""
    (network, companion), displacement_loss, companion_loss = step(name, "released", size, bidirectional)
    assert reaches(companion_loss, companion)
    assert reaches(companion_loss, network)
    assert not reaches(displacement_loss, companion)

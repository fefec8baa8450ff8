"""Each loss of a method with two networks trains one of them, and gives the other exactly nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from common.engines.directions import both_directions
from common.interfaces import Pair
from common.losses import AdaCSObjective, HeteroObjective, Objective
from common.networks import ScoringEstimator, VarianceEstimator, VoxelMorph

CASES = pytest.mark.parametrize(
    ("method", "estimator"), [(HeteroObjective, VarianceEstimator), (AdaCSObjective, ScoringEstimator)]
)
FORMULATIONS = pytest.mark.parametrize("formulation", ["paper", "released"])
SIZES = pytest.mark.parametrize(("size", "bidirectional"), [((16, 24), False), ((16, 24), True), ((6, 16, 5), False)])


def gradients(loss: Tensor, network: nn.Module) -> list[Tensor | None]:
    return list(torch.autograd.grad(loss, list(network.parameters()), retain_graph=True, allow_unused=True))


@CASES
@FORMULATIONS
@SIZES
def test_each_loss_trains_one_network(
    method: type[Objective], estimator: type[nn.Module], formulation: str, size: tuple, bidirectional: bool
) -> None:
    torch.manual_seed(0)
    objective, network, companion = method(formulation=formulation), VoxelMorph(len(size)), estimator(len(size))
    nn.init.normal_(network.flow.weight, std=0.05)
    pair = Pair(torch.rand(1, 1, *size), torch.rand(1, 1, *size))
    deformation = network(pair.moving, pair.fixed)
    if bidirectional:
        pair, deformation = both_directions(pair, deformation, network.reverse(pair.moving, pair.fixed, deformation))
    deformation = objective.observe(pair, deformation)
    companion_map = companion(*objective.companion_inputs(pair, deformation))
    losses = {network: objective.displacement_loss, companion: objective.companion_loss}
    for trained, loss in losses.items():
        value = loss(pair, deformation, companion_map)["loss"]
        assert all(g is not None and g.abs().max() > 0 for g in gradients(value, trained))
        (left,) = losses.keys() - {trained}
        assert all(g is None or g.abs().max() == 0 for g in gradients(value, left))

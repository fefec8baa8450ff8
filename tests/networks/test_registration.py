"""common.networks.RegistrationNetwork: one tensor in, one tensor out, its channels by name."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from common.interfaces import Deformation
from common.networks import RegistrationNetwork, ScoringEstimator, VarianceEstimator, VoxelMorph
from common.networks.registration import displacement_log_variance
from common.spatial import warp

METHODS = pytest.mark.parametrize(
    ("companion", "name"), [(None, None), (VarianceEstimator, "log_variance"), (ScoringEstimator, "score")]
)


@METHODS
@pytest.mark.parametrize("size", [(24, 33), (9, 17, 12)])
def test_channels_are_what_their_names_say(companion: type[nn.Module] | None, name: str | None, size: tuple) -> None:
    torch.manual_seed(0)
    dims = len(size)
    estimator = VoxelMorph(dims)
    nn.init.normal_(estimator.flow.weight, std=0.1)
    network = RegistrationNetwork(estimator, companion and companion(dims), name).eval()
    image = torch.rand(2, 2, *size)
    pred = network(image)
    axes = tuple(f"ddf_{axis}" for axis in range(dims))
    assert network.channels == (*axes, *([name] if name else []), "warped")
    assert network.spatial_dims == dims
    assert pred.shape == (2, len(network.channels), *size)
    moving, fixed = image.split(1, dim=1)
    ddf = estimator(moving, fixed).ddf
    assert torch.equal(pred[:, :dims], ddf)
    assert torch.equal(pred[:, -1:], warp(moving, ddf))
    if companion is VarianceEstimator:
        assert torch.equal(pred[:, dims : dims + 1], network.companion(pred[:, -1:], fixed))
    elif companion is ScoringEstimator:
        assert torch.equal(pred[:, dims : dims + 1], network.companion(fixed))


@METHODS
def test_weights_load_strictly_into_the_same_network(companion: type[nn.Module] | None, name: str | None) -> None:
    def build() -> RegistrationNetwork:
        return RegistrationNetwork(VoxelMorph(), companion and companion(), name).eval()

    first, second, image = build(), build(), torch.rand(1, 2, 16, 16)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(image), second(image))


def test_pred_is_float32_under_autocast() -> None:
    network = RegistrationNetwork(VoxelMorph(), VarianceEstimator(), "log_variance").eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pred = network(torch.rand(1, 2, 20, 20))
    assert pred.dtype == torch.float32
    assert pred.isfinite().all()


@METHODS
@pytest.mark.parametrize("uncertainty", ["displacement", "velocity"])
@pytest.mark.parametrize("size", [(24, 33), (9, 17, 12)])
def test_an_uncertainty_of_its_own_comes_before_warped(
    companion: type[nn.Module] | None, name: str | None, uncertainty: str, size: tuple
) -> None:
    torch.manual_seed(0)
    dims = len(size)
    estimator = VoxelMorph(dims, uncertainty=uncertainty)
    nn.init.normal_(estimator.spread[-1].weight, std=0.5)
    network, image = RegistrationNetwork(estimator, companion and companion(dims), name).eval(), torch.rand(2, 2, *size)
    pred = network(image)
    maps = [name] if name else []
    assert network.channels[dims:] == (*maps, "displacement_log_variance", "warped")
    assert pred.shape == (2, len(network.channels), *size)
    deformation = estimator(*image.split(1, dim=1))
    found = pred[:, network.channels.index("displacement_log_variance")][:, None]
    assert torch.equal(found, displacement_log_variance(deformation))
    assert found.std() > 0
    if uncertainty == "displacement":
        assert torch.equal(found, deformation.log_variance)
    assert torch.equal(pred[:, -1:], warp(image[:, :1], deformation.ddf))
    assert torch.equal(network(image), pred)


def test_log_variance_of_a_velocity_is_that_of_a_displacement_in_fine_voxels() -> None:
    log_variance = torch.tensor([-3.0, -1.0]).view(1, 2, 1, 1).expand(1, 2, 5, 6)
    deformation = Deformation(torch.zeros(1, 2, 10, 12), torch.zeros(1, 2, 5, 6), 2, log_variance)
    found = displacement_log_variance(deformation)
    assert found.shape == (1, 1, 10, 12)
    assert torch.allclose(found, torch.tensor(-2.0 + math.log(4)))  # a coarse voxel has 2 fine ones: variance times 4


def test_a_score_of_two_images_sees_both() -> None:
    torch.manual_seed(0)
    network = RegistrationNetwork(VoxelMorph(), ScoringEstimator(inputs=2), "score").eval()
    image = torch.rand(1, 2, 20, 24)
    pred = network(image)
    assert torch.equal(pred[:, 2:3], network.companion(pred[:, 3:], image[:, 1:]))

"""common.networks.RegistrationNetwork: one tensor in, one tensor out, its channels by name."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from common.networks import RegistrationNetwork, ScoringEstimator, VarianceEstimator, VoxelMorph
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

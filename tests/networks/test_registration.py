"""common.networks.RegistrationNetwork: one tensor in, one tensor out, its channels by name."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from common.errors import InputError
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
    assert (network.spatial_dims, network.inputs) == (dims, 2)
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


class Own(nn.Module):
    """Someone's own estimator, that returns what it is told to."""

    def __init__(self, returned: object = None, spatial_dims: object = 2) -> None:
        super().__init__()
        self.returned = returned
        if spatial_dims is not None:
            self.spatial_dims = spatial_dims

    def forward(self, moving: Tensor, fixed: Tensor) -> object:
        return self.returned


@pytest.mark.parametrize(
    ("dims", "message"),
    [(None, "it has no spatial_dims"), (4, "its spatial_dims is 4"), ("2", "its spatial_dims is '2'")],
)
def test_an_estimator_that_does_not_say_its_dimensions_is_refused(dims: object, message: str) -> None:
    with pytest.raises(InputError, match=f"^Own: {message}; set self.spatial_dims to 2 or 3, .*$"):
        RegistrationNetwork(Own(spatial_dims=dims))


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (torch.zeros(1, 2, 4, 5), "its forward returns a Tensor, not a Deformation; "),
        ((torch.zeros(1, 2, 4, 5), None), "its forward returns a tuple, not a Deformation; "),
        (None, "its forward returns a NoneType, not a Deformation; "),
        (Deformation(torch.zeros(1, 2, 2, 3)), r"its ddf is of shape \(1, 2, 2, 3\), but .* need \(1, 2, 4, 5\)"),
        (Deformation(torch.zeros(1, 4, 5, 2)), r"its ddf is of shape \(1, 4, 5, 2\), but"),
        (Deformation(torch.zeros(1, 2, 4, 5).bfloat16()), "its ddf is torch.bfloat16, too coarse for a field; "),
    ],
)
def test_an_estimator_that_returns_something_else_is_refused(returned: object, message: str) -> None:
    with pytest.raises(InputError, match=f"^Own: {message}.*$"):
        RegistrationNetwork(Own(returned))(torch.rand(1, 2, 4, 5))


def test_the_least_that_an_estimator_must_be_is_enough() -> None:
    pred = RegistrationNetwork(Own(Deformation(torch.ones(1, 2, 4, 5))))(torch.rand(1, 2, 4, 5))
    assert pred.shape == (1, 3, 4, 5)

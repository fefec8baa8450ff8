"""common.networks.LabelRefiner: it begins as no change, and its outputs are a distribution and a positive number."""

from __future__ import annotations

import pytest
import torch
from monai.bundle import ConfigParser
from torch import nn

from common.labels import one_hot, warped_one_hot
from common.networks import LabelRefiner, RegistrationNetwork, VoxelMorph
from tools.render import BUNDLES

SIZES = pytest.mark.parametrize("size", [(12, 15), (9, 8, 10)])


@SIZES
def test_it_begins_as_no_change(size: tuple[int, ...]) -> None:
    label = torch.randint(0, 4, (2, 1, *size))
    refined, log_u = LabelRefiner(len(size), num_classes=4)(torch.zeros(2, 16, *size), one_hot(label, 4)).split(4, 1)
    assert torch.equal(refined.argmax(1, keepdim=True), label)
    assert (refined - one_hot(label, 4)).abs().max() < 0.03
    assert torch.allclose(log_u.exp(), torch.full_like(log_u, 0.11))


@SIZES
def test_labels_are_shares_and_uncertainty_is_positive_and_bounded(size: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    refiner = LabelRefiner(len(size))
    for parameter in refiner.parameters():
        nn.init.normal_(parameter, std=1.0)
    half = [-(-n // 2) for n in size]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = refiner(torch.randn(1, 16, *half), one_hot(torch.randint(0, 3, (1, 1, *size)), 3))
    refined, u = out[:, :3], out[:, 3:].exp()
    assert out.dtype == torch.float32 and out.shape == (1, 6, *size)
    assert torch.allclose(refined.sum(1), torch.ones(1, *size), atol=1e-5)
    assert u.min() >= 0.01 and u.max() < 8


@SIZES
def test_channels_of_the_whole_network(size: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    dims = len(size)
    estimator = VoxelMorph(dims, diffeomorphic=False)
    nn.init.normal_(estimator.flow.weight, std=0.1)
    image = torch.cat([torch.rand(2, 2, *size), torch.randint(0, 3, (2, 1, *size)).float()], 1)
    weak = RegistrationNetwork(estimator, num_classes=3).eval()
    whole = RegistrationNetwork(estimator, LabelRefiner(dims), "label_uncertainty", num_classes=3).eval()
    classes = tuple(f"segmentation_{c}" for c in range(3))
    fields = tuple(f"ddf_{axis}" for axis in range(dims))
    assert weak.inputs == whole.inputs == 3
    assert weak.channels == (*fields, *classes, "warped")
    assert whole.channels == (*fields, *(f"label_uncertainty_{c}" for c in range(3)), *classes, "warped")
    plain, pred = weak(image), whole(image)
    shares = warped_one_hot(image[:, 2:], plain[:, :dims], 3)
    assert torch.equal(plain[:, dims:-1], shares)
    features = estimator(image[:, :1], image[:, 1:2]).features
    refined, log_u = whole.companion(features, shares).split(3, 1)
    assert torch.equal(pred[:, dims : dims + 3], log_u.exp())
    assert torch.equal(pred[:, dims + 3 : -1], refined)
    assert torch.equal(pred[:, -1:], plain[:, -1:])


def test_any_network_can_carry_labels_along() -> None:
    from common.networks import VarianceEstimator

    network = RegistrationNetwork(VoxelMorph(), VarianceEstimator(), "log_variance", num_classes=2).eval()
    assert network.channels == ("ddf_0", "ddf_1", "log_variance", "segmentation_0", "segmentation_1", "warped")
    assert network(torch.rand(1, 3, 16, 16).round()).shape == (1, 6, 16, 16)


def test_features_learn_from_labels_and_uncertainty_and_a_class_can_come_back() -> None:
    refiner, label = LabelRefiner(2), one_hot(torch.zeros(1, 1, 8, 8), 3)
    nn.init.normal_(refiner.last.weight, std=0.1)
    features = torch.rand(1, 16, 8, 8, requires_grad=True)
    for part in refiner(features, label).split(3, 1):
        (gradient,) = torch.autograd.grad(part[:, 0].sum(), features, retain_graph=True)
        assert gradient.abs().max() > 0
    nn.init.zeros_(refiner.last.weight)
    refiner.last.bias.data[1] = 7.0  # raised by e^7, from one in a hundred
    shares = refiner(features, label)[0, :3, 0, 0]
    expected = torch.tensor([1.0, 0.01 * 1096.633, 0.01])
    assert torch.allclose(shares, expected / expected.sum(), rtol=1e-4)


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("file", ["train", "evaluate", "inference"])
def test_a_wider_estimator_has_a_refiner_of_its_features(file: str, width: int) -> None:
    parser = ConfigParser(ConfigParser.load_config_file(BUNDLES / "vxm_predictive" / "configs" / f"{file}.yaml"))
    parser.update({"width": width, "spatial_dims": 2, "num_classes": 4, "bundle_root": str(BUNDLES / "vxm_predictive")})
    network = parser.get_parsed_content("network_def")
    assert network.companion.first.in_channels == 16 * width + 4
    assert network(torch.rand(1, 3, 16, 16).round()).shape == (1, 2 + 4 + 4 + 1, 16, 16)

"""common.networks.combination, ensemble: what is added stays as it is, members are sampled and moved each."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from common.interfaces import Deformation
from common.io import save_weights
from common.networks import EnsembleNetwork, RegistrationNetwork, VoxelMorph
from common.networks.combination import Combination

CHANNELS = ("ddf_0", "ddf_1", "log_variance", "label_uncertainty_0", "segmentation_0", "warped")


@pytest.mark.parametrize("name", ["log_variance", "score", "displacement_log_variance"])
def test_adding_predictions_does_not_change_them(name: str) -> None:
    channels = tuple(name if channel == "log_variance" else channel for channel in CHANNELS)
    combination, preds = Combination(channels, num_classes=1), [torch.rand(2, 6, 4, 5) for _ in range(3)]
    before = [pred.clone() for pred in preds]
    for pred in preds:
        combination.add(pred)
    combination.result(torch.rand(2, 1, 4, 5))
    assert all(map(torch.equal, preds, before))


def test_members_are_sampled_apart(tmp_path: Path) -> None:
    network = RegistrationNetwork(VoxelMorph(encoder=(4, 8), decoder=(8, 8), final=(8,)))
    nn.init.normal_(network.estimator.flow.weight, std=0.3)
    files = [save_weights(network, tmp_path / name) or tmp_path / name for name in ("a.pt", "b.pt")]
    image, settings = torch.rand(1, 2, 16, 20), {"passes": 2, "dropout": 0.3}
    one, twice = (EnsembleNetwork(network, members, **settings)(image) for members in (files[:1], files))
    assert not torch.allclose(one[:, :2], twice[:, :2], atol=1e-5)  # four samples, not two of them again


class Convolution(nn.Conv2d):
    """A field from one convolution: it computes on any device."""

    spatial_dims = 2

    def forward(self, moving: Tensor, fixed: Tensor) -> Deformation:
        return Deformation(super().forward(torch.cat([moving, fixed], dim=1)))


def test_all_members_go_to_another_device(tmp_path: Path) -> None:
    network = RegistrationNetwork(Convolution(2, 2, 3, padding=1))
    for name in ("a.pt", "b.pt"):
        save_weights(network, tmp_path / name)
    pred = EnsembleNetwork(network, tmp_path).to("meta")(torch.rand(1, 2, 16, 20, device="meta"))
    assert pred.device.type == "meta" and pred.shape == (1, 4, 16, 20)

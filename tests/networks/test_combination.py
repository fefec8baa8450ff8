"""common.networks.combination: what is added stays as it is."""

from __future__ import annotations

import pytest
import torch

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

"""A network of images for volumes: each slice of a stack goes through it as the image that it is."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class SliceBySlice(nn.Module):
    """Register volumes by a network of images, slice by slice along the last axis, as `registration` does of stacks.

    Args:
        network: a `RegistrationNetwork` or an `EnsembleNetwork` of images.

    Attributes:
        channels: those of ``network``, and "ddf_2" behind "ddf_1", which is 0: nothing moves through the slices.
    """

    spatial_dims = 3

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        first, second, *others = network.channels
        self.channels = (first, second, "ddf_2", *others)
        self.inputs, self.num_classes = getattr(network, "inputs", 2), getattr(network, "num_classes", None)
        self.members = getattr(network, "members", None)

    def forward(self, image: Tensor) -> Tensor:
        """``pred`` (B, C, i, j, k) of ``image`` (B, inputs, i, j, k); the slices of a volume are one batch."""
        preds = [self.network(volume.movedim(-1, 0)).movedim(0, -1) for volume in image]
        pred = torch.stack(preds)
        return torch.cat([pred[:, :2], torch.zeros_like(pred[:, :1]), pred[:, 2:]], dim=1)

"""Label maps as one channel per class."""

from __future__ import annotations

import torch
from torch import Tensor

from .spatial import warp


def one_hot(label: Tensor, num_classes: int) -> Tensor:
    """(B, 1, *spatial) label values below ``num_classes`` as (B, num_classes, *spatial) of 0 and 1, float32."""
    return torch.cat([label == number for number in range(num_classes)], dim=1).float()


def warped_one_hot(label: Tensor, ddf: Tensor, num_classes: int) -> Tensor:
    """The share of each class in a linearly warped label map; what comes from outside the image is background.

    Args:
        label: (B, 1, *spatial), the moving label.
        ddf: (B, D, *spatial).

    Returns:
        (B, num_classes, *spatial), adding up to 1 at every voxel.
    """
    structures = warp(one_hot(label, num_classes)[:, 1:], ddf)
    return torch.cat([1 - structures.sum(1, keepdim=True), structures], dim=1)

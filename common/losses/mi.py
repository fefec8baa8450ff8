"""Mutual information, a baseline for images whose intensities correspond in no simple way."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InputError
from ..interfaces import Deformation, Pair
from .base import Objective


class MIObjective(Objective):
    """``-MI(warped, fixed) + lambda * smoothness`` by Parzen windows (Mattes et al., IEEE TMI 2003).

    Args:
        smooth_weight: lambda; mutual information is in nats.
        bins: of each image's histogram over [0, 1].

    Raises:
        InputError: for fewer than 4 bins.
    """

    def __init__(self, smooth_weight: float = 1.0, bins: int = 32) -> None:
        super().__init__(smooth_weight)
        if bins < 4:
            raise InputError(f"bins is {bins}: a histogram must have 4 or more.")
        self.bins = bins

    def data(self, pair: Pair, deformation: Deformation, companion_map: Tensor | None) -> Tensor:
        """Minus the mutual information, averaged over the batch."""
        return -mutual_information(deformation.warped, pair.fixed, self.bins, pair.mask).mean()


def mutual_information(first: Tensor, second: Tensor, bins: int = 32, mask: Tensor | None = None) -> Tensor:
    """Mutual information in nats of two images (B, 1, *spatial) in [0, 1]: (B,), at least 0, in float32.

    Every voxel counts in the bins around its value by a cubic B-spline, so that the joint histogram is smooth in
    the values; what lies outside of [0, 1] counts as its nearer end. A constant image shares no information.
    """
    with torch.autocast(first.device.type, enabled=False):
        a, b = parzen(first.float(), bins), parzen(second.float(), bins)
        if mask is not None:
            a = a * mask.flatten(1)[:, None]
        joint = torch.einsum("bin,bjn->bij", a, b)
        joint = joint / joint.sum((1, 2), keepdim=True).clamp(min=1)
        product = joint.sum(2, keepdim=True) * joint.sum(1, keepdim=True)
        tiny = torch.finfo(joint.dtype).tiny
        return (joint * ((joint + tiny).log() - (product + tiny).log())).sum((1, 2))


def parzen(image: Tensor, bins: int) -> Tensor:
    """How much each voxel counts in each bin: (B, bins, voxels); a voxel's shares sum to 1."""
    # a spline reaches two bins to either side: the values' range leaves those out
    position = 1 + image.flatten(1).clamp(0, 1)[:, None] * (bins - 3)
    distance = (position - torch.arange(bins, device=image.device).view(1, -1, 1)).abs()
    near = 2 / 3 - distance.square() * (1 - distance / 2)
    far = (2 - distance).clamp(min=0) ** 3 / 6
    return torch.where(distance < 1, near, far)

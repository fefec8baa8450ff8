"""Mutual information, a baseline for images whose intensities correspond in no simple way."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InputError
from ..interfaces import Deformation, Pair
from .base import Objective, Spacing

BLOCK = 2**14  # voxels counted together


class MIObjective(Objective):
    """``-MI(warped, fixed) + lambda * smoothness`` by Parzen windows (Mattes et al., IEEE TMI 2003).

    Args:
        smooth_weight: lambda; mutual information is in nats.
        bins: of each image's histogram over [0, 1].
        smooth_spacing: edges of a voxel, mm, see ``Objective``.

    Raises:
        InputError: for fewer than 4 bins.
    """

    def __init__(self, smooth_weight: float = 1.0, bins: int = 32, smooth_spacing: Spacing = None) -> None:
        super().__init__(smooth_weight, smooth_spacing)
        if bins < 4:
            raise InputError(f"bins is {bins}: a histogram must have 4 or more.")
        self.bins = bins

    def data(self, pair: Pair, deformation: Deformation, predicted: Tensor | None) -> Tensor:
        """Minus the mutual information, averaged over the batch."""
        return -mutual_information(deformation.observed, pair.fixed, self.bins, pair.mask).mean()


def mutual_information(first: Tensor, second: Tensor, bins: int = 32, mask: Tensor | None = None) -> Tensor:
    """Mutual information in nats of two images (B, 1, *spatial) in [0, 1]: (B,), at least 0, in float32.

    Every voxel counts in the bins around its value by a cubic B-spline, so that the joint histogram is smooth in
    the values; what lies outside of [0, 1] counts as its nearer end. A constant image shares no information.
    """
    with torch.autocast(first.device.type, enabled=False):
        joint = joint_histogram(first.float(), second.float(), bins, mask)
        joint = joint / joint.sum((1, 2), keepdim=True).clamp(min=1)
        product = joint.sum(2, keepdim=True) * joint.sum(1, keepdim=True)
        tiny = torch.finfo(joint.dtype).tiny
        return (joint * ((joint + tiny).log() - (product + tiny).log())).sum((1, 2))


def joint_histogram(first: Tensor, second: Tensor, bins: int, mask: Tensor | None) -> Tensor:
    """How many voxels have which pair of values: (B, bins, bins)."""
    (row, a), (column, b) = parzen(first, bins), parzen(second, bins)
    a = a if mask is None else a * mask.flatten(1)[:, None]
    blocks = torch.arange(row.shape[1], device=row.device) // BLOCK  # a volume's sums in float32 would lose fractions
    row = row + blocks * bins
    histogram = a.new_zeros(len(a), -(-row.shape[1] // BLOCK) * bins * bins)
    for i in range(4):  # a voxel counts in 4 x 4 of the bins only: far fewer than a product of full matrices
        for j in range(4):
            histogram = histogram.scatter_add(1, (row + i) * bins + column + j, a[:, i] * b[:, j])
    return histogram.unflatten(1, (-1, bins, bins)).sum(1)


def parzen(image: Tensor, bins: int) -> tuple[Tensor, Tensor]:
    """The first of the 4 bins that each voxel counts in (B, voxels), and how much in each (B, 4, voxels), 1 in all."""
    position = image.flatten(1).clamp(0, 1) * (bins - 3)  # the first and the last bin are the splines' margin
    first = position.detach().floor().clamp(max=bins - 4)
    t = position - first
    square, cube = t.square(), t**3
    shares = ((1 - t) ** 3, 3 * cube - 6 * square + 4, -3 * cube + 3 * square + 3 * t + 1, cube)
    return first.long(), torch.stack(shares, dim=1) / 6

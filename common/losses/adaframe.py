"""AdaFrame: weights from how far a residual stands out of its image's residuals."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..interfaces import Deformation, Pair
from .base import Objective, Spacing, foreground

EPSILON = 1e-6


class AdaFrameObjective(Objective):
    """Trust a voxel the less, the larger its residual is among its image's (Wong et al., 2021; adacs, section 6).

    ``alpha = 1 - sigmoid(a rho - b)`` with ``rho = (|r| - mu) / sqrt(var + eps)``, ``a = a0 / (mu + eps)`` and
    ``b = b0 (1 - cos(pi mu))``; mu and var are those of |r| over the foreground of each sample.

    Args:
        smooth_weight: lambda.
        a0: steepness of the weights.
        b0: how fast all voxels are trusted alike as the mean residual grows.
        smooth_spacing: edges of a voxel, mm, see ``Objective``.
    """

    def __init__(
        self, smooth_weight: float = 0.01, a0: float = 0.1, b0: float = 10.0, smooth_spacing: Spacing = None
    ) -> None:
        super().__init__(smooth_weight, smooth_spacing)
        self.a0, self.b0 = a0, b0

    def weight(self, pair: Pair, deformation: Deformation, predicted: Tensor | None) -> Tensor:
        """alpha, (B, 1, *spatial) in (0, 1)."""
        residual = (pair.fixed - deformation.observed).abs()
        mean, variance = moments(residual, foreground(pair))
        rho = (residual - mean) / torch.sqrt(variance + EPSILON)
        return torch.sigmoid(self.b0 * (1 - torch.cos(math.pi * mean)) - self.a0 / (mean + EPSILON) * rho)


def moments(values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of each sample's ``values`` where ``mask`` is 1, both (B, 1, ...); 0 where it never is."""
    axes = tuple(range(1, values.dim()))
    count = mask.sum(axes, keepdim=True).clamp(min=1)
    mean = (values * mask).sum(axes, keepdim=True) / count
    return mean, ((values - mean).square() * mask).sum(axes, keepdim=True) / count

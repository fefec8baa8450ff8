"""The second networks: what a displacement estimator is trained together with."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .unet import CONV, UNet, set_bias

LOG_VARIANCE_RANGE = (-10.0, 10.0)
FIRST_SCORE_LOGIT = 2.5  # sigmoid: 0.92


class VarianceEstimator(nn.Module):
    """Predict the log noise variance of ``fixed`` given ``warped`` (hetero, section 3: h(warped, fixed)).

    Args:
        spatial_dims: 2 or 3.
        thick_slices: what the estimator does with them, see `VoxelMorph`; unless None each is kept.

    Attributes:
        inputs: how many images it looks at, 2.
    """

    inputs = 2

    def __init__(self, spatial_dims: int = 2, thick_slices: str | None = None) -> None:
        super().__init__()
        self.backbone = UNet(spatial_dims, in_channels=self.inputs, anisotropic=thick_slices is not None)
        self.head = CONV[spatial_dims](self.backbone.out_channels, 1, kernel_size=3, padding=1)

    def forward(self, warped: Tensor, fixed: Tensor) -> Tensor:
        """Log variance (B, 1, *spatial), float32, clamped to [-10, 10] so that its exponential is finite."""
        features = self.backbone(torch.cat([warped, fixed], dim=1))
        with torch.autocast(features.device.type, enabled=False):
            return self.head(features.float()).clamp(*LOG_VARIANCE_RANGE)


class ScoringEstimator(nn.Module):
    """Predict where ``fixed`` has a correspondence at all (adacs, section 4.2: g(fixed)).

    It starts by trusting every voxel. From a score of one half, the pull to 1 (adacs, Eq. 4) that all voxels share
    drives every score to exactly 1 within an epoch, where the sigmoid has no gradient left to come back by.

    Args:
        spatial_dims: 2 or 3.
        inputs: how many images it looks at: 1 (fixed) or, as an ablation, 2 (warped and fixed).
        thick_slices: what the estimator does with them, see `VoxelMorph`; unless None each is kept.
    """

    def __init__(self, spatial_dims: int = 2, inputs: int = 1, thick_slices: str | None = None) -> None:
        super().__init__()
        self.inputs = inputs
        self.backbone = UNet(spatial_dims, in_channels=inputs, anisotropic=thick_slices is not None)
        self.head = CONV[spatial_dims](self.backbone.out_channels, 1, kernel_size=3, padding=1)
        set_bias(self.head, FIRST_SCORE_LOGIT)

    def forward(self, *images: Tensor) -> Tensor:
        """Score (B, 1, *spatial) in [0, 1], float32: 1 where the residual can be trusted."""
        features = self.backbone(torch.cat(images, dim=1))
        with torch.autocast(features.device.type, enabled=False):
            return torch.sigmoid(self.head(features.float()))

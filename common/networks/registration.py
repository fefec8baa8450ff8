"""A bundle's network as others see it: one tensor in, one tensor out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..spatial import warp

MAPS = {"log_variance": 2, "score": 1}  # what a companion predicts: how many images it looks at


class RegistrationNetwork(nn.Module):
    """Wrap a displacement estimator, and its companion if it has one, for inference, export and MONAI Label.

    Args:
        estimator: ``forward(moving, fixed) -> Deformation``.
        companion: a variance estimator (of warped and fixed) or a scoring estimator (of fixed).
        companion_map: what it predicts, "log_variance" or "score".
    """

    def __init__(self, estimator: nn.Module, companion: nn.Module | None = None, companion_map: str | None = None):
        super().__init__()
        self.estimator, self.companion, self.companion_map = estimator, companion, companion_map
        self.spatial_dims: int = estimator.spatial_dims
        fields = tuple(f"ddf_{axis}" for axis in range(self.spatial_dims))
        self.channels: tuple[str, ...] = (*fields, *([companion_map] if companion_map else []), "warped")

    def forward(self, image: Tensor) -> Tensor:
        """``pred`` (B, C, *spatial), its channels as ``channels`` names them, float32.

        Args:
            image: (B, 2, *spatial), moving and fixed, each in [0, 1].
        """
        moving, fixed = image[:, :1], image[:, 1:]
        ddf = self.estimator(moving, fixed).ddf
        warped = warp(moving.float(), ddf)
        if self.companion is None:
            return torch.cat([ddf, warped], dim=1)
        seen = (warped, fixed) if MAPS[self.companion_map] == 2 else (fixed,)
        return torch.cat([ddf, self.companion(*seen).float(), warped], dim=1)

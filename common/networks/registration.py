"""A bundle's network as others see it: one tensor in, one tensor out."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..interfaces import Deformation
from ..spatial import resize_map, warp


class RegistrationNetwork(nn.Module):
    """Wrap a displacement estimator, and its companion if it has one, for inference, export and MONAI Label.

    Args:
        estimator: ``forward(moving, fixed) -> Deformation``.
        companion: a network of ``inputs`` images: 1 (fixed) or 2 (warped and fixed).
        companion_map: what it predicts, "log_variance" or "score".

    Attributes:
        channels: the names of the prediction's channels: "ddf_0" and on, the companion's map,
            "displacement_log_variance" if the estimator predicts an uncertainty of its own, "warped".
    """

    def __init__(self, estimator: nn.Module, companion: nn.Module | None = None, companion_map: str | None = None):
        super().__init__()
        self.estimator, self.companion, self.companion_map = estimator, companion, companion_map
        self.spatial_dims: int = estimator.spatial_dims
        fields = [f"ddf_{axis}" for axis in range(self.spatial_dims)]
        self.uncertain = bool(getattr(estimator, "uncertainty", None))
        maps = [companion_map] * (companion is not None) + ["displacement_log_variance"] * self.uncertain
        self.channels: tuple[str, ...] = (*fields, *maps, "warped")

    def forward(self, image: Tensor) -> Tensor:
        """``pred`` (B, C, *spatial), its channels as ``channels`` names them, float32.

        Args:
            image: (B, 2, *spatial), moving and fixed, each in [0, 1].
        """
        moving, fixed = image[:, :1], image[:, 1:]
        deformation = self.estimator(moving, fixed)
        warped = warp(moving.float(), deformation.ddf)
        maps = []
        if self.companion is not None:
            maps.append(self.companion(*(warped, fixed)[-self.companion.inputs :]).float())
        if self.uncertain:
            maps.append(displacement_log_variance(deformation))
        return torch.cat([deformation.ddf, *maps, warped], dim=1)


def displacement_log_variance(deformation: Deformation) -> Tensor:
    """Log variance of the displacement, voxels^2, (B, 1, *spatial).

    That of a velocity is carried over to first order: averaged over the components, in voxels of the fine grid.
    """
    log_variance = deformation.log_variance
    if log_variance.shape[1] == 1:
        return log_variance
    fine = resize_map(log_variance.mean(1, keepdim=True), list(deformation.ddf.shape[2:]))
    return fine + 2 * math.log(deformation.stride)

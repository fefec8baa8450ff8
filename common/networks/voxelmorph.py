"""VoxelMorph: a U-Net that predicts a velocity, integrated at half resolution."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..interfaces import Deformation
from ..spatial import integrate, resize_field
from .unet import CONV, UNet


class VoxelMorph(nn.Module):
    """Register ``moving`` to ``fixed`` (Balakrishnan et al., 2019; Dalca et al., 2019, without its sampling).

    Args:
        spatial_dims: 2 or 3.
        diffeomorphic: predict a stationary velocity and integrate it, else a displacement.
        integration_steps: squarings of the integration.
        half_resolution_decoder: stop the decoder at half resolution; several times less work, a smoother field.
        encoder, decoder, final: channels, see ``UNet``.
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        diffeomorphic: bool = True,
        integration_steps: int = 7,
        half_resolution_decoder: bool = False,
        encoder: tuple[int, ...] = (16, 32, 32, 32),
        decoder: tuple[int, ...] = (32, 32, 32, 32),
        final: tuple[int, ...] = (32, 16, 16),
    ) -> None:
        super().__init__()
        self.spatial_dims, self.diffeomorphic = spatial_dims, diffeomorphic
        self.integration_steps = integration_steps
        self.backbone = UNet(spatial_dims, 2, encoder, decoder, final, half_resolution_decoder)
        self.flow = CONV[spatial_dims](self.backbone.out_channels, spatial_dims, kernel_size=3, padding=1)
        nn.init.normal_(self.flow.weight, std=1e-5)
        nn.init.zeros_(self.flow.bias)

    def forward(self, moving: Tensor, fixed: Tensor) -> Deformation:
        """The deformation of two images (B, 1, *spatial) of any equal size; ``dvf`` is at half resolution."""
        features = self.backbone(torch.cat([moving, fixed], dim=1))
        with torch.autocast(features.device.type, enabled=False):
            field = self.flow(features.float())
            if not self.diffeomorphic:
                return Deformation(resize_field(field, list(fixed.shape[2:])), features=features)
            # an axis of two voxels stays: on a single one no motion along it could be told
            dvf = resize_field(field, [max((n + 1) // 2, min(n, 2)) for n in fixed.shape[2:]])
            return self._integrated(dvf, fixed, features)

    def reverse(self, moving: Tensor, fixed: Tensor, deformation: Deformation) -> Deformation:
        """The way back: the flow of the opposite velocity, or the network on the swapped pair without one."""
        if deformation.dvf is None:
            return self(fixed, moving)
        return self._integrated(-deformation.dvf, fixed, deformation.features)

    def _integrated(self, dvf: Tensor, fixed: Tensor, features: Tensor | None) -> Deformation:
        ddf = resize_field(integrate(dvf, self.integration_steps), list(fixed.shape[2:]))
        return Deformation(ddf, dvf=dvf, stride=2, features=features)

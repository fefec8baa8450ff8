"""Pyramid: a velocity that is estimated from coarse to fine, each level on features warped by what is known so far."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InputError
from ..interfaces import Deformation, needed
from ..sizes import larger, smaller
from ..spatial import flow, integrate, resize_field, warp
from .dropout import Dropout
from .transmorph import LINEAR
from .unet import CONV, POOL, channels_last, crop, exact_where_tiny, flow_head, is_tiny, layers, pad_to_multiple
from .voxelmorph import check_width, he_normal


class Pyramid(nn.Module):
    """Register ``moving`` to ``fixed`` by one estimate a level, the coarsest first.

    One encoder sees either image alone, as the two streams of Hu et al. (Dual-Stream Pyramid Registration Network,
    MedIA 2022) do. At each of its levels, from 1/16 to 1/2 of the resolution, the moving features are warped by the
    flow of the velocity so far, and what they and the fixed features say of the rest is added to it: a large motion is
    found where it is a voxel or two, and finer levels see what remains of it. That estimates add up from coarse to
    fine, and that features of a level reach the next, is LapIRN's (Mok & Chung, MICCAI 2020), whose levels warp images
    and are trained one after another. Here all are trained at once, through the warps.

    Velocities are summed and their sum is integrated, so that the way back is the flow of the opposite velocity.

    Args:
        spatial_dims: 2 or 3.
        integration_steps: squarings of the integration, that of each level too.
        encoder: channels of each level, finest first; the first level is the image's, where nothing is estimated.
        hidden: channels of the layers that estimate.
        dropout: in training, behind the encoder's last convolution.
        width: what all channels are multiplied by.

    Raises:
        InputError: for settings that it cannot have.
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        integration_steps: int = 7,
        encoder: tuple[int, ...] = (16, 32, 32, 32, 32),
        hidden: int = 32,
        dropout: float = 0.0,
        width: int = 1,
    ) -> None:
        super().__init__()
        if spatial_dims not in CONV:
            raise InputError(f"spatial_dims is {spatial_dims}: it must be 2 or 3.")
        if len(encoder) < 2:
            raise InputError(f"encoder is {encoder!r}: it must have the channels of 2 levels or more.")
        self.spatial_dims, self.integration_steps = spatial_dims, integration_steps
        encoder, hidden = tuple(check_width(width) * each for each in encoder), width * hidden
        self.divisor = 2 ** (len(encoder) - 1)
        self.encoder = nn.ModuleList(layers(spatial_dims, i, o) for i, o in zip((1, *encoder), encoder))
        self.dropout = Dropout(dropout)
        known = [0] + [hidden + spatial_dims] * (len(encoder) - 2)  # the level before, of which the coarsest has none
        self.decoder = nn.ModuleList(
            layers(spatial_dims, 2 * channels + more, hidden, hidden) for channels, more in zip(encoder[:0:-1], known)
        )
        self.apply(he_normal)
        # one voxel of the coarsest level is many of the image, so that its first field must be the smaller
        self.flows = nn.ModuleList(flow_head(spatial_dims, hidden, 1e-6) for _ in known)

    def forward(self, moving: Tensor, fixed: Tensor) -> Deformation:
        """The deformation of two images (B, 1, *spatial) of any equal size; ``dvf`` is at half resolution."""
        size = list(fixed.shape[2:])
        half = [(n + 1) // 2 for n in size]
        velocity, features = self._estimated(moving, fixed)
        # an axis of two voxels stays: on a single one no motion along it could be told
        dvf = resize_field(crop(velocity, half), [larger(h, smaller(n, 2)) for h, n in zip(half, size)])
        return self._integrated(dvf, size, crop(features, half))

    def reverse(self, moving: Tensor, fixed: Tensor, deformation: Deformation) -> Deformation:
        """The way back: the flow of the opposite velocity."""
        dvf, features = needed(deformation.dvf, "velocity"), needed(deformation.features, "features")
        return self._integrated(-dvf, list(fixed.shape[2:]), features)

    def _integrated(self, dvf: Tensor, size: list[int], features: Tensor) -> Deformation:
        return Deformation(flow(dvf, size, self.integration_steps), dvf=dvf, stride=2, features=features)

    def _estimated(self, moving: Tensor, fixed: Tensor) -> tuple[Tensor, Tensor]:
        """The velocity (B, D, *half) and the features (B, hidden, *half) that it was last read from, padded."""
        levels = self._encoded(torch.cat([moving, fixed], dim=0))
        batch = fixed.shape[0]
        velocity = features = None
        for both, decoder, head in zip(levels, self.decoder, self.flows):
            there, here = both[:batch], both[batch:]
            if velocity is None or features is None:
                seen = [there, here]
            else:
                velocity = 2 * self._doubled(velocity)  # a voxel of the level before is two of this one
                there = warp(there, integrate(velocity, self.integration_steps), padding_mode="border")
                seen = [there, here, velocity.to(there.dtype), self._doubled(features).to(there.dtype)]
            features = apply(decoder, channels_last(torch.cat(seen, dim=1)))
            with torch.autocast(features.device.type, enabled=False):
                residual = head(features.float())
            velocity = residual if velocity is None else velocity + residual
        return needed(velocity, "velocity"), needed(features, "features")

    def _encoded(self, images: Tensor) -> list[Tensor]:
        """The features of ``images`` (B, 1, *spatial), coarsest first, without those at full resolution."""
        found: list[Tensor] = []
        x = channels_last(pad_to_multiple(images, self.divisor))
        for block in self.encoder:
            x = apply(block, POOL[self.spatial_dims](found[-1], 2) if found else x)
            found.append(self.dropout(x) if block is self.encoder[-1] else x)
        return found[:0:-1]

    def _doubled(self, x: Tensor) -> Tensor:
        """``x`` (B, C, *spatial) interpolated to twice the size; each voxel pooled two, so that borders coincide."""
        return F.interpolate(x, scale_factor=2, mode=LINEAR[self.spatial_dims])


def apply(block: nn.Module, x: Tensor) -> Tensor:
    """``block(x)``, in float32 where ``x`` is tiny."""
    with exact_where_tiny(x):
        return block(x.float() if is_tiny(x) else x)

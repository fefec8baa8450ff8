"""Pyramid: a velocity estimated from coarse to fine, on features that are warped by what is known of it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InputError
from ..interfaces import Deformation, needed
from ..sizes import larger, smaller
from ..spatial import flow, integrate, resize_field, warp
from .unet import CONV, POOL, channels_last, crop, exact_where_tiny, flow_head, is_tiny, layers, pad_to_multiple
from .voxelmorph import he_normal

LINEAR = {2: "bilinear", 3: "trilinear"}


class Pyramid(nn.Module):
    def __init__(
        self,
        spatial_dims: int = 2,
        integration_steps: int = 7,
        encoder: tuple[int, ...] = (16, 32, 32, 32, 32),
        hidden: int = 32,
        radius: int = 0,
        convs: int = 1,
        detach: bool = False,
        inner_steps: int = 7,
        compose: bool = False,
    ) -> None:
        super().__init__()
        self.spatial_dims, self.integration_steps = spatial_dims, integration_steps
        self.radius, self.detach, self.inner = radius, detach, inner_steps
        self.encoder = nn.ModuleList(
            layers(spatial_dims, i, *[o] * (1 if number == 0 else convs))
            for number, (i, o) in enumerate(zip((1, *encoder), encoder))
        )
        levels = encoder[:0:-1]
        corr = (2 * radius + 1) ** spatial_dims if radius else 0
        self.decoder = nn.ModuleList(
            layers(spatial_dims, 2 * c + corr + (spatial_dims + hidden if number else 0), hidden, hidden)
            for number, c in enumerate(levels)
        )
        self.flows = nn.ModuleList(flow_head(spatial_dims, hidden) for _ in levels)
        self.encoder.apply(he_normal)
        self.decoder.apply(he_normal)
        self.divisor = 2 ** len(levels)

    def forward(self, moving: Tensor, fixed: Tensor) -> Deformation:
        size = list(fixed.shape[2:])
        both = pad_to_multiple(torch.cat([moving, fixed], dim=0), self.divisor)
        velocity, features = self._down(self._pyramid(both))
        dvf = crop(velocity, [(n + 1) // 2 for n in size])
        dvf = resize_field(dvf, [larger((n + 1) // 2, smaller(n, 2)) for n in size])
        return self._integrated(dvf, size, features)

    def _pyramid(self, x):
        x = channels_last(x)
        found = []
        for number, block in enumerate(self.encoder):
            x = block(x if number == 0 else POOL[self.spatial_dims](x, 2))
            found.append(x)
        return found[1:]

    def _down(self, pyramid):
        velocity = hidden = None
        for block, head, both in zip(self.decoder, self.flows, reversed(pyramid)):
            moving, fixed = both.chunk(2)
            known = []
            if velocity is not None:
                velocity = 2 * self._up(velocity)
                v = velocity.detach() if self.detach else velocity
                moving = warp(moving, integrate(v, self.inner), padding_mode="border")
                known = [velocity.to(moving.dtype), self._up(hidden)]
            if self.radius:
                known.append(correlation(moving, fixed, self.radius))
            hidden = block(channels_last(torch.cat([moving, fixed, *known], dim=1)))
            with torch.autocast(hidden.device.type, enabled=False):
                residual = head(hidden.float())
                velocity = residual if velocity is None else velocity + residual
        return velocity, hidden

    def _up(self, x):
        return F.interpolate(x, scale_factor=2, mode=LINEAR[self.spatial_dims])

    def reverse(self, moving, fixed, deformation):
        return self._integrated(-needed(deformation.dvf, "velocity"), list(fixed.shape[2:]), needed(deformation.features, "features"))

    def _integrated(self, dvf, size, features):
        return Deformation(flow(dvf, size, self.integration_steps), dvf=dvf, stride=2, features=features)


def correlation(moving, fixed, radius):
    padded = F.pad(fixed, [radius] * (2 * (fixed.dim() - 2)))
    spans = [range(2 * radius + 1)] * (fixed.dim() - 2)
    import itertools
    out = []
    for offset in itertools.product(*spans):
        shifted = padded
        for axis, o in enumerate(offset):
            shifted = shifted.narrow(axis + 2, o, fixed.shape[axis + 2])
        out.append((moving * shifted).mean(1, keepdim=True))
    return torch.cat(out, 1)

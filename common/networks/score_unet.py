"""The score network of DiffuseMorph: a U-Net that predicts the noise in an image, given its time step."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from monai.networks.nets.diffusion_model_unet import DiffusionUNetResnetBlock, get_timestep_embedding
from monai.networks.utils import pixelshuffle, pixelunshuffle
from torch import Tensor, nn

from .unet import CONV, channels_last, exact_where_tiny, is_tiny, set_bias


class ScoreUNet(nn.Module):
    """Predict the noise in ``images[:, -1:]``, (B, 1, *spatial), from images (B, in_channels, *spatial) and steps (B,).

    The layers of MONAI's ``DiffusionModelUNet`` with one residual block a level and attention in the middle alone,
    whose residual blocks these are. Two things differ: the embedding of the time step is as wide as the finest level,
    not four times as wide, and attention needs no further package.

    Args:
        spatial_dims: 2 or 3.
        in_channels: number of images.
        channels: of each level, finest first.
        groups: of every normalisation.
        patch: voxels an axis that the first level holds as channels, and the output gives back.
        qkv_bias: whether the queries, keys and values of the attention have a bias.
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        in_channels: int = 3,
        channels: tuple[int, ...] = (64, 128, 256, 256),
        groups: int = 32,
        patch: int = 1,
        qkv_bias: bool = True,
    ) -> None:
        super().__init__()
        convolution, voxels = CONV[spatial_dims], patch**spatial_dims
        self.spatial_dims, self.patch, self.width = spatial_dims, patch, channels[0]
        self.divisor = patch * 2 ** (len(channels) - 1)

        def block(inputs: int, outputs: int) -> nn.Module:
            return DiffusionUNetResnetBlock(spatial_dims, inputs, self.width, outputs, norm_num_groups=groups)

        self.embedding = nn.Sequential(
            nn.Linear(self.width, 4 * self.width), nn.SiLU(), nn.Linear(4 * self.width, self.width)
        )
        self.first = convolution(in_channels * voxels, self.width, kernel_size=3, padding=1)
        finer = (self.width, *channels[:-1])
        self.down = nn.ModuleList(block(i, o) for i, o in zip(finer, channels))
        self.coarsen = nn.ModuleList(convolution(c, c, kernel_size=3, stride=2, padding=1) for c in channels[:-1])
        self.middle = nn.ModuleList(block(channels[-1], channels[-1]) for _ in range(2))
        self.attention = Attention(channels[-1], groups, qkv_bias)
        coarser = (*channels[1:], channels[-1])
        self.up = nn.ModuleList(
            nn.ModuleList([block(below + c, c), block(c + above, c)])
            for above, c, below in reversed(list(zip(finer, channels, coarser)))
        )
        self.refine = nn.ModuleList(convolution(c, c, kernel_size=3, padding=1) for c in channels[:0:-1])
        self.norm = nn.GroupNorm(groups, self.width, eps=1e-6)
        self.last = convolution(self.width, voxels, kernel_size=3, padding=1)
        nn.init.zeros_(self.last.weight)  # as its blocks do: a new network predicts no noise
        set_bias(self.last, 0.0)

    def forward(self, images: Tensor, steps: Tensor) -> Tensor:
        """The noise, float32; every axis of ``images`` divides by ``divisor``."""
        with torch.autocast(images.device.type, enabled=False):
            time = self.embedding(embedded(steps, self.width))
        x = pixelunshuffle(images, self.spatial_dims, self.patch) if self.patch > 1 else images
        x = channels_last(x)
        skips = [self.first(x)]
        for level, block in enumerate(self.down):
            skips.append(exactly(block, skips[-1], time))
            if level < len(self.coarsen):
                skips.append(coarsened(self.coarsen[level], skips[-1]))
        x = exactly(self.middle[0], skips[-1], time)
        x = exactly(self.middle[1], exactly(self.attention, x), time)
        for level, blocks in enumerate(self.up):
            if level:
                x = exactly(self.refine[level - 1], F.interpolate(x, scale_factor=2.0, mode="nearest"))
            for block in blocks.children():
                x = exactly(block, torch.cat([x, skips.pop()], dim=1), time)
        x = self.last(F.silu(self.norm(x))).float()
        return pixelshuffle(x, self.spatial_dims, self.patch) if self.patch > 1 else x


@torch.jit.script_if_tracing
def embedded(steps: Tensor, width: int) -> Tensor:
    """MONAI's sines and cosines of ``steps`` (B,): (B, width)."""
    return get_timestep_embedding(steps, width)


class Attention(nn.Module):
    """Let every voxel look at every other: single-head self-attention with a skip.

    Args:
        channels: of the features.
        groups: of the normalisation before it.
        qkv_bias: whether queries, keys and values have a bias.
    """

    def __init__(self, channels: int, groups: int, qkv_bias: bool = True) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, eps=1e-6)
        self.inputs = nn.Linear(channels, 3 * channels, bias=qkv_bias)
        self.output = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Features of the same shape (B, C, *spatial)."""
        tokens = self.norm(x).flatten(2).transpose(1, 2)
        queries, keys, values = self.inputs(tokens).chunk(3, dim=-1)
        tokens = self.output(F.scaled_dot_product_attention(queries, keys, values))
        return x + tokens.transpose(1, 2).reshape(x.shape)


def exactly(module: nn.Module, x: Tensor, *others: Any) -> Tensor:
    """``module(x, *others)``, in float32 where ``x`` is so small that bfloat16 could give a gradient of NaN."""
    with exact_where_tiny(x):
        return module(x.float() if is_tiny(x) else x, *others)


def coarsened(module: nn.Module, x: Tensor) -> Tensor:
    """``exactly``, for a convolution of stride 2: what counts is the size of its output."""
    every_other = (slice(None), slice(None), *[slice(None, None, 2)] * (x.dim() - 2))
    coarse = x[every_other]
    with exact_where_tiny(coarse):
        return module(x.float() if is_tiny(coarse) else x)

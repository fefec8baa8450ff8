"""The deformation network of DiffuseMorph as its authors built it (Kim et al., ECCV 2022)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .dropout import Dropout
from .score_unet import coarsened, exactly
from .unet import channels_last, flow_head, layers

TRANSPOSED = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
DOWN = (2, 64, 128, 256, 512, 1024)  # the images, then each level, finest first
SKIPS = (512, 256, 128, 64)
UP = ((1024, 1024), (1024, 512), (512, 256, 128), (128, 64))  # of each step up: what comes from below, what blocks give


class PublishedField(nn.Module):
    """Map images (B, 2, *spatial), moving and score, to a displacement (B, D, *spatial) in voxels, float32.

    A block is two convolutions of 3 voxels, each with LeakyReLU(0.2). Down, a block a level: 64, 128, 256, 512, 1024,
    the first convolution of all but the finest with stride 2. Up, four times: a transposed convolution of 3 voxels
    and stride 2 that keeps the channels, the skip behind it (concatenated: skip first), and a block, so
    1024 + 512 -> 1024, 1024 + 256 -> 512, 512 + 128 -> 256, then another block 256 -> 128 without a step, and
    128 + 64 -> 64. A convolution of 3 voxels gives the field. 74,736,258 parameters in 2D.

    Args:
        spatial_dims: 2 or 3.
        dropout: chance of each element behind the deepest block to become 0 in training.
    """

    divisor = 2 ** len(UP)

    def __init__(self, spatial_dims: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            layers(spatial_dims, i, o, o, stride=1 + bool(level)) for level, (i, o) in enumerate(zip(DOWN, DOWN[1:]))
        )
        self.dropout = Dropout(dropout)
        self.up = nn.ModuleList(
            TRANSPOSED[spatial_dims](i, i, kernel_size=3, stride=2, padding=1, output_padding=1) for i, *_ in UP
        )
        self.join = nn.ModuleList(
            layers(spatial_dims, skip + i, *[o for o in outputs for _ in range(2)])
            for skip, (i, *outputs) in zip(SKIPS, UP)
        )
        self.flow = flow_head(spatial_dims, UP[-1][-1])

    def forward(self, images: Tensor) -> Tensor:
        """The displacement; every axis of ``images`` divides by ``divisor``."""
        x = channels_last(images)
        skips: list[Tensor] = []
        for block in self.down:
            x = coarsened(block, x) if skips else block(x)
            skips.append(x)
        x = self.dropout(skips.pop())
        for up, blocks in zip(self.up, self.join):
            x = exactly(blocks, torch.cat([skips.pop(), exactly(up, x)], dim=1))
        with torch.autocast(x.device.type, enabled=False):
            return self.flow(x.float())

"""TransMorph: a Swin transformer that predicts a displacement."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InputError
from ..interfaces import Deformation
from ..sizes import is_exporting, settled
from .dropout import Dropout
from .swin import SwinEncoder
from .unet import CONV, channels_last, crop, exact_where_tiny, flow_head, is_tiny, pad_to_multiple

EPSILON = 1e-5
PATCH = 4  # voxels along each axis of a token
WINDOWS = {2: (8, 8), 3: (4, 4, 4)}
AVERAGE = {2: F.avg_pool2d, 3: F.avg_pool3d}
LINEAR = {2: "bilinear", 3: "trilinear"}


class Variant(NamedTuple):
    """A size of TransMorph.

    Attributes:
        embed: channels of the first stage.
        half, full: channels of the convolutions at half and at full resolution.
        depths, heads: blocks and attention heads of each stage.
        mlp_ratio: hidden channels of the perceptrons over their inputs.
        drop_path: chance that the last block is left out in training.
        as_released: windows and pooling as in the authors' code, for weights trained by it.
    """

    embed: int
    half: int
    full: int
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    mlp_ratio: float = 4.0
    drop_path: float = 0.3
    as_released: bool = False


VARIANTS = {
    "published": Variant(96, 48, 16, depths=(2, 2, 4, 2), heads=(4, 4, 8, 8), as_released=True),
    "small": Variant(32, 16, 16, depths=(2, 2, 4, 2), heads=(2, 2, 4, 4), drop_path=0.1),
}


class TransMorph(nn.Module):
    """Register ``moving`` to ``fixed`` (Chen et al., 2022): the displacement itself, nothing is integrated.

    Windows have 64 tokens whatever the number of dimensions: 8 x 8 as published in 2D, 4 x 4 x 4 in 3D. Attention
    then costs the same for each token, and 16 voxels a side, growing to 128 at the coarsest stage, exceed any motion
    between two phases of an organ. (The published 5 x 6 x 7 were made to divide the one size of brain images.)

    "published" is the authors' network to the letter, for weights trained by their code (``from_transmorph``): windows
    stay whole whatever the grid (``SwinEncoder``), and the skip at half resolution is pooled over 3 voxels, stride 2,
    the zeros around the image counted. "small" pools over 2, and its windows shrink to small grids, so that nothing is
    computed for tokens, or depends on them, that only fill up a window.

    Args:
        spatial_dims: 2 or 3.
        variant: "published" (31 M parameters in 2D) or "small" (trains on a CPU).
        checkpointing: trade time for memory: compute the transformer's blocks again on the way back.
        dropout: chance of each element behind the transformer's last stage to become 0 in training.

    Raises:
        InputError: if ``spatial_dims`` is not 2 or 3, ``variant`` is not known, or ``dropout`` is not in [0, 1).
    """

    def __init__(
        self, spatial_dims: int = 2, variant: str = "small", checkpointing: bool = False, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if spatial_dims not in CONV:
            raise InputError(f"spatial_dims is {spatial_dims}: it must be 2 or 3.")
        if variant not in VARIANTS:
            raise InputError(f"variant is {variant!r}: TransMorph has {', '.join(VARIANTS)}.")
        self.spatial_dims, size = spatial_dims, VARIANTS[variant]
        self.encoder = SwinEncoder(
            spatial_dims,
            in_channels=2,
            embed=size.embed,
            depths=size.depths,
            heads=size.heads,
            window=WINDOWS[spatial_dims],
            patch=PATCH,
            mlp_ratio=size.mlp_ratio,
            drop_path=size.drop_path,
            checkpointing=checkpointing,
            whole_windows=size.as_released,
        )
        self.pool = (3, 2, 1) if size.as_released else (2, 2, 0)  # kernel, stride, padding
        self.dropout = Dropout(dropout)
        self.skips = nn.ModuleList(Convolution(spatial_dims, 2, channels) for channels in (size.half, size.full))
        channels = [*reversed(self.encoder.channels), size.half, size.full]
        self.decoder = nn.ModuleList(Up(spatial_dims, *c) for c in zip(channels, channels[1:]))
        self.flow = flow_head(spatial_dims, size.full)

    def forward(self, moving: Tensor, fixed: Tensor) -> Deformation:
        """The deformation of two images (B, 1, *spatial) of any equal size."""
        size = list(fixed.shape[2:])
        images = pad_to_multiple(torch.cat([moving, fixed], dim=1), PATCH)
        features = crop(self._features(channels_last(images)), size)
        with torch.autocast(features.device.type, enabled=False):
            return Deformation(self.flow(features.float()), features=features)

    def reverse(self, moving: Tensor, fixed: Tensor, deformation: Deformation) -> Deformation:
        """The way back: the network on the swapped pair."""
        return self(fixed, moving)

    def _features(self, images: Tensor) -> Tensor:
        *skips, x = self.encoder(images)
        x = self.dropout(x)
        half, full = self.skips
        skips = [full(images), half(AVERAGE[self.spatial_dims](images, *self.pool)), *skips]
        for up in self.decoder:
            x = up(x, skips.pop())
        return x


class Up(nn.Module):
    """Double the resolution: linear interpolation, a skip, two convolutions.

    Args:
        spatial_dims: 2 or 3.
        inputs: channels at the lower resolution.
        outputs: channels of the skip and of the result.
    """

    def __init__(self, spatial_dims: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.mode = LINEAR[spatial_dims]
        self.first = Convolution(spatial_dims, inputs + outputs, outputs)
        self.second = Convolution(spatial_dims, outputs, outputs)

    def forward(self, coarse: Tensor, skip: Tensor) -> Tensor:
        """(B, inputs, *coarse) and (B, outputs, *spatial) to (B, outputs, *spatial)."""
        fine = crop(F.interpolate(coarse, scale_factor=2, mode=self.mode), list(skip.shape[2:]))
        return self.second(self.first(torch.cat([fine, skip], dim=1)))


class Convolution(nn.Module):
    """Convolve 3 voxels, normalise each channel of each image, LeakyReLU(0.01).

    Args:
        spatial_dims: 2 or 3.
        inputs, outputs: channels.
    """

    def __init__(self, spatial_dims: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = CONV[spatial_dims](inputs, outputs, kernel_size=3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, *spatial) to (B, outputs, *spatial)."""
        with exact_where_tiny(x):
            x = self.convolution(x.float() if is_tiny(x) else x)
        return F.leaky_relu(normalise(x), 0.01, inplace=True)


def normalise(x: Tensor) -> Tensor:
    """Instance normalisation of (B, C, *spatial): mean 0 and variance 1 in every channel of every image."""
    if is_exporting():
        return torch.group_norm(x, settled(x.shape[1]), eps=EPSILON)
    return normalise_images(x, EPSILON)


@torch.jit.script_if_tracing
def normalise_images(x: Tensor, epsilon: float) -> Tensor:
    """``normalise``, on any device."""
    if x.device.type != "cpu":
        return torch.instance_norm(x, None, None, None, None, True, 0.0, epsilon, True)
    # channels lie last: instance_norm would copy them apart and is 2.5 times as slow, group_norm's gradient 20 times
    return torch.cat(
        [torch.batch_norm(image, None, None, None, None, True, 0.0, epsilon, False) for image in x.split(1)]
    )

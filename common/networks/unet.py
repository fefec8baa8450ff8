"""The U-Net of VoxelMorph (Balakrishnan et al., 2019), the backbone of estimators and companions."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InputError
from ..interfaces import needed
from ..sizes import any_moves, is_exporting, is_tracing, settled
from .dropout import Dropout

Conv = nn.Conv2d | nn.Conv3d
CONV: dict[int, type[Conv]] = {2: nn.Conv2d, 3: nn.Conv3d}
POOL = {2: F.max_pool2d, 3: F.max_pool3d}
CONVOLVE = {2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {2: F.conv_transpose2d, 3: F.conv_transpose3d}
TINY = 512  # voxels


class UNet(nn.Module):
    """Map images (B, in_channels, *spatial) of any size to features (B, out_channels, *spatial).

    Convolutions of 3 voxels with LeakyReLU(0.2), max pooling, nearest upsampling with skips, no
    normalisation. MONAI's ``VoxelMorphUNet`` has the same layers but refuses an odd number of inputs.

    Args:
        spatial_dims: 2 or 3.
        in_channels: number of input images.
        encoder: channels of each level, finest first.
        decoder: channels of each level, coarsest first.
        final: channels of the convolutions after the decoder.
        half_resolution: leave out the decoder's last step up, so that features (and all the work on
            them) are at half of the resolution.
        dropout: chance of each element behind the encoder's last convolution to become 0 in training.
        anisotropic: pool within slices only, and keep every slice, along the last axis, at every level (as nnU-Net
            does of thick slices, Isensee et al., 2021).

    Raises:
        InputError: if ``spatial_dims`` is not 2 or 3, or ``dropout`` is not in [0, 1).
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        in_channels: int = 2,
        encoder: tuple[int, ...] = (16, 32, 32, 32),
        decoder: tuple[int, ...] = (32, 32, 32, 32),
        final: tuple[int, ...] = (32, 16, 16),
        half_resolution: bool = False,
        dropout: float = 0.0,
        anisotropic: bool = False,
    ) -> None:
        super().__init__()
        if spatial_dims not in CONV:
            raise InputError(f"spatial_dims is {spatial_dims}: it must be 2 or 3.")
        self.spatial_dims, self.half_resolution = spatial_dims, half_resolution
        self.strides = (2,) * (spatial_dims - 1) + (1 if anisotropic else 2,)
        self.stride = self.strides if anisotropic else 2
        self.out_channels = final[-1]
        self.divisor = 2 ** len(encoder)
        self.encoder = self._convolutions([in_channels, *encoder])
        self.dropout = Dropout(dropout)
        skips = [0, *encoder[:0:-1]]  # the coarsest convolution has no skip, the finest skip goes to ``final``
        inputs = [c + s for c, s in zip((encoder[-1], *decoder), skips)]
        self.decoder = nn.ModuleList(self._convolution(i, o) for i, o in zip(inputs, decoder))
        first = decoder[-1] + (0 if half_resolution else encoder[0])
        self.final = self._convolutions([first, *final])
        self.spread: Tensor
        self.register_buffer("spread", spreading(self.strides), persistent=False)

    def _convolution(self, inputs: int, outputs: int) -> Conv:
        return CONV[self.spatial_dims](inputs, outputs, kernel_size=3, padding=1)

    def _convolutions(self, channels: list[int]) -> nn.ModuleList:
        return nn.ModuleList(self._convolution(i, o) for i, o in zip(channels, channels[1:]))

    def _upsampled(self, convolution: nn.Module, coarse: Tensor, skip: Tensor) -> Tensor:
        """``convolution(cat([upsample(coarse), skip]))`` without ever making the upsampled image.

        After nearest upsampling a kernel of 3 sees only 2 different voxels an axis, so it is a transposed
        convolution of ``coarse`` with a kernel of 4: 4/9 (in 3D 8/27) of the multiplications.
        """
        inputs, size = settled(coarse.shape[1]), [2 + n for n in self.strides]
        kernel, bias = convolution.parameters()
        with torch.autocast(coarse.device.type, enabled=False):
            weight = (kernel[:, :inputs].flatten(2) @ self.spread).unflatten(2, size).transpose(0, 1)
        fine = CONVOLVE[self.spatial_dims](skip, kernel[:, inputs:], bias, padding=1)
        return fine.add_(TRANSPOSED[self.spatial_dims](coarse, weight, stride=self.strides, padding=1))

    def forward(self, image: Tensor) -> Tensor:
        """Features at the size of ``image`` (half of it, rounded up, with ``half_resolution``)."""
        size = image.shape[2:]
        x = channels_last(pad_to_multiple(image, self.divisor, kept=self.strides.count(1)))
        skips = []
        for convolution in self.encoder:
            with exact_where_tiny(x):
                x = activate(convolution(x.float() if is_tiny(x) else x))
            skips.append(self.dropout(x) if convolution is self.encoder[-1] else x)
            x = POOL[self.spatial_dims](skips[-1], self.strides)
        with exact_where_tiny(x):
            x = activate(self.decoder[0](x.float() if is_tiny(x) else x))
        with_skip = [*self.decoder[1:], *([] if self.half_resolution else self.final[:1])]
        for convolution in with_skip:
            skip = skips.pop()
            with exact_where_tiny(skip):
                x, skip = (x.float(), skip.float()) if is_tiny(skip) else (x, skip)
                x = activate(self._upsampled(convolution, x, skip))
        for convolution in self.final if self.half_resolution else self.final[1:]:
            x = activate(convolution(x))
        return crop(x, coarser(size, self.strides) if self.half_resolution else list(size))


def coarser(size: Sequence[int], strides: Sequence[int]) -> list[int]:
    """``size`` in steps of ``strides``, rounded up."""
    return [(n + s - 1) // s for n, s in zip(size, strides)]


def flow_head(spatial_dims: int, channels: int, spread: float = 1e-5, components: int | None = None) -> Conv:
    """The convolution of 3 voxels from features to a field, near 0 for any features as training begins.

    Args:
        components: of the field; None is one for each axis.
    """
    flow = CONV[spatial_dims](channels, components or spatial_dims, kernel_size=3, padding=1)
    nn.init.normal_(flow.weight, std=spread)
    set_bias(flow, 0.0)
    return flow


def layers(spatial_dims: int, *channels: int, stride: int = 1) -> nn.Sequential:
    """Convolutions of 3 voxels from each of ``channels`` to the next, each with LeakyReLU(0.2); the first strided."""
    parts: list[nn.Module] = []
    for i, o in zip(channels, channels[1:]):
        convolution = CONV[spatial_dims](i, o, kernel_size=3, padding=1, stride=1 if parts else stride)
        parts += [convolution, nn.LeakyReLU(0.2, inplace=True)]
    return nn.Sequential(*parts)


def set_bias(convolution: Conv, value: float) -> None:
    """Let ``convolution`` begin with ``value`` as its bias."""
    nn.init.constant_(needed(convolution.bias, "bias"), value)


def spreading(strides: Sequence[int]) -> Tensor:
    """The matrix from a kernel (3^D) on an image upsampled by ``strides`` to that of the transposed convolution."""
    axes = {
        1: torch.eye(3).flip(1),
        2: torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0]]),
    }
    return reduce(torch.kron, [axes[n] for n in strides])


def is_tiny(x: Tensor) -> bool:
    """Whether ``x`` is a volume of so few voxels that oneDNN's bfloat16 weight gradient now and then is NaN."""
    return x.dim() == 5 and not is_tracing() and x[0, 0].numel() <= TINY


def exact_where_tiny(x: Tensor) -> AbstractContextManager:
    """Compute in float32 where ``x`` is tiny: it costs nothing there."""
    return torch.autocast(x.device.type, enabled=False) if is_tiny(x) else nullcontext()


def activate(x: Tensor) -> Tensor:
    """LeakyReLU(0.2), in place: a convolution's output is not needed for its gradient."""
    return F.leaky_relu(x, 0.2, inplace=True)


def channels_last(image: Tensor) -> Tensor:
    """``image`` (B, C, *spatial) in the layout that convolutions are fastest in.

    A lone channel's strides fit either layout, so that ``contiguous`` leaves them, and convolutions take it to lie
    first: on a CPU each layer after it is slower for that, the whole step of an estimator 1.5 to 1.9 times.
    """
    if is_exporting():
        return image
    if settled(image.shape[1]) == 1:
        return image.reshape(image.shape[0], *image.shape[2:], 1).movedim(-1, 1)
    return image.contiguous(memory_format=torch.channels_last if image.dim() == 4 else torch.channels_last_3d)


def pad_to_multiple(image: Tensor, divisor: int, kept: int = 0) -> Tensor:
    """Append zeros to ``image`` (B, C, *spatial) until every axis but the last ``kept`` divides by ``divisor``."""
    last = image.dim() - 1 - kept
    padding = [0, 0] * kept + [p for axis in range(last, 1, -1) for p in (0, -image.shape[axis] % divisor)]
    return F.pad(image, padding) if any_moves(padding) else image


def crop(image: Tensor, size: list[int]) -> Tensor:
    """The first ``size`` voxels of every axis."""
    for axis, n in enumerate(size):
        if is_tracing() or image.shape[axis + 2] != n:  # a cut that cuts nothing still costs a copy on the way back
            image = image.narrow(axis + 2, 0, n)
    return image

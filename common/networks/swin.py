"""The Swin transformer (Liu et al., 2021): attention within windows that shift from block to block."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from monai.networks.blocks import MLPBlock, PatchEmbed
from monai.networks.layers import DropPath
from monai.networks.nets.swin_unetr import PatchMergingV2, window_partition, window_reverse
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..sizes import any_moves, count_up, is_tracing, settled, smaller
from .windows import Size, apart, forbidden_pairs, relative_positions


class SwinEncoder(nn.Module):
    """Map images (B, in_channels, *spatial) to features of every stage, at 1/patch, 1/(2 patch), ...

    Patches, their merging, the perceptron and drop-path are MONAI's. Its blocks are not: where the grid is
    smaller than the window (at 128 x 128 the last stage of TransMorph has 4 x 4 tokens for a window of
    8 x 8) they shrink the window, but look up the relative positions of a row-wise cut of the large one,
    so that the bias of a pair of tokens is that of another pair; and they attend to padding.

    Where the window does not fit, ours either shrink it to the grid, do not shift along an axis that it covers, and
    attend to no padding; or, with ``whole_windows``, do as Swin's own code: the normalised tokens are filled up with
    zeros to whole windows, which are attended to like any token, and every second block shifts whatever the size.

    Args:
        spatial_dims: 2 or 3.
        in_channels: number of input images.
        embed: channels of the first stage; each further one has twice as many.
        depths, heads: blocks and attention heads of each stage.
        window: tokens along each axis of a window.
        patch: voxels along each axis of a token.
        mlp_ratio: hidden channels of the perceptron over its inputs.
        drop_path: chance that the last block is left out in training; that of the others grows to it linearly.
        checkpointing: compute the blocks again on the way back instead of keeping their results.
        whole_windows: neither shrink windows nor hide what fills them up.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        embed: int,
        depths: tuple[int, ...],
        heads: tuple[int, ...],
        window: Size,
        patch: int = 4,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        checkpointing: bool = False,
        whole_windows: bool = False,
    ) -> None:
        super().__init__()
        self.embed = PatchEmbed(patch, in_channels, embed, spatial_dims=spatial_dims)
        self.channels = tuple(embed * 2**stage for stage in range(len(depths)))
        drops = iter(torch.linspace(0, drop_path, sum(depths), device="cpu").tolist())
        self.stages = nn.ModuleList(
            Stage(c, h, window, mlp_ratio, [next(drops) for _ in range(depth)], checkpointing, whole_windows)
            for c, h, depth in zip(self.channels, heads, depths)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(c) for c in self.channels)
        self.mergings = nn.ModuleList(PatchMergingV2(c, spatial_dims=spatial_dims) for c in self.channels[:-1])

    def forward(self, image: Tensor) -> list[Tensor]:
        """Features (B, channels[i], *grid) of each stage, finest first; grids round up where they do not divide."""
        x = self.embed(image).movedim(1, -1)
        features = []
        for stage, norm, merging in zip(self.stages, self.norms, [*self.mergings, None]):
            x = stage(x)
            features.append(norm(x).movedim(x.dim() - 1, 1))
            x = x if merging is None else merging(padded_to_even(x))
        return features


def padded_to_even(x: Tensor) -> Tensor:
    """Tokens (B, *grid, C) as they are; in a trace, with the zeros that a merging appends to grids of odd sizes."""
    if not is_tracing():
        return x
    return F.pad(x, [0, 0, *(p for n in reversed(x.shape[1:-1]) for p in (0, n % 2))])


class Stage(nn.Module):
    """Blocks at one resolution, every second one with shifted windows.

    Args:
        channels: of the tokens.
        heads: of the attention.
        window: tokens along each axis.
        mlp_ratio: of the perceptrons.
        drop_paths: chance of being left out, one a block.
        checkpointing, whole_windows: see ``SwinEncoder``.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        window: Size,
        mlp_ratio: float,
        drop_paths: list[float],
        checkpointing: bool,
        whole_windows: bool,
    ) -> None:
        super().__init__()
        self.window, self.checkpointing, self.whole_windows = window, checkpointing, whole_windows
        self.blocks = nn.ModuleList(Block(channels, heads, window, mlp_ratio, drop) for drop in drop_paths)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, *grid, C) to tokens of the same shape."""
        window, half, seen = self._windows(tuple(x.shape[1:-1]))
        layouts = [(shift, self._forbidden(seen, window, shift, x)) for shift in ((0,) * len(seen), half)]
        for number, block in enumerate(self.blocks):
            arguments = (x, window, *layouts[number % 2])
            if self.checkpointing and not is_tracing():
                x = checkpoint(block, *arguments, use_reentrant=False)
            else:
                x = block(*arguments)
        return x

    def _windows(self, grid: Size) -> tuple[Size, Size, Size]:
        """The window, the shift of every second block, and how much of the padded grid is there to be seen."""
        if self.whole_windows:
            half, padded = (w // 2 for w in self.window), (n + -n % w for n, w in zip(grid, self.window))
            return self.window, tuple(half), tuple(padded)
        window = tuple(map(smaller, grid, self.window))
        half = (w // 2 * smaller(n - w, 1) for n, w in zip(grid, window))  # 0 where one window covers the axis
        return window, tuple(half), grid

    @staticmethod
    def _forbidden(grid: Size, window: Size, shift: Size, x: Tensor) -> Tensor | None:
        if is_tracing():  # whether all belong together is not settled, nor the device
            return apart([count_up(n + -n % w, x) for n, w in zip(grid, window)], grid, window, shift)
        return forbidden_pairs(grid, window, shift, x.device)


class Block(nn.Module):
    """Attention within windows, then a perceptron, both residual.

    Args:
        channels: of the tokens.
        heads: of the attention.
        window: largest window.
        mlp_ratio: of the perceptron.
        drop_path: chance of being left out in training.
    """

    def __init__(self, channels: int, heads: int, window: Size, mlp_ratio: float, drop_path: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.attention = WindowAttention(channels, heads, window)
        self.perceptron = MLPBlock(channels, int(channels * mlp_ratio), act="GELU", dropout_mode="swin")
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, window: Size, shift: Size, forbidden: Tensor | None) -> Tensor:
        """Tokens (B, *grid, C) to tokens of the same shape; ``forbidden`` as of ``forbidden_pairs``."""
        x = x + self.drop_path(self._attend(self.norm1(x), window, shift, forbidden))
        return x + self.drop_path(self.perceptron(self.norm2(x)))

    def _attend(self, x: Tensor, window: Size, shift: Size, forbidden: Tensor | None) -> Tensor:
        grid, axes = x.shape[1:-1], tuple(range(1, x.dim() - 1))
        padding = [p for n, w in zip(reversed(grid), reversed(window)) for p in (0, -n % w)]
        x = F.pad(x, [0, 0, *padding]) if any_moves(padding) else x
        padded = list(x.shape[:-1])
        x = rolled(x, shift, axes) if any_moves(shift) else x
        x = self.attention(window_partition(x, window), window, forbidden)
        x = window_reverse(x, window, padded)
        x = rolled(x, [-s for s in shift], axes) if any_moves(shift) else x
        whole = (slice(None), *map(slice, grid))
        return x[whole] if any_moves(padding) else x


def rolled(x: Tensor, shift: Sequence[int], axes: tuple[int, ...]) -> Tensor:
    """``x`` with what lies at ``shift`` along ``axes`` brought to 0, and round the end."""
    if not is_tracing():
        return x.roll([-s for s in shift], axes)
    for axis, s in zip(axes, shift):  # not every runtime rolls by what it learns from the image
        start = s % x.shape[axis]
        x = torch.cat([x.narrow(axis, start, x.shape[axis] - start), x.narrow(axis, 0, start)], dim=axis)
    return x


class WindowAttention(nn.Module):
    """Attention of all tokens of a window to each other, biased by their relative position.

    Args:
        channels: of the tokens.
        heads: of the attention.
        window: largest window; a smaller one uses the biases of the same relative positions.
    """

    def __init__(self, channels: int, heads: int, window: Size) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.projection = nn.Linear(channels, channels)
        self.bias = nn.Parameter(torch.empty(math.prod(2 * w - 1 for w in window), heads))
        nn.init.trunc_normal_(self.bias, std=0.02)
        self.positions: Tensor
        self.register_buffer("positions", relative_positions(window), persistent=False)

    def forward(self, x: Tensor, window: Size, forbidden: Tensor | None) -> Tensor:
        """Tokens (B * windows, n, C) to the same; ``forbidden`` (windows, n, n) is True where one may not look."""
        windows, n, channels = x.shape
        q, k, v = self.qkv(x).view(windows, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        logits = (q * (settled(channels) // self.heads) ** -0.5) @ k.transpose(-2, -1)
        bias = self._bias(window)
        if forbidden is not None:
            bias = bias.masked_fill(forbidden[:, None], -torch.inf)
        logits = logits.unflatten(0, (-1, bias.shape[0])) + bias
        x = logits.softmax(-1).to(v.dtype).flatten(0, 1) @ v
        return self.projection(x.transpose(1, 2).reshape(windows, n, channels))

    def _bias(self, window: Size) -> Tensor:
        """(1, heads, n, n)."""
        rows = self.positions[tuple(map(slice, window * 2))].flatten()
        n = math.prod(window)
        return F.embedding(rows, self.bias).T.view(1, self.heads, n, n)

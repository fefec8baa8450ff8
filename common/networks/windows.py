"""Windows of tokens: where two lie to each other, and which of them belong together."""

from __future__ import annotations

from functools import reduce

import torch
from monai.networks.nets.swin_unetr import window_partition
from torch import Tensor

Size = tuple[int, ...]


def relative_positions(window: Size) -> Tensor:
    """The row of the table of biases for each two tokens of ``window``: (*window, *window)."""
    axes = len(window)
    rows = torch.zeros(window * 2, dtype=torch.long)
    for axis, w in enumerate(window):
        places = torch.arange(w)
        here = places.view([-1 if other == axis else 1 for other in range(2 * axes)])
        there = places.view([-1 if other == axes + axis else 1 for other in range(2 * axes)])
        rows = rows * (2 * w - 1) + (here - there + w - 1)
    return rows


def forbidden_pairs(grid: Size, window: Size, shift: Size, device: torch.device) -> Tensor | None:
    """Which tokens of a window do not belong together, (windows, n, n); None if all do.

    Rolling the grid by ``-shift`` brings its two ends together in one window, and padding it to whole windows adds
    tokens without content.
    """
    if not any(shift) and not any(n % w for n, w in zip(grid, window)):
        return None
    return apart([torch.arange(n + -n % w, device=device) for n, w in zip(grid, window)], grid, window, shift)


def apart(places: list[Tensor], grid: Size, window: Size, shift: Size) -> Tensor:
    """``forbidden_pairs`` wherever the ``places`` are, 0, 1, ... along each axis of the padded grid."""
    along = []
    for axis, (here, n, w, s) in enumerate(zip(places, grid, window, shift)):
        padded = n + -n % w
        before = here + s
        region = (before >= padded).long() + 2 * (before % padded >= n)
        along.append(region.view([-1 if other == axis else 1 for other in range(len(grid))]))
    regions = reduce(lambda regions, region: regions * 4 + region, along)
    regions = window_partition(regions[None, ..., None], window)
    return regions != regions.transpose(1, 2)

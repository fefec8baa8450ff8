"""Windows that cover a box which is larger than what a network was trained to see, and what is found in them, blended.

Each window is as large as the images of the training and overlaps its neighbours by at least `OVERLAP`. What is found
at a voxel is the mean over its windows, weighted by a bell over each that is low at its rim, where a network knows
least of what lies around.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import ceil

import numpy as np
import torch
from torch import Tensor

OVERLAP = 0.25  # of a window


@dataclass(frozen=True)
class Windows:
    """Where the windows of a box lie.

    Attributes:
        box: its shape in voxels of the network.
        size: of a window.
        starts: of each window in the box.
    """

    box: tuple[int, ...]
    size: tuple[int, ...]
    starts: tuple[tuple[int, ...], ...]

    @classmethod
    def over(cls, box: Sequence[int], size: Sequence[int] | None = None) -> Windows:
        """Cover ``box`` by as few windows of at most ``size`` as overlap enough; one without a size."""
        size = tuple(min(b, s) for b, s in zip(box, size or box, strict=True))
        places = [_starts(b, s) for b, s in zip(box, size, strict=True)]
        return cls(tuple(box), size, tuple(product(*places)))

    def __len__(self) -> int:
        return len(self.starts)

    def around(self, start: Sequence[int]) -> list[tuple[int, ...]]:
        """Where the windows start, if the box starts at ``start``."""
        return [tuple(a + b for a, b in zip(start, each, strict=True)) for each in self.starts]

    def blend(self, values: Tensor) -> Tensor:
        """Bring what was found in the windows, (W * S, C, *size), window by window, to the box, (S, C, *box)."""
        if len(self) == 1:
            return values
        parts = values.unflatten(0, (len(self), -1))
        total, weight = values.new_zeros(*parts.shape[1:3], *self.box), values.new_zeros(self.box)
        bell, everywhere = self._bell.to(values), (slice(None), slice(None))
        for part, start in zip(parts, self.starts, strict=True):
            here = tuple(slice(s, s + n) for s, n in zip(start, self.size, strict=True))
            total[everywhere + here] += bell * part
            weight[here] += bell
        return total / weight

    @cached_property
    def _bell(self) -> Tensor:
        bell = np.ones(())
        for n in self.size:
            bell = np.multiply.outer(bell, np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2)
        return torch.from_numpy(bell)


def _starts(length: int, window: int) -> list[int]:
    if window >= length:
        return [0]
    overlap = int(OVERLAP * window)
    count = ceil((length - overlap) / (window - overlap))
    return [round(k * (length - window) / (count - 1)) for k in range(count)]

"""What a phantom is made of, checked."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from ...errors import InputError
from ..names import SPLITS

KINDS = {"mr": ("mr",), "ultrasound": ("ultrasound",), "both": ("mr", "ultrasound")}
MODALITIES = {"mr": "MR", "ultrasound": "US", "both": "MR and US"}
DEFAULT_PAIRS = {2: (96, 16, 32), 3: (24, 4, 8)}
DEFAULT_SIZE = {2: (128, 128), 3: (96, 96, 32)}
SMALLEST = 16  # voxels along any axis: below that a heart is no longer a heart
MOST_VOXELS = 2**25  # of an image: making one takes some 200 bytes a voxel


@dataclass(frozen=True)
class Settings:
    """What a phantom is made of; the same settings give the same arrays, byte by byte.

    Args:
        spatial_dims: 2 for images, 3 for volumes.
        kind: "mr" (short axis), "ultrasound" (apical) or "both" (every other subject).
        pairs: how many train, val and test pairs; each is a subject of its own.
        size: voxels along each axis; one number stands for all of the image plane.
        seed: of everything random.
    """

    spatial_dims: int = 2
    kind: str = "mr"
    pairs: tuple[int, ...] | None = None
    size: int | tuple[int, ...] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.spatial_dims not in DEFAULT_SIZE:
            raise InputError(f"phantom: spatial_dims is {self.spatial_dims!r}; choose 2 or 3")
        if self.kind not in KINDS:
            raise InputError(f"phantom: kind is {self.kind!r}; choose {', '.join(KINDS)}")
        if self.seed < 0:
            raise InputError(f"phantom: seed is {self.seed}; choose 0 or more")
        object.__setattr__(self, "pairs", self._pairs())
        object.__setattr__(self, "size", self._size())

    def _pairs(self) -> tuple[int, ...]:
        pairs = tuple(DEFAULT_PAIRS[self.spatial_dims] if self.pairs is None else self.pairs)
        if len(pairs) != len(SPLITS) or min(pairs) < 0 or sum(pairs) == 0:
            raise InputError(f"phantom: pairs is {pairs}; give the numbers of train, val and test pairs, as 96,16,32")
        return pairs

    def _size(self) -> tuple[int, ...]:
        default = DEFAULT_SIZE[self.spatial_dims]
        given = default if self.size is None else (self.size,) if isinstance(self.size, int) else tuple(self.size)
        size = given * 2 + default[2:] if len(given) == 1 else given
        if len(size) == self.spatial_dims and prod(size) > MOST_VOXELS:
            raise InputError(f"phantom: size is {','.join(map(str, size))}, {prod(size):.3g} voxels; "
                             f"give at most {MOST_VOXELS:.3g} in all")  # fmt: skip
        if len(size) != self.spatial_dims or min(size) < SMALLEST:
            raise InputError(f"phantom: size is {given}; give {self.spatial_dims} numbers of at least {SMALLEST}, "
                             f"as {','.join(map(str, default))}")  # fmt: skip
        return size

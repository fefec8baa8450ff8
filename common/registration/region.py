"""The part of a native image that the network sees, and the way back from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..grids import centre_start, crop_or_pad, min_max, resize, spacing_of, start_around
from ..interfaces import needed
from ..physical import background
from .aim import detect_centre, extent_of
from .card import Card
from .windows import Windows

RULES = ("auto", "image", "detect")
Box = tuple[tuple[int, ...], tuple[int, ...]]
"""Start and size, in voxels of the network's grid."""


@dataclass(frozen=True)
class Region:
    """A grid laid over a native one: its voxel ``i`` is native voxel ``first + i * step``, axis by axis.

    It may be shifted by parts of a voxel, coarser or finer than the native grid, and reach beyond it.
    """

    first: tuple[float, ...]
    step: tuple[float, ...]
    shape: tuple[int, ...]

    @classmethod
    def box(cls, start: Sequence[int], size: Sequence[int], shape: Sequence[int] | None = None) -> Region:
        """Cover native voxels ``start`` to ``start + size`` by a grid of ``shape`` (None: the voxels themselves)."""
        shape = tuple(shape or size)
        step = tuple(n / m for n, m in zip(size, shape, strict=True))
        first = tuple(s + (t - 1) / 2 for s, t in zip(start, step, strict=True))
        return cls(first, step, shape)

    def place(self, values: Tensor, native: Sequence[int], fill: float = 0.0) -> Tensor:
        """Bring maps (B, C, *shape) to the native grid, (B, C, *native): linear inside, ``fill`` outside."""
        inside = torch.ones([1] * values.dim(), dtype=torch.bool, device=values.device)
        for axis, (first, step, count) in enumerate(zip(self.first, self.step, native, strict=True)):
            at = (torch.arange(count, dtype=torch.float64) - first) / step
            here = (at >= -0.5) & (at <= self.shape[axis] - 0.5)
            inside = inside & _along(here.to(values.device), axis, values.dim())
            values = _sample(values, axis + 2, at)
        return torch.where(inside, values, fill)

    def place_field(self, ddf: Tensor, native: Sequence[int]) -> Tensor:
        """Bring a field (B, D, *shape) to the native grid in native voxels; nothing moves outside the region."""
        step = torch.tensor(self.step, dtype=ddf.dtype, device=ddf.device)
        return self.place(ddf * step.view(1, -1, *[1] * len(self.shape)), native)


def _along(values: Tensor, axis: int, dims: int) -> Tensor:
    return values.view([-1 if d == axis + 2 else 1 for d in range(dims)])


def _sample(values: Tensor, dim: int, at: Tensor) -> Tensor:
    """Interpolate along ``dim`` at the places ``at``; exact where these are whole numbers."""
    last = values.shape[dim] - 1
    at = at.clamp(0, last)
    low = at.floor().long()
    weight = _along((at - low).to(values), dim - 2, values.dim())
    low = low.to(values.device)
    return torch.lerp(values.index_select(dim, low), values.index_select(dim, (low + 1).clamp(max=last)), weight)


@dataclass(frozen=True)
class Framing:
    """How the region of an image is chosen.

    Args:
        crop_size: voxels along each axis, one number for all axes, or "all"; what is not positive is the whole axis.
            None is 128 x 128 in 2D and everything in 3D, or where the training's images were whole ones, resized. Where
            the region leaves the image it is zero.
        center: "auto", "image", "detect" (see `detect_centre`), or the fixed image's voxel in its middle. "auto" is the
            middle of the labels, for which the region becomes larger if need be; without a label "detect" where the two
            images have one grid, else "image".
        network_size: the grid that the region is resized to. None leaves the voxels, unless the training's images were
            resized: then it is their size, but where a ``spacing`` is given.
        percentiles: of the intensities in the region that become 0 and 1.
        spacing: of the network's voxels in mm, one number or one for each of its axes; None is the fixed image's own,
            or the training's where the two differ by more than a factor of 1.25.
        axes: of the network, "stored" (those of the fixed image) or "RAS".
        trained: the images of the network's training. A region larger than they were is seen in windows of their size.

    Raises:
        InputError: a size, a centre, percentiles, a spacing or axes that make no sense.
    """

    crop_size: int | Sequence[int] | str | None = None
    center: str | Sequence[float] = "auto"
    network_size: Sequence[int] | None = None
    percentiles: Sequence[float] = (0.0, 100.0)
    spacing: float | Sequence[float] | None = None
    axes: str = "stored"
    trained: Card = Card()

    def __post_init__(self) -> None:
        if self.axes not in ("stored", "RAS"):
            raise InputError(f"axes is {self.axes!r}; give stored or RAS.")
        size = self.network_size
        if size is not None and not (
            isinstance(size, Sequence) and size and all(isinstance(n, int) and n > 1 for n in size)
        ):
            raise InputError(f"network_size is {size!r}; give a list of voxels, or null to leave them as they are.")
        try:
            low, high = map(float, self.percentiles)
        except (TypeError, ValueError):
            low, high = 0.0, 0.0
        if not 0 <= low < high <= 100:
            raise InputError(
                f"percentiles is {self.percentiles!r}; give two numbers from 0 to 100, the lower one first."
            )

    @property
    def resized_to(self) -> Sequence[int] | None:
        """The grid that the region is resized to; None leaves the voxels."""
        asked = self.network_size is not None or self.spacing is not None
        return self.network_size if asked or not self.trained.resized else self.trained.size

    def spacing_for(self, dims: int) -> tuple[float, ...] | None:
        """The spacing along each of ``dims`` axes; raise InputError if it is of another number of axes, or not one."""
        if self.spacing is None:
            return None
        given = [self.spacing] * dims if isinstance(self.spacing, int | float) else self.spacing
        try:
            lengths = tuple(float(length) for length in given)
        except (TypeError, ValueError):
            lengths = ()
        if len(lengths) != dims or not all(0 < length < float("inf") for length in lengths):
            want = f"give {dims} lengths in mm, one, or null for the fixed image's own"
            raise InputError(f"spacing is {self.spacing!r}; {want}.")
        return lengths

    def spacing_over(self, affine: np.ndarray, dims: int) -> tuple[float, ...] | None:
        """The spacing to resample a grid of ``affine`` to; None leaves it as it is. Raises as `spacing_for`."""
        own = spacing_of(affine)[:dims]
        asked = self.spacing_for(dims)
        return self.trained.spacing if asked is None and self.trained.is_far(own) else asked

    def detects(self, labelled: bool, alike: bool) -> bool:
        """Whether the region follows what moves.

        Args:
            labelled: whether there is a label to follow.
            alike: whether the two images have one grid, as frames of a cine have.
        """
        return self.center == "detect" or (self.center == "auto" and alike and not labelled)

    def boxes(
        self, moving: np.ndarray, fixed: np.ndarray, dims: int, label: np.ndarray | None = None, alike: bool = True
    ) -> Box:
        """Return start and size of the region in images (i, j, ...) whose first ``dims`` axes are registered.

        Args:
            label: of their shape, what "auto" looks for; None or empty for none.
            alike: as of `detects`.
        """
        shape = moving.shape[:dims]
        size, whole = self._size(shape), self._wanted(dims)
        labelled = label is not None and bool(label.any())
        if self.center == "auto" and label is not None and labelled:
            centre, extent = extent_of(label, dims)
            size = tuple(s if w <= 0 else max(s, e) for w, s, e in zip(whole, size, extent, strict=True))
        elif self.detects(labelled, alike):
            centre = detect_centre(moving, fixed, dims)
        elif self.center in ("auto", "image"):
            return centre_start(shape, size), size
        else:
            centre = needed(self.voxel(shape), "centre")
        # an axis that is taken whole has no centre to choose
        starts = start_around(centre, size)
        return tuple(0 if w <= 0 else s for w, s in zip(whole, starts, strict=True)), size

    def windows(self, box: Box) -> Windows:
        """Return what the network sees of a box of `boxes` at once: windows, of which one may be enough."""
        size = self.trained.size
        fits = size is None or len(size) != len(box[1]) or self.resized_to is not None
        return Windows.over(box[1], None if fits else size)

    def region(self, box: Box) -> Region:
        """Return the network's grid over a box of `boxes`."""
        start, size = box
        shape = self.resized_to
        if shape is not None and len(shape) != len(size):
            raise InputError(f"network_size is {list(shape)}; give {len(size)} numbers.")
        return Region.box(start, size, shape)

    def cut(self, image: np.ndarray, box: Box) -> np.ndarray:
        """Return the region of ``image`` (i, j, ...) in [0, 1]: each slice by itself in 2D, the volume in 3D."""
        start, size = box
        region = crop_or_pad(image, start, size, background(image))
        inside = crop_or_pad(np.ones(image.shape, bool), start, size)
        if (shape := self.resized_to) is not None:
            region, inside = resize(region, shape), resize(inside, shape, order=0)
        if len(size) == image.ndim:
            return min_max(region, self.percentiles, inside)
        parts = [min_max(region[..., k], self.percentiles, inside[..., k]) for k in range(region.shape[-1])]
        return np.stack(parts, axis=-1)

    def cut_label(self, label: np.ndarray, box: Box) -> np.ndarray:
        """Return the region of a label map (i, j, ...), 0 where it leaves the image, resized to the nearest voxel."""
        region = crop_or_pad(label, *box)
        return region if self.resized_to is None else resize(region, self.resized_to, order=0)

    def _wanted(self, dims: int) -> tuple[int, ...]:
        own = 128 if dims == 2 and not self.trained.resized else "all"
        wanted = own if self.crop_size is None else self.crop_size
        wanted = 0 if wanted == "all" else wanted
        sizes = [wanted] * dims if isinstance(wanted, int) else wanted
        if isinstance(sizes, str) or len(sizes) != dims or not all(isinstance(n, int) for n in sizes):
            raise InputError(f'crop_size is {self.crop_size!r}; give {dims} whole numbers, one, or "all".')
        return tuple(sizes)

    def _size(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(n if w <= 0 else w for w, n in zip(self._wanted(len(shape)), shape, strict=True))

    def voxel(self, shape: tuple[int, ...]) -> tuple[float, ...] | None:
        """The centre, if it is a voxel of an image of ``shape``; None for a rule."""
        if isinstance(self.center, str) and self.center in RULES:
            return None
        try:
            parts = self.center.split(",") if isinstance(self.center, str) else self.center
            centre = tuple(float(c) for c in parts)
        except (TypeError, ValueError):
            centre = ()
        if len(centre) != len(shape) or not all(0 <= c < n for c, n in zip(centre, shape, strict=True)):
            raise InputError(
                f'center is {self.center!r}; give "auto", "image", "detect" or a voxel inside {list(shape)}, as in '
                f"{','.join(str(n // 2) for n in shape)}."
            )
        return centre

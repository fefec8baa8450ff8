"""What goes through the network: cases on its grid, in the region that it sees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..fields import Transform
from ..grids import min_max, same_grid, spacing_of
from ..interfaces import needed
from ..io.images import MedicalImage
from .card import Card
from .case import Case, to_batch
from .grids import NetworkGrid
from .region import Box, Framing, Region
from .windows import Windows

if TYPE_CHECKING:
    from ..networks.ensemble import Registering


@dataclass(frozen=True, eq=False)
class Task:
    """One case, ready for the network.

    Attributes:
        case: what is registered.
        grid: the network's, over the fixed image.
        region: what the network sees, in the turned native voxels, see `NetworkGrid`.
        image: (S, inputs, *region.shape), what it takes: S slices of a stack, 1 in 3D; with windows (W * S, inputs,
            *windows.size), one window after the other.
        reached: (S,) bool, the slices that the moving image reaches; None is all.
        overlap: share of the region that the moving image covers.
        windows: of the region; None is one, the region itself.
        trained: the images of the network's training.
    """

    case: Case
    grid: NetworkGrid
    region: Region
    image: Tensor
    reached: Tensor | None = None
    overlap: float = 1.0
    windows: Windows | None = None
    trained: Card = Card()

    def blended(self, pred: Tensor) -> Tensor:
        """Bring what was found in the windows, (W * S, C, *windows.size), to the region: (S, C, *region.shape)."""
        return pred if self.windows is None else self.windows.blend(pred)

    @property
    def labelled(self) -> bool:
        """Whether there is a moving label, if only for the network."""
        shown = self.case.prepared
        return self.case.label is not None or (shown is not None and shown.label is not None)

    @property
    def native(self) -> tuple[int, ...]:
        """Shape of the turned native grid, without the axis across slices."""
        return self.grid.turned[0][: self.grid.spatial_dims]

    @property
    def spacing(self) -> tuple[float, ...]:
        """Mm of the network's voxels."""
        return tuple(step * size for step, size in zip(self.region.step, spacing_of(self.grid.turned[1]), strict=False))

    def place(self, values: Tensor, fill: float = 0.0) -> Tensor:
        """Bring maps (S, C, *region.shape) to the turned native grid."""
        return self.region.place(values, self.native, fill)

    def place_field(self, ddf: Tensor) -> Tensor:
        """Bring a field (S, D, *region.shape) there, in its voxels; nothing moves where it was not seen."""
        return self.where_reached(self.region.place_field(ddf, self.native), 0.0)

    def where_reached(self, values: Tensor, fill: float) -> Tensor:
        """``values`` (S, ...) with ``fill`` in the slices that the moving image does not reach."""
        if self.reached is None:
            return values
        reached = self.reached.view(-1, *[1] * (values.dim() - 1))
        return torch.where(reached, values, torch.tensor(fill, dtype=values.dtype))

    def stacked(self, values: Tensor) -> np.ndarray:
        """Turn (S, ...) into (..., *turned): the slices of a stack are its last axis."""
        return (values[0] if self.grid.slice_axis is None else torch.movedim(values, 0, -1)).numpy()

    def back(self, maps: Tensor) -> np.ndarray:
        """Turn maps (S, *turned native grid) into (*spatial) of the fixed image."""
        return self.grid.back(self.stacked(maps))


def tasks(
    network: Registering, framing: Framing, cases: Iterable[Case], slice_axis: int | None = None
) -> Iterator[Task]:
    """Bring each case to the network.

    Fixed images on one grid that follow each other with one moving image (a cine) are seen in one region, chosen by
    the one that differs most from the moving image.

    Args:
        network: with ``spatial_dims``, ``inputs`` and ``num_classes`` as a `RegistrationNetwork` has them.
        slice_axis: of a volume that a 2D network registers slice by slice; None is the axis of the largest spacing.

    Raises:
        InputError: images that do not overlap, or that the network cannot take.
    """
    for _, group in groupby(cases, key=_ground):
        alike = list(group)
        if alike[0].prepared is not None:
            yield from (_prepared(network, case) for case in alike)
        else:
            yield from _alike(network, framing, alike, slice_axis)


def _ground(case: Case) -> tuple:
    fixed = case.fixed
    grid = fixed.array.shape, fixed.affine.tobytes()
    return id(case.moving), id(case.label), grid, id(case.prepared), id(case.initial)


def _prepared(network: Registering, case: Case) -> Task:
    shown, dims = needed(case.prepared, "prepared pair"), network.spatial_dims
    grid = NetworkGrid.over(case.fixed, dims, slice_axis=2 if dims == 2 and case.fixed.array.ndim == 3 else None)
    return Task(case, grid, shown.region, _input(network, case, shown.image, shown.label))


def _alike(network: Registering, framing: Framing, cases: Sequence[Case], slice_axis: int | None) -> Iterator[Task]:
    first, dims = cases[0], network.spatial_dims
    grid = _grid(framing, first.fixed, dims, slice_axis)
    moving, covered = _brought(grid, first.moving, 1, first.initial)
    label = None if first.label is None else _brought(grid, first.label, 0, first.initial)[0]
    framing = _on_grid(framing, grid)
    box = _box(framing, grid, moving, label, cases)
    windows, where = framing.windows(box), f"the region at {box[0]} of size {box[1]}"
    shown, whole = (framing.cut_label(each, box) for each in (covered, np.ones_like(covered)))
    if not shown.any():
        paths = f"{first.moving.path} and {first.fixed.path}"
        raise InputError(f"{paths} do not overlap in {where}; choose another center or crop_size.")
    parts = [(start, windows.size) for start in windows.around(box[0])]
    seen = _seen([framing.cut(moving, part) for part in parts], first.moving, where, dims)
    seen_label = None if label is None else _batch([framing.cut_label(label, part) for part in parts], dims).float()
    for case in cases:
        brought = grid.bring_same(case.fixed)
        fixed = _seen([framing.cut(brought, part) for part in parts], case.fixed, where, dims)
        yield Task(
            case,
            grid,
            grid.in_turned(framing.region(box)),
            _input(network, case, torch.cat([seen, fixed], dim=1), seen_label),
            to_batch(shown, dims).flatten(1).any(1),
            float(shown.mean() / whole.mean()),
            windows,
            framing.trained,
        )


def _grid(framing: Framing, fixed: MedicalImage, dims: int, slice_axis: int | None) -> NetworkGrid:
    own = NetworkGrid.over(fixed, dims, None, framing.axes, slice_axis)
    spacing = framing.spacing_over(own.turned[1], dims)
    return own if spacing is None else NetworkGrid.over(fixed, dims, spacing, framing.axes, slice_axis)


def _on_grid(framing: Framing, grid: NetworkGrid) -> Framing:
    """``framing`` with a centre that is a voxel of the fixed image as one of the network's grid."""
    centre = framing.voxel(grid.fixed_shape)
    if centre is None:
        return framing
    last = np.array(grid.shape[: grid.spatial_dims]) - 1.0
    return replace(framing, center=np.clip(grid.of_fixed(centre), 0, last).tolist())


def _box(
    framing: Framing, grid: NetworkGrid, moving: np.ndarray, label: np.ndarray | None, cases: Sequence[Case]
) -> Box:
    """The region of cases on one grid: about what "auto" is to follow, or what differs most from the moving image."""
    first, labels = cases[0], [] if label is None else [label]
    labels += [_brought(grid, each, order=0)[0] for case in cases if (each := case.fixed_label) is not None]
    followed = np.any([each > 0 for each in labels], axis=0) if labels else None
    alike = _share_a_grid(first)
    detects = framing.detects(followed is not None and bool(followed.any()), alike)
    return framing.boxes(moving, _reference(detects, grid, moving, cases), grid.spatial_dims, followed, alike)


def _share_a_grid(case: Case) -> bool:
    moving, fixed = case.moving, case.fixed
    return case.initial is None and moving.array.shape == fixed.array.shape and same_grid(moving.affine, fixed.affine)


def _brought(
    grid: NetworkGrid, image: MedicalImage, order: int = 1, initial: Transform | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """An image on the network's grid, and where it is known there."""
    array, known = grid.bring(image, order, initial)
    if not known.any():
        what = "check their headers" if initial is None else "check the initial transform (its inverse?)"
        raise InputError(f"{image.path} and {grid.fixed.path} do not overlap in space; {what}.")
    return array, known


def _reference(detects: bool, grid: NetworkGrid, moving: np.ndarray, cases: Sequence[Case]) -> np.ndarray:
    """The fixed image that the region is chosen by: to see what moves, the one that differs most from the moving."""
    brought = (grid.bring_same(case.fixed) for case in cases)
    if not detects:
        return next(brought)
    scaled = min_max(moving)
    return max(brought, key=lambda fixed: float(np.abs(min_max(fixed) - scaled).mean()))


def _seen(parts: Sequence[np.ndarray], image: MedicalImage, where: str, dims: int) -> Tensor:
    """What is seen of an image, (W * S, 1, *windows.size)."""
    if not any(part.any() for part in parts):
        raise InputError(f"{image.path}: constant in {where}; choose another center.")
    return _batch(parts, dims)


def _batch(parts: Sequence[np.ndarray], dims: int) -> Tensor:
    return torch.cat([to_batch(part, dims) for part in parts])


def _input(network: Registering, case: Case, image: Tensor, label: Tensor | None) -> Tensor:
    """What ``network`` takes: ``image``, and for one of three inputs the moving label, zeros without one."""
    if getattr(network, "inputs", 2) == 2:
        return image
    label = torch.zeros_like(image[:, :1]) if label is None else label
    low, high = int(label.min()), int(label.max())
    classes = needed(network.num_classes, "number of classes")
    if low < 0 or high >= classes:
        value = low if low < 0 else high
        raise InputError(
            f"{case.name}: the moving label holds {value}, but the network knows 0 to {classes - 1}; "
            "renumber it, or leave it out."
        )
    return torch.cat([image, label.to(image)], dim=1)


def chunks(prepared: Iterator[Task], batch_size: int) -> Iterator[list[Task]]:
    """Tasks of one shape that go through the network together: whole ones, up to ``batch_size`` slices."""
    chunk: list[Task] = []
    for task in prepared:
        slices = sum(len(each.image) for each in chunk)
        if chunk and (task.image.shape[1:] != chunk[0].image.shape[1:] or slices + len(task.image) > batch_size):
            yield chunk
            chunk = []
        chunk.append(task)
    if chunk:
        yield chunk

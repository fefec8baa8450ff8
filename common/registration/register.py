"""Register cases by an open bundle: a field in space, and the method's maps on the fixed image's grid."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
import torch
from torch import Tensor

from ..fields import Field, to_physical
from .bundle import OpenBundle
from .case import Case
from .maps import maps_of
from .tasks import Task, chunks, tasks


@dataclass(frozen=True, eq=False)
class Estimate:
    """What a network found, on the fixed image's own grid.

    Attributes:
        field: a point p of the fixed image lies at p + u(p) in the moving image; LPS mm, 0 outside ``seen``.
        maps: those of the method by name, (*spatial), see `maps_of`.
        seen: (*spatial) bool, what the network was shown of the fixed image, without slices of a stack that the moving
            image does not reach.
        overlap: share of that region that the moving image covers, 0 to 1.
        seconds: of the network for this pair.
        network_spacing: mm of the network's voxels along its axes.
        network_shape: of the network's grid.
        slice_axis: of the fixed image, across the slices that were registered one by one; None elsewhere.
    """

    field: Field
    maps: dict[str, np.ndarray]
    seen: np.ndarray
    overlap: float
    seconds: float
    network_spacing: tuple[float, ...]
    network_shape: tuple[int, ...]
    slice_axis: int | None = None


def register(bundle: OpenBundle, case: Case, slice_axis: int | None = None) -> Estimate:
    """Register a case, whose images may lie on different grids: they are matched in physical space.

    Args:
        slice_axis: of a volume that a 2D bundle registers slice by slice; None is the axis of the largest spacing.

    Raises:
        InputError: images that do not overlap, or that the network cannot take.
    """
    return register_many(bundle, [case], slice_axis)[0]


def register_many(bundle: OpenBundle, cases: Iterable[Case], slice_axis: int | None = None) -> list[Estimate]:
    """Register cases, their slices together in batches; see `tasks` for frames of one cine, else as `register`."""
    found: list[Estimate] = []
    for chunk in chunks(tasks(bundle.network, bundle.framing, cases, slice_axis), bundle.batch_size):
        start = time.perf_counter()
        preds = _predict(bundle, torch.cat([task.image for task in chunk]))
        seconds = (time.perf_counter() - start) / len(chunk)
        parts = preds.split([len(task.image) for task in chunk])
        channels = bundle.network.channels
        found += [estimate(task, pred, channels, seconds) for task, pred in zip(chunk, parts, strict=True)]
    return found


def _predict(bundle: OpenBundle, image: Tensor) -> Tensor:
    size = bundle.batch_size if bundle.spatial_dims == 2 else 1  # a volume fills the memory by itself
    with torch.inference_mode():
        return torch.cat([bundle.network(part.to(bundle.device)).float().cpu() for part in image.split(size)])


def estimate(task: Task, pred: Tensor, channels: Sequence[str], seconds: float = nan) -> Estimate:
    """Bring a prediction (S, C, *region), whose ``channels`` are named, to the fixed image's grid."""
    pred, grid = pred.detach().float().cpu(), task.grid
    seen = task.where_reached(task.place(torch.ones_like(pred[:, :1]))[:, 0], 0.0)
    return Estimate(
        field=field_of(task, pred[:, : grid.spatial_dims]),
        maps={name: task.back(values) for name, values in maps_of(task, pred, channels).items()},
        seen=task.back(seen) > 0.5,
        overlap=task.overlap,
        seconds=seconds,
        network_spacing=task.spacing,
        network_shape=tuple(pred.shape[2:]),
        slice_axis=grid.slice_axis,
    )


def field_of(task: Task, ddf: Tensor) -> Field:
    """Bring a field (S, D, *region), in the network's voxels, to the fixed image's grid, in mm."""
    placed = task.place_field(ddf)
    vectors = to_physical(task.stacked(placed), task.grid.turned[1]).astype(np.float32)
    return Field(task.grid.back(vectors), task.grid.fixed.affine)

"""Register cases by an open bundle: a field in space, and the method's maps on the fixed image's grid."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from math import nan

import numpy as np
import torch
from torch import Tensor

from ..chain import compose
from ..fields import Field, to_physical
from ..refinement import Report
from .bundle import OpenBundle
from .case import Case
from .maps import maps_of
from .outcome import By, Registration
from .tasks import Task, chunks, tasks


def register_case(bundle: OpenBundle, case: Case, slice_axis: int | None = None) -> Registration:
    """Register a case, whose images may lie on different grids: they are matched in physical space.

    Args:
        slice_axis: of a volume that a 2D bundle registers slice by slice; None is the axis of the largest spacing.

    Raises:
        InputError: images that do not overlap, or that the network cannot take.
    """
    return register_cases(bundle, [case], slice_axis)[0]


def register_cases(bundle: OpenBundle, cases: Iterable[Case], slice_axis: int | None = None) -> list[Registration]:
    """Register cases, their slices together in batches; see `tasks` for frames of one cine, else `register_case`."""
    found: list[Registration] = []
    channels, by = bundle.network.channels, By(bundle.name, bundle.version, bundle.weights, bundle.device)
    for chunk in chunks(tasks(bundle.network, bundle.framing, cases, slice_axis), bundle.batch_size):
        start = time.perf_counter()
        preds = _predict(bundle, torch.cat([task.image for task in chunk]))
        seconds = (time.perf_counter() - start) / len(chunk)
        parts, refined = preds.split([len(task.image) for task in chunk]), refinement_of(bundle.network)
        found += [registration_of(*each, channels, seconds, by, refined) for each in zip(chunk, parts, strict=True)]
    return found


def _predict(bundle: OpenBundle, image: Tensor) -> Tensor:
    size = bundle.batch_size if bundle.spatial_dims == 2 else 1  # a volume fills the memory by itself
    with torch.inference_mode():
        return torch.cat([bundle.network(part.to(bundle.device)).float().cpu() for part in image.split(size)])


def registration_of(
    task: Task,
    pred: Tensor,
    channels: Sequence[str],
    seconds: float = nan,
    by: By | None = None,
    refined: Report | None = None,
) -> Registration:
    """Bring a prediction of a task's image, whose ``channels`` are named, to the fixed image's grid."""
    pred, grid = task.blended(pred.detach().float().cpu()), task.grid
    own = own_field_of(task, pred[:, : grid.spatial_dims])
    seen = task.where_reached(task.place(torch.ones_like(pred[:, :1]))[:, 0], 0.0)
    return Registration(
        case=task.case,
        field=behind_initial(task, own),
        own=own,
        maps={name: task.back(values) for name, values in maps_of(task, pred, channels).items()},
        seen=task.back(seen) > 0.5,
        overlap=task.overlap,
        seconds=seconds,
        network_spacing=task.spacing,
        network_shape=tuple(pred.shape[2:]),
        slice_axis=grid.slice_axis,
        by=by,
        trained=task.trained,
        refined=refined,
    )


def refinement_of(network: object) -> Report | None:
    """What the refinement of a network, if it has one, did since it was last asked."""
    refinement = getattr(network, "refinement", None)
    return None if refinement is None else refinement.report()


def field_of(task: Task, ddf: Tensor) -> Field:
    """Bring a field (S, D, *region), in the network's voxels, to the fixed image's grid, behind `Case.initial`; mm."""
    return behind_initial(task, own_field_of(task, ddf))


def own_field_of(task: Task, ddf: Tensor) -> Field:
    """The same without `Case.initial`: what the network itself says."""
    placed = task.place_field(ddf)
    vectors = to_physical(task.stacked(placed), task.grid.turned[1]).astype(np.float32)
    return Field(task.grid.back(vectors), task.grid.fixed.affine)


def behind_initial(task: Task, field: Field) -> Field:
    """The one field that `Case.initial` and ``field``, which comes behind it, are."""
    return field if task.case.initial is None else compose(task.case.initial, field)

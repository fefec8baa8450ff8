"""Register images by an open bundle: a field in space, and the method's maps on the fixed image's grid."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..engines.inference_cases import Case
from ..engines.inference_output import native_maps, where_covered
from ..fields import Field, to_physical
from ..grids import spacing_of
from ..io.images import MedicalImage
from .bundle import OpenBundle
from .grids import NetworkGrid
from .tasks import Task, chunks, tasks

UNCERTAINTY = "displacement_log_variance"


@dataclass(frozen=True, eq=False)
class Registration:
    """What `register` found, on the fixed image's own grid.

    Attributes:
        field: a point p of the fixed image lies at p + u(p) in the moving image; LPS mm, 0 outside ``seen``.
        maps: those of the method, (*spatial): "log_variance" or "score", "displacement_log_variance" (log of squared
            voxels of the network's grid) with "uncertainty_mm" (the standard deviation of the displacement along one
            axis), "label_uncertainty" and "segmentation"; outside ``seen`` as `write_case` has them.
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


def register(
    bundle: OpenBundle,
    moving: MedicalImage,
    fixed: MedicalImage,
    moving_label: MedicalImage | None = None,
    slice_axis: int | None = None,
) -> Registration:
    """Register ``moving`` to ``fixed``, which may lie on different grids: they are matched in physical space.

    Args:
        moving_label: of the moving image, on any grid; a network with classes carries it along.
        slice_axis: of a volume that a 2D bundle registers slice by slice; None is the axis of the largest spacing.

    Raises:
        InputError: images that do not overlap, or that the network cannot take.
    """
    return register_many(bundle, moving, [fixed], moving_label, slice_axis)[0]


def register_many(
    bundle: OpenBundle,
    moving: MedicalImage,
    frames: Sequence[MedicalImage],
    moving_label: MedicalImage | None = None,
    slice_axis: int | None = None,
) -> list[Registration]:
    """Register one moving image to each of ``frames``, their slices together in batches.

    Frames on one grid are seen in one region, chosen by the frame that differs most from the moving image. Arguments
    and errors as in `register`.
    """
    found: list[Registration] = []
    prepared = tasks(bundle, moving, frames, moving_label, slice_axis)
    for chunk in chunks(prepared, bundle.batch_size):
        start = time.perf_counter()
        preds = _predict(bundle, torch.cat([task.image for task in chunk]))
        seconds = (time.perf_counter() - start) / len(chunk)
        parts = preds.split([len(task.image) for task in chunk])
        found += [_result(bundle, task, pred, seconds) for task, pred in zip(chunk, parts, strict=True)]
    return found


def _predict(bundle: OpenBundle, image: Tensor) -> Tensor:
    size = bundle.batch_size if bundle.spatial_dims == 2 else 1  # a volume fills the memory by itself
    with torch.inference_mode():
        return torch.cat([bundle.network(part.to(bundle.device)).float().cpu() for part in image.split(size)])


def _result(bundle: OpenBundle, task: Task, pred: Tensor, seconds: float) -> Registration:
    case, grid, dims = task.case, task.grid, bundle.spatial_dims
    native = case.moving.shape[:dims]
    ddf = where_covered(case, case.region.place_field(pred[:, :dims], native), 0.0)
    vectors = to_physical(_unbatched(ddf, grid), case.affine).astype(np.float32)
    seen = where_covered(case, case.region.place(torch.ones_like(pred[:, :1]), native)[:, 0], 0.0)
    return Registration(
        field=Field(grid.back(vectors), grid.fixed.affine),
        maps={name: grid.back(array) for name, array in _maps(bundle, task, pred).items()},
        seen=grid.back(_unbatched(seen, grid)) > 0.5,
        overlap=task.overlap,
        seconds=seconds,
        network_spacing=_network_spacing(case),
        network_shape=tuple(pred.shape[2:]),
        slice_axis=grid.slice_axis,
    )


def _maps(bundle: OpenBundle, task: Task, pred: Tensor) -> dict[str, np.ndarray]:
    """The method's maps on the turned native grid."""
    case, channels = task.case, bundle.network.channels
    native = case.moving.shape[: bundle.spatial_dims]
    maps = native_maps(case, pred, channels, native)
    if UNCERTAINTY in maps:
        voxel = float(np.sqrt(np.mean(np.square(_network_spacing(case)))))
        maps["uncertainty_mm"] = torch.exp(maps[UNCERTAINTY] / 2) * voxel
    return {name: _unbatched(array, task.grid) for name, array in maps.items()}


def _network_spacing(case: Case) -> tuple[float, ...]:
    return tuple(step * size for step, size in zip(case.region.step, spacing_of(case.affine), strict=False))


def _unbatched(maps: Tensor, grid: NetworkGrid) -> np.ndarray:
    """Turn (S, ...) into (..., *turned): the slices of a stack are its last axis."""
    return (maps[0] if grid.slice_axis is None else torch.movedim(maps, 0, -1)).numpy()

"""What goes through the network: pairs on its grid, in the region that it sees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..engines.inference_cases import Case, to_batch
from ..errors import InputError
from ..grids import min_max
from ..io.images import MedicalImage
from .bundle import OpenBundle
from .grids import NetworkGrid

Box = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class Task:
    """One pair, ready for the network.

    Attributes:
        case: of the turned native grid, see `NetworkGrid`.
        overlap: share of the region that the moving image covers.
        image: (S, inputs, *region), what the network takes.
    """

    case: Case
    grid: NetworkGrid
    overlap: float
    image: Tensor


def tasks(
    bundle: OpenBundle,
    moving: MedicalImage,
    frames: Sequence[MedicalImage],
    moving_label: MedicalImage | None,
    slice_axis: int | None,
) -> Iterator[Task]:
    """Bring one moving image and each of ``frames`` to the network; arguments and errors as in `register_many`."""
    previous: tuple[NetworkGrid, np.ndarray, np.ndarray, np.ndarray | None, Box] | None = None
    for number, fixed in enumerate(frames):
        check_dimensions(moving, fixed, moving_label)
        if previous is None or not _same(previous[0].fixed, fixed):
            grid = NetworkGrid.over(fixed, bundle.spatial_dims, bundle.spacing, bundle.axes, slice_axis)
            seen_moving, covered = grid.bring(moving)
            if not covered.any():
                raise InputError(f"{moving.path} and {fixed.path} do not overlap in space; check their headers.")
            label = None if moving_label is None else grid.bring(moving_label, order=0)[0]
            alike = [other for other in frames[number:] if _same(fixed, other)]
            box = _box(bundle, grid, seen_moving, alike)
            previous = grid, seen_moving, covered, label, box
        yield _task(bundle, moving, fixed, *previous)


def _same(first: MedicalImage, second: MedicalImage) -> bool:
    return first.array.shape == second.array.shape and np.array_equal(first.affine, second.affine)


def check_dimensions(moving: MedicalImage, fixed: MedicalImage, label: MedicalImage | None) -> None:
    """Refuse images of which some have two axes and some three.

    Raises:
        InputError: naming two of them.
    """
    for other in (fixed, label):
        if other is not None and other.array.ndim != moving.array.ndim:
            raise InputError(
                f"{moving.path} is {moving.array.ndim}D but {other.path} is {other.array.ndim}D; "
                "give images of one kind, a 2D image as a stack of one slice."
            )


def _box(bundle: OpenBundle, grid: NetworkGrid, moving: np.ndarray, frames: Sequence[MedicalImage]) -> Box:
    """The region of frames on one grid, chosen by the one that differs most from the moving image."""
    chosen = grid.bring_same(frames[0])
    if bundle.framing.center == "detect":
        reference = min_max(moving)
        brought = (grid.bring_same(frame) for frame in frames)
        chosen = max(brought, key=lambda frame: float(np.abs(min_max(frame) - reference).mean()))
    return bundle.framing.boxes(moving, chosen, grid.spatial_dims)


def _task(
    bundle: OpenBundle,
    moving: MedicalImage,
    fixed: MedicalImage,
    grid: NetworkGrid,
    seen_moving: np.ndarray,
    covered: np.ndarray,
    label: np.ndarray | None,
    box: Box,
) -> Task:
    framing, dims = bundle.framing, bundle.spatial_dims
    shown, all_shown = (framing.cut_label(each, box).mean() for each in (covered, np.ones_like(covered)))
    overlap = float(shown / all_shown) if all_shown else 0.0
    if overlap == 0:
        raise InputError(
            f"{moving.path} and {fixed.path} do not overlap in the region at {box[0]} of size {box[1]}; "
            "choose another center or crop_size."
        )
    cut = [framing.cut(array, box) for array in (seen_moving, grid.bring_same(fixed))]
    for image, values in zip((moving, fixed), cut, strict=True):
        if not values.any():
            where = f"the region at {box[0]} of size {box[1]}"
            raise InputError(f"{image.path}: constant in {where}; choose another center.")
    labels = None if label is None else to_batch(framing.cut_label(label, box), dims).float()
    reached = to_batch(framing.cut_label(covered, box), dims).flatten(1).any(1)
    case = Case(
        name=moving.path.name,
        folder="",
        image=torch.cat([to_batch(each, dims) for each in cut], dim=1),
        moving=np.broadcast_to(np.float32(0), grid.turned[0]),
        moving_label=None,
        affine=grid.turned[1],
        region=grid.in_turned(framing.region(box)),
        spatial_dims=dims,
        label=labels,
        covered=reached,
    )
    return Task(case, grid, overlap, case.network_input(bundle.network))


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

"""Register a pair from Python; what ``warpsure register`` does too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..carry import check_points
from ..collection.find import Found
from ..fields import Chain, Transform, chain_of
from ..io.fields import read_transform
from ..io.given import image_of
from ..io.points import Points, points_of, read_points
from .aligned import register_aligned
from .bundle import OpenBundle, open_bundle
from .case import Case
from .labelled import read_given
from .outcome import Registration
from .register import register_case


def register(
    moving: Any,
    fixed: Any,
    bundle: str | Path | Found | OpenBundle = "vxm_hetero_disp",
    *,
    label: Any = None,
    fixed_label: Any = None,
    points: Points | str | Path | np.ndarray | None = None,
    axes: str | None = None,
    moving_frame: int | None = None,
    fixed_frame: int | None = None,
    label_frame: int | None = None,
    fixed_label_frame: int | None = None,
    slice_axis: int | None = None,
    name: str | None = None,
    fill: float | None = None,
    initial: Transform | str | Path | None = None,
    align_slices: bool = False,
    device: str | None = None,
    **overrides: Any,
) -> Registration:
    """Register ``moving`` to ``fixed``, which may lie on different grids: they are matched in physical space.

    Args:
        moving, fixed: a file, an image of nibabel or ITK, or (array, affine) with the affine from voxels to RAS mm;
            2D, a stack of slices or a volume.
        bundle: its name, its folder, a run of its training, a package, or one that `open_bundle` opened.
        label: label map of the moving image, to carry along; the network looks where it lies.
        fixed_label: label map of the fixed image, to be compared with the moving one: ``numbers["labels"]``.
        points: of the moving image, to carry along: a file, or (N, 2 or 3) in LPS mm.
        axes: "LPS" or "RAS", of a file of points that does not say it.
        moving_frame, fixed_frame: of images with four axes, counted from 0.
        label_frame, fixed_label_frame: of labels with four axes; None is the frame of their image.
        slice_axis: of a volume that a 2D bundle registers slice by slice; None is that of the largest spacing.
        name: what files are called after; None is the moving image's name.
        fill: the value of the warped image where the moving image has none; None is the smallest value that it has.
        initial: the motion from the fixed to the moving image that is known before, such as an affine of ANTs: a file
            of a field or of ITK's transforms, or one in memory. The result is both in one, sampled once.
        align_slices: undo the shifts in their plane that slices of one stack have from breath hold to breath hold, for
            a 3D bundle; the result is of the files as they are.
        device: where the network runs; None is a GPU if there is one.
        overrides: settings of the bundle's inference config, as in ``center="detect"``, ``spacing=1.5`` or
            ``crop_size=160``; not for a bundle that is open already.

    Raises:
        InputError: anything that cannot be used, in one line.
    """
    labels, of_labels = (label, fixed_label), (label_frame, fixed_label_frame)
    case = case_of_files(
        moving, fixed, labels, points, axes, (moving_frame, fixed_frame), name, of_labels, fill, initial
    )
    opened = bundle if isinstance(bundle, OpenBundle) else open_bundle(bundle, device, **overrides)
    return (register_aligned if align_slices else register_case)(opened, case, slice_axis)


def case_of_files(
    moving: Any,
    fixed: Any,
    labels: tuple[Any, Any] = (None, None),
    points: Points | str | Path | np.ndarray | None = None,
    axes: str | None = None,
    frames: tuple[int | None, int | None] = (None, None),
    name: str | None = None,
    of_labels: tuple[int | None, int | None] = (None, None),
    fill: float | None = None,
    initial: Transform | str | Path | None = None,
) -> Case:
    """What is to be registered; see `register` for the arguments, each pair of which is (moving, fixed).

    Raises:
        InputError: what cannot be read, or does not fit.
    """
    chosen = [frame if own is None else own for own, frame in zip(of_labels, frames, strict=True)]
    maps = [
        None if given is None else read_given(given, frame, whose)
        for given, frame, whose in zip(labels, chosen, ("label", "fixed label"), strict=True)
    ]
    case = Case(
        moving=image_of(moving, frames[0], "moving"),
        fixed=image_of(fixed, frames[1], "fixed"),
        label=maps[0],
        fixed_label=maps[1],
        points=_points(points, axes),
        name=name or "",
        frames=frames,
        fill=fill,
        initial=None if initial is None else _transform(initial),
        initial_path=Path(initial) if isinstance(initial, str | Path) else None,
    )
    if case.points is not None:
        check_points(case.points, case.fixed.array.ndim)
    return case


def _transform(given: Transform | str | Path) -> Chain:
    return read_transform(given) if isinstance(given, str | Path) else chain_of(given)


def _points(given: Points | str | Path | np.ndarray | None, axes: str | None) -> Points | None:
    if given is None or isinstance(given, Points):
        return given
    return read_points(given, axes) if isinstance(given, str | Path) else points_of(given)

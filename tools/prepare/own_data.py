"""Pairs of the user's own, in no published layout, brought to one grid."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from common.data.prepared import IMAGE_KEYS, Dataset
from common.grids import centre_start

from .aligning import aligned, asked
from .build import build
from .cases import Case, Convert, Result, Settings, run_all
from .framing import Frame, result_of, write_frame
from .grids import full_size, largest, native_grid


def convert_cases(
    args: argparse.Namespace, cases: list[Case], convert: Convert, broken: list[str], **more: Any
) -> None:
    """Find the grid that holds all cases, unless ``--size`` gives one, and convert them to it.

    Args:
        more: settings that ``convert`` needs besides.
    """
    more |= (align := asked(args))
    grids, unreadable = run_all(cases, native_grid, 1, args.skip_broken, "reading headers")
    cases = [case for case in cases if case.name in grids]
    axes = args.spatial_dims
    size = full_size(args.size, axes) if args.size else largest(list(grids.values()), args.spacing, axes)
    settings = {"spatial_dims": axes, "size": size, "spacing": args.spacing, "percentiles": args.percentiles, **more}
    how = f"resampled to {'x'.join(f'{s:g}' for s in args.spacing)} mm" if args.spacing else "native spacing"
    how = f"slices aligned, {how}" if align else how
    about = Dataset(
        args.output, args.name or args.source.stem, axes, args.labels, args.evaluated_labels or (), args.licence,
        args.citation, args.modality, f"{how}, centre crop or zero pad to {'x'.join(map(str, size))}", args.seed,
    )  # fmt: skip
    build(args, about, cases, convert, settings, broken=[*broken, *unreadable])


def convert_frame(frame: Frame, case: Case, output: Path, settings: Settings) -> Result:
    """Align, resample, crop, normalise and write what was read."""
    dims = settings["spatial_dims"]
    if settings.get("align_slices"):
        frame = aligned(frame, case.files["fixed"])
    frame = frame.resampled(settings["spacing"])
    size = (*settings["size"], frame.shape[2])[:3]
    frame = frame.cropped(centre_start(frame.shape, size), size).normalised(dims, tuple(settings["percentiles"]))
    native = {**{key: case.native(key) for key in IMAGE_KEYS}, **frame.native(), **case.more}
    entry = {"subject": case.subject, "native": native} | ({"group": case.group} if case.group else {})
    return result_of(frame, write_frame(frame, output, case.name, entry, dims))

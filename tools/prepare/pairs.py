"""An arbitrary folder of image pairs, matched by their names or listed in a table."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from .aligning import refuse_two_grids
from .cases import Case, Result, Settings
from .framing import read_frame
from .matching import match_folder, read_table
from .own_data import convert_cases, convert_frame
from .volumes import BrokenInput


def run(args: argparse.Namespace) -> None:
    """Convert a folder of pairs."""
    cases, lone = _find(args, args.source)
    if args.test_source:
        more, lone_too = _find(args, args.test_source, "test")
        cases, lone = cases + more, lone + lone_too
    if lone and not args.skip_broken:
        raise lone[0]
    convert_cases(args, cases, convert, [str(error) for error in lone], fill=args.fill)


def convert(case: Case, output: Path, settings: Settings) -> Result:
    """Bring a pair to one grid, that of the fixed image; resample, crop, normalise and write it."""
    if settings.get("align_slices"):
        refuse_two_grids(case.files)
    frame = read_frame(case.files, settings["spatial_dims"], settings["fill"])
    return convert_frame(frame, case, output, settings)


def _find(args: argparse.Namespace, source: Path, split: str | None = None) -> tuple[list[Case], list[BrokenInput]]:
    if args.table and split is None:
        return read_table(args.table, source), []
    cases, lone = match_folder(source, args.moving_pattern, args.fixed_pattern, args.label_suffix, args.output)
    return [replace(case, split=split) for case in cases], lone

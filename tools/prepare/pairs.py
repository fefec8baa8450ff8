"""An arbitrary folder of image pairs, matched by their names or listed in a table."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from common.data.prepared import IMAGE_KEYS, LABEL_KEYS

from .cases import Case, Result, Settings
from .framing import Frame
from .matching import match_folder, read_table
from .own_data import convert_cases, convert_frame
from .volumes import BrokenInput, on_grid, read_image, read_label


def run(args: argparse.Namespace) -> None:
    """Convert a folder of pairs."""
    cases, lone = _find(args, args.source)
    if args.test_source:
        more, lone_too = _find(args, args.test_source, "test")
        cases, lone = cases + more, lone + lone_too
    if lone and not args.skip_broken:
        raise lone[0]
    convert_cases(args, cases, convert, [str(error) for error in lone])


def convert(case: Case, output: Path, settings: Settings) -> Result:
    """Bring a pair to one grid, that of the fixed image; resample, crop, normalise and write it."""
    return convert_frame(read_on_fixed_grid(case.files), case, output, settings)


def read_on_fixed_grid(files: dict[str, str]) -> Frame:
    """Read a pair; where the moving image's grid is another one, resample it by world coordinates."""
    images = {key: read_image(files[key]) for key in IMAGE_KEYS}
    fixed = images["fixed"]
    arrays = {key: on_grid(volume, fixed, order=1).array for key, volume in images.items()}
    if not arrays["moving"].any() and images["moving"].array.any():
        raise BrokenInput(
            f"{files['moving']}: lies in space where {Path(files['fixed']).name} does not; "
            "align their headers first or pass --skip-broken"
        )
    for label, image in zip(LABEL_KEYS, IMAGE_KEYS, strict=True):
        if files.get(label):
            own = read_label(files[label], images[image], files[image])
            arrays[label] = on_grid(own._replace(affine=images[image].affine), fixed, order=0).array
    return Frame(arrays, fixed.affine, fixed.array.shape)


def _find(args: argparse.Namespace, source: Path, split: str | None = None) -> tuple[list[Case], list[BrokenInput]]:
    if args.table and split is None:
        return read_table(args.table, source), []
    cases, lone = match_folder(source, args.moving_pattern, args.fixed_pattern, args.label_suffix)
    return [replace(case, split=split) for case in cases], lone

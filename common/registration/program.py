"""The command line of a registration of two files."""

from __future__ import annotations

import argparse
from math import hypot
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..io.formats import AXES, FORMATS, POINTS
from ..options import (
    add_bundle,
    add_device,
    add_fill,
    add_memory,
    add_output,
    add_outside,
    add_overrides,
    add_refine,
    add_region,
    add_weights,
    parse_overrides,
    region_overrides,
)

EPILOG = """\
Files that are written to DIR, NAME being that of the moving image:
  NAME_warped.nii.gz         the moving image on the fixed image's grid, sampled once
  NAME_warped_label.nii.gz   the same of --label, to the nearest voxel
  NAME_field.*               u in LPS mm: a point p of the fixed image lies at p + u(p) in the moving image
  NAME_inverse_field.*       from points of the moving to the fixed image, on the moving image's grid
  NAME_jacobian.nii.gz       determinant of d(p + u)/dp; at or below 0 the field folds
  NAME_uncertainty_mm.nii.gz standard deviation of u along an axis, where the method predicts one; its other maps too;
                             where NAME_seen.nii.gz is 0, they are NaN: unknown (--outside 0: 0)
  disp_NAME.nii.gz           and disp_NAME_inverse.nii.gz: the fields where --format is l2r, as Learn2Reg calls them
  NAME_points.*              the points of --points in the fixed image
  NAME.json, NAME.png        numbers (Dice, HD95, ASD with --fixed-label) and warnings; a picture to look at
Files of these names are replaced."""


def add_arguments(parser: argparse.ArgumentParser, bundle: str | None = None) -> None:
    """Add what every way to start a registration takes; ``bundle`` is the one to take where none is named."""
    parser.formatter_class, parser.epilog = argparse.RawDescriptionHelpFormatter, EPILOG
    parser.add_argument("moving", type=Path, help="image to be warped: 2D, a stack of slices or a volume")
    parser.add_argument("fixed", type=Path, help="image that it is registered to; its grid may be another")
    add_bundle(parser, bundle)
    add_weights(parser)
    add_output(parser, "folder for the results")
    parser.add_argument("--name", help="what the files are called after (default: the moving image)")
    parser.add_argument("--label", type=Path, help="label map of the moving image, to carry along")
    parser.add_argument("--fixed-label", type=Path, help="label map of the fixed image, to compare --label with")
    parser.add_argument("--points", type=Path, help=f"points of the moving image, in mm: {', '.join(POINTS)}")
    parser.add_argument("--axes", choices=AXES, type=str.upper, help="of --points, if their file does not say it")
    parser.add_argument("--format", choices=FORMATS, default="nifti", help="of the fields (default: nifti)")
    known = "motion from fixed to moving that is known before, as an affine of ANTs; the result is both in one"
    parser.add_argument("--initial", type=Path, metavar="FILE", help=known)
    parser.add_argument("--moving-frame", type=int, metavar="N", help="of a 4D moving file, counted from 0")
    parser.add_argument("--fixed-frame", type=int, metavar="N", help="of a 4D fixed file, counted from 0")
    frame = "of a 4D label file (default: its image's frame)"
    parser.add_argument("--label-frame", type=int, metavar="N", help=frame)
    parser.add_argument("--fixed-label-frame", type=int, metavar="N", help=frame)
    across = "axis across the slices, for a 2D bundle (default: that of the largest spacing)"
    parser.add_argument("--slice-axis", type=int, metavar="0|1|2", choices=range(3), help=across)
    shifts = "undo the shifts that slices of one stack have from breath hold to breath hold, for a 3D bundle"
    parser.add_argument("--align-slices", action="store_true", help=shifts)
    add_fill(parser, "moving image")
    add_outside(parser)
    add_region(parser, "the bundle's: auto, the label, else what moves in two frames of one grid, else image")
    add_refine(parser)
    add_overrides(parser, "settings of the bundle's inference config")
    add_device(parser)
    add_memory(parser)


def run(options: argparse.Namespace) -> list[Path]:
    """Register the files of ``options``, write the results and say where they are.

    Raises:
        InputError: anything that cannot be used; nothing is written then.
    """
    from ..collection.find import find_bundle
    from ..files import refuse_file

    refuse_file(options.output)
    bundle, asked = find_bundle(options.bundle), settings(options)
    from ..io.images import stem
    from .api import register  # and torch, for which nobody is to wait who has misspelt something
    from .outputs import refuse_inputs

    read = options.moving, options.fixed, options.label, options.fixed_label, options.points, options.initial
    refuse_inputs(options.output, options.name or stem(options.moving), options.format, read)
    frames = ("moving_frame", "fixed_frame", "label_frame", "fixed_label_frame")
    names = ("label", "fixed_label", "points", "axes", *frames, "slice_axis", "name", "fill", "initial", "align_slices")
    given = {name: getattr(options, name) for name in (*names, "device")}
    found = register(options.moving, options.fixed, bundle, **given, **asked)
    files, name = found.save(options.output, format=options.format, outside=options.outside), found.case.name
    for line in found.warnings:
        print(f"warning: {line}")
    if (shifts := found.slice_shifts_mm) is not None:
        print(f"slices aligned: by up to {max(hypot(*shift) for shift in shifts):.1f} mm")
    if (refined := found.refined) is not None:
        print(f"refined in {refined.steps:g} steps: loss {refined.before:.4g} to {refined.after:.4g}")
    print(f"{options.output}: {len(files)} files, {name}_*; look at {name}.png")
    return files


def settings(options: argparse.Namespace) -> dict[str, Any]:
    """What the options set in the bundle's inference config; raise InputError for one that has an option."""
    found = parse_overrides(options.override)
    if "device" in found:
        raise InputError(f"--override device={found['device']}: give it by --device.")
    given = {"weights": options.weights, "refine_steps": options.refine}
    named = {key: value for key, value in given.items() if value is not None}
    return found | named | region_overrides(options)

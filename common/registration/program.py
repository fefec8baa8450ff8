"""The command line of a registration of two files."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ..errors import InputError
from ..fields import Field
from ..files import refuse_file
from ..io.fields import FORMATS
from ..io.images import MedicalImage, read_image, read_label, stem
from ..io.points import AXES, POINTS, Points, read_points
from ..physical import warp_image
from .bundle import open_bundle
from .outcome import Outcome, about, numbers
from .outputs import check_format, write_outcome
from .register import register

EPILOG = """\
Files that are written to DIR, NAME being that of the moving image:
  NAME_warped.nii.gz         the moving image on the fixed image's grid, sampled once
  NAME_warped_label.nii.gz   the same of --label, to the nearest voxel
  NAME_field.*               u in LPS mm: a point p of the fixed image lies at p + u(p) in the moving image
  NAME_inverse_field.*       from points of the moving to the fixed image, on the moving image's grid
  NAME_jacobian.nii.gz       determinant of d(p + u)/dp; at or below 0 the field folds
  NAME_uncertainty_mm.nii.gz standard deviation of u along an axis, where the method predicts one; its other maps too;
                             where NAME_seen.nii.gz is 0, it is 148 of the network's voxels: unknown
  NAME_points.*              the points of --points in the fixed image
  NAME.json, NAME.png        numbers, and a picture to look at
Files of these names are replaced."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what every way to start a registration takes."""
    parser.formatter_class, parser.epilog = argparse.RawDescriptionHelpFormatter, EPILOG
    parser.add_argument("moving", type=Path, help="image to be warped: 2D, a stack of slices or a volume")
    parser.add_argument("fixed", type=Path, help="image that it is registered to; its grid may be another")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument("--name", help="what the files are called after (default: the moving image)")
    parser.add_argument("--label", type=Path, help="label map of the moving image, to carry along")
    parser.add_argument("--points", type=Path, help=f"points of the moving image, in mm: {', '.join(POINTS)}")
    parser.add_argument("--axes", choices=AXES, type=str.upper, help="of --points, if their file does not say it")
    parser.add_argument("--format", default="nifti", help=f"of the fields: {', '.join(FORMATS)} (default: nifti)")
    parser.add_argument("--moving-frame", type=int, metavar="N", help="of a 4D moving file, counted from 0")
    parser.add_argument("--fixed-frame", type=int, metavar="N", help="of a 4D fixed file, counted from 0")
    across = "axis across the slices, for a 2D bundle (default: that of the largest spacing)"
    parser.add_argument("--slice-axis", type=int, metavar="0|1|2", choices=range(3), help=across)
    setting = "setting of the bundle's inference config, as in center=detect; may be repeated"
    parser.add_argument("--override", action="append", default=[], metavar="KEY=VALUE", help=setting)
    parser.add_argument("--device", help="cpu or cuda (default: a GPU if there is one)")


def run(options: argparse.Namespace, folder: Path) -> list[Path]:
    """Register the files of ``options`` by the bundle in ``folder``, write the results and say where they are.

    Raises:
        InputError: anything that cannot be used; nothing is written then.
    """
    start = time.perf_counter()
    refuse_file(options.output)
    moving = _frame(options.moving, options.moving_frame)
    fixed = _frame(options.fixed, options.fixed_frame)
    label = _label(options.label, moving) if options.label else None
    check_format(options.format, fixed.array.ndim)
    points = _points(options, fixed.array.ndim)
    name = _name(options)
    bundle = open_bundle(folder, options.device, **_overrides(options.override))
    outcome = Outcome(moving, fixed, register(bundle, moving, fixed, label, options.slice_axis), label, points)
    report: dict[str, Any] = about(outcome, bundle) | numbers(outcome)
    report["frames"] = {"moving": options.moving_frame, "fixed": options.fixed_frame}
    report["seconds"] = time.perf_counter() - start
    files = write_outcome(outcome, report, options.output, name, options.format, options.points)
    if (overlap := report["network"]["overlap"]) < 0.5:
        print(f"warning: {moving.path} covers {overlap:.0%} of what the network saw of {fixed.path}")
    print(f"{options.output}: {len(files)} files, {name}_*; look at {name}.png")
    return files


def _frame(path: Path, frame: int | None) -> MedicalImage:
    # the reader passes over the number of a frame where there is but one image
    if frame and _is_single(path):
        raise InputError(f"{path}: holds one image, so it has no frame {frame}; leave the frame out.")
    return read_image(path, frame)


def _label(path: Path, moving: MedicalImage) -> MedicalImage:
    label = read_label(path)
    if label.array.ndim == moving.array.ndim and label.array.any():
        still = Field(np.zeros((*moving.array.shape, moving.array.ndim), np.float32), moving.affine)
        if not warp_image(label.array, label.affine, still, order=0).any():
            raise InputError(f"{path}: no label of it lies in {moving.path}; give the moving image's own label map.")
    return label


def _is_single(path: Path) -> bool:
    try:
        read_image(path)
    except InputError:
        return False
    return True


def _name(options: argparse.Namespace) -> str:
    name = options.name or stem(options.moving)
    if not name or Path(name).name != name or name.startswith("."):
        raise InputError(f"--name is {name!r}; give a file's name without folders.")
    return name


def _points(options: argparse.Namespace, dims: int) -> Points | None:
    if options.points is None:
        return None
    points = read_points(options.points, options.axes)
    if points.lps.shape[1] < dims:
        raise InputError(f"{options.points}: points without z, but the images are 3D; add a column z.")
    return points


def _overrides(texts: list[str]) -> dict[str, Any]:
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        try:
            found[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            equals = ""
        if not equals or not key:
            raise InputError(f"--override {text}: give KEY=VALUE, as in center=detect.")
        if key == "device":
            raise InputError(f"--override {text}: give it by --device.")
    return found

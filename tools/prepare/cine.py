"""4D NIfTI files: two frames of each make a pair."""

from __future__ import annotations

import argparse
from pathlib import Path

from common.data.prepared import IMAGE_KEYS, LABEL_KEYS
from common.errors import InputError
from common.nifti import load_nifti

from .cases import Case, Result, Settings
from .framing import Frame, settled
from .matching import files_below
from .own_data import convert_cases, convert_frame
from .volumes import NIFTI, BrokenInput, broken, read_image, read_label, stem


def run(args: argparse.Namespace) -> None:
    """Convert cines."""
    if min(args.moving_frame, args.fixed_frame) < 0 or args.moving_frame == args.fixed_frame:
        raise InputError(
            f"--moving-frame {args.moving_frame} --fixed-frame {args.fixed_frame}: "
            "expected two different frames, counted from 0"
        )
    cases = find_cases(args, args.source)
    if args.test_source:
        cases += find_cases(args, args.test_source, "test")
    convert_cases(args, cases, convert, [])


def find_cases(args: argparse.Namespace, source: Path, split: str | None = None) -> list[Case]:
    """Return a case a cine, with its label map where there is one."""
    root = source if source.is_dir() else source.parent
    found = files_below(source, args.pattern, args.output) if source.is_dir() else [source]
    cines = [path for path in found if path.is_file() and path.name.lower().endswith(NIFTI)]
    if args.label_suffix:
        cines = [path for path in cines if not stem(path).endswith(args.label_suffix)]
    if not cines:
        raise InputError(
            f"{source}: looked for 4D NIfTI files {args.pattern} here and below and found none; "
            "see --source and --pattern"
        )
    frames = {"moving_frame": args.moving_frame, "fixed_frame": args.fixed_frame}
    return [Case(stem(p), stem(p), _files(p, args.label_suffix), str(root), split, more=frames) for p in cines]


def convert(case: Case, output: Path, settings: Settings) -> Result:
    """Take the two frames, resample, crop, normalise and write them."""
    images, remarks = settled({key: read_image(case.files[key], _frame(case, key)) for key in IMAGE_KEYS})
    arrays = {key: image.array for key, image in images.items()}
    for key, own in zip(IMAGE_KEYS, LABEL_KEYS, strict=True):
        if own in case.files:
            label, remark = read_label(case.files[own], images[key], _frame(case, own))
            arrays[own] = label.array
            remarks += [remark] if remark else []
    fixed = images["fixed"]
    frame = Frame(arrays, fixed.affine, fixed.array.shape, remarks=tuple(dict.fromkeys(remarks)))
    return convert_frame(frame, case, output, settings)


def _frame(case: Case, key: str) -> int:
    """The number of the frame that is the moving or the fixed one; raise BrokenInput for a file that has no frames."""
    path = case.files[key]
    with broken(path):
        shape = load_nifti(path).header.get_data_shape()
    if len(shape) < 4:
        raise BrokenInput(f"{path}: shape {shape} is no 4D cine; narrow --pattern or pass --skip-broken")
    return case.more[f"{key.removesuffix('_label')}_frame"]


def _files(path: Path, label_suffix: str) -> dict[str, str]:
    files = {"moving": str(path), "fixed": str(path)}
    labels = [path.with_name(f"{stem(path)}{label_suffix}{ending}") for ending in NIFTI] if label_suffix else []
    if label := next((str(label) for label in labels if label.is_file()), None):
        files |= {"moving_label": label, "fixed_label": label}
    return files

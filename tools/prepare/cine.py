"""4D NIfTI files: two frames of each make a pair."""

from __future__ import annotations

import argparse
from pathlib import Path

import nibabel as nib
import numpy as np

from common.errors import InputError
from common.grids import nifti_affine
from common.nifti import UNREADABLE

from .cases import Case, Result, Settings
from .framing import Frame
from .own_data import convert_cases, convert_frame
from .volumes import NIFTI, BrokenInput, Volume, as_labels, finite, stem, unreadable


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
    found = sorted(source.rglob(args.pattern)) if source.is_dir() else [source]
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
    arrays, affine = {}, None
    for key, path in case.files.items():
        volume = read_frame(Path(path), case.more[f"{key.removesuffix('_label')}_frame"])
        affine = volume.affine if affine is None else affine
        arrays[key] = as_labels(path, volume.array) if key.endswith("_label") else finite(path, volume.array)
    shape = arrays["moving"].shape
    for key, array in arrays.items():
        if array.shape != shape:
            raise BrokenInput(
                f"{case.files[key]}: frames of shape {array.shape}, but those of "
                f"{Path(case.files['moving']).name} are {shape}; repair it or pass --skip-broken"
            )
    return convert_frame(Frame(arrays, affine, shape), case, output, settings)


def read_frame(path: Path, index: int) -> Volume:
    """Read one frame of a 4D NIfTI file; raise BrokenInput if it has no such frame or cannot be read."""
    try:
        image = nib.load(path)
        shape = image.shape
        if len(shape) == 4 and index < shape[3]:
            return Volume(np.asarray(image.dataobj[..., index]), nifti_affine(image.header))
    except UNREADABLE as error:
        raise unreadable(path, error) from error
    if len(shape) != 4:
        raise BrokenInput(f"{path}: shape {shape} is no 4D cine; narrow --pattern or pass --skip-broken")
    raise BrokenInput(f"{path}: frame {index} asked for, but it has 0 to {shape[3] - 1}; pass another frame")


def _files(path: Path, label_suffix: str) -> dict[str, str]:
    files = {"moving": str(path), "fixed": str(path)}
    labels = [path.with_name(f"{stem(path)}{label_suffix}{ending}") for ending in NIFTI] if label_suffix else []
    if label := next((str(label) for label in labels if label.is_file()), None):
        files |= {"moving_label": label, "fixed_label": label}
    return files

"""Slices of a stack that breath holds have shifted in their plane: in line before they become a volume."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from common.data.prepared import IMAGE_KEYS, LABEL_KEYS
from common.errors import InputError
from common.grids import same_grid, spacing_of
from common.slices import LEAST, shifted, slice_shifts, stack_axis

from .framing import Frame
from .volumes import BrokenInput, shape_and_affine


def asked(args: argparse.Namespace) -> dict[str, bool]:
    """The setting of ``--align-slices``, nothing where it is off: what was prepared without it stays finished.

    Raises:
        InputError: it is on, and slices are pairs of their own.
    """
    if not getattr(args, "align_slices", False):
        return {}
    if args.spatial_dims != 3:
        raise InputError(
            "--align-slices: in 2D every slice is a pair of its own, whose images are shifted alike; "
            "pass --spatial-dims 3 or leave it out"
        )
    return {"align_slices": True}


def refuse_two_grids(files: Mapping[str, str]) -> None:
    """Refuse a pair that is no two images of one stack: each would have shifts of its own.

    Raises:
        BrokenInput: naming the two files.
    """
    grids = {key: shape_and_affine(files[key]) for key in IMAGE_KEYS}
    (shape, affine), (other, fixed) = grids.values()
    if shape != other or not same_grid(affine, fixed, shape):
        raise BrokenInput(
            f"{files['moving']}: lies on another grid than {Path(files['fixed']).name}, so their slices were not taken "
            "in the same breath holds; leave out --align-slices or pass --skip-broken"
        )


def aligned(frame: Frame, path: str) -> Frame:
    """Bring the slices of a frame, as read from ``path``, in line: images linearly and labels to the nearest voxel.

    Raises:
        BrokenInput: its voxels are too even for a stack of slices.
    """
    spacing, arrays = spacing_of(frame.affine), frame.arrays
    if (axis := stack_axis(spacing)) is None:
        raise BrokenInput(
            f"{path}: voxels of {'x'.join(f'{s:g}' for s in spacing)} mm are no stack of slices; "
            "leave out --align-slices or pass --skip-broken"
        )
    labels = [arrays[key] > 0 for key in LABEL_KEYS if key in arrays]
    region = np.any(labels, axis=0) if labels else None
    shifts = slice_shifts([arrays[key] for key in IMAGE_KEYS], spacing, axis, region)
    moved = {key: shifted(array, shifts, axis, int(key not in LABEL_KEYS)) for key, array in arrays.items()}
    few = [f"{path}: shifts cannot be told of fewer than {LEAST} slices"] if len(shifts) < LEAST else []
    where = {"slice_axis": axis, "slice_shifts_mm": (shifts * np.delete(spacing, axis)).round(3).tolist()}
    return replace(frame, arrays=moved, shifts=where, remarks=(*frame.remarks, *few))


def told(pairs: Sequence[dict[str, Any]]) -> str:
    """How far slices of ``pairs`` were shifted, in a line; empty where none were to be."""
    shifts = [(pair.get("native") or {}).get("slice_shifts_mm") for pair in pairs]
    largest = [np.linalg.norm(each, axis=1).max() for each in shifts if each]
    if not largest:
        return ""
    mean, most = np.mean(largest), max(largest)
    return f"slices aligned: the largest shift of a pair is {mean:.1f} mm on average, {most:.1f} mm at most"

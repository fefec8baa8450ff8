"""Label maps of a pair: as they are given, how well they agree, and how much of them the network did not see."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..chain import move_back
from ..errors import InputError
from ..io.given import label_of
from ..io.images import MedicalImage
from ..metrics.overlap import Overlap, overlap
from ..metrics.pair import mean_of_known
from ..physical import grid_points, sample

if TYPE_CHECKING:
    from .outcome import Registration

MANY = 32
"""More values than this make a label map suspect."""
SCORES = ("dice", "hd95_mm", "asd_mm")


def read_given(given: Any, frame: int | None = None, name: str = "label") -> MedicalImage:
    """The label map that ``given`` is, see `io.given`; of a 4D one the ``frame``.

    Raises:
        InputError: what cannot be read, or a grey image.
    """
    label = label_of(given, name, frame)
    if is_grey(label.array):
        count = len(np.unique(label.array))
        raise InputError(f"{label.path}: {count} different values, side by side: a grey image; give its label map.")
    return label


def is_grey(array: np.ndarray) -> bool:
    """Whether whole numbers are an image's: of many values, of which neighbours mostly differ.

    A label map may have as many (an atlas of the brain), but its structures are wider than a voxel.
    """
    if len(np.unique(array)) <= MANY:
        return False
    equal = counted = 0
    for axis in (axis for axis, n in enumerate(array.shape) if n > 1):
        near, far = (np.moveaxis(array, axis, 0)[part] for part in (np.s_[1:], np.s_[:-1]))
        inside = (near != 0) | (far != 0)
        counted, equal = counted + int(inside.sum()), equal + int((near == far)[inside].sum())
    return equal < counted / 2


def agreement(found: Registration) -> dict[str, dict[str, dict[str, float]]]:
    """How well the moving label lies on the fixed one, before and after: by label, and their "mean".

    Each is {"before", "after"} -> {"dice": 0 to 1, "hd95_mm", "asd_mm"} of the voxels in space. A label that either
    image lacks is NaN, and left out of the mean; one that was moved out of the image has Dice 0 and NaN distances.
    """
    target, before, after = found.fixed_label, found.unmoved_label, found.warped_label
    if target is None or before is None or after is None:
        return {}
    in_both = set(np.unique(target)) & set(np.unique(before))
    scores: dict[str, dict[str, dict[str, float]]] = {}
    for value in sorted({int(each) for map in (target, before) for each in np.unique(map)} - {0}):
        scores[str(value)] = {
            when: _score(np.equal(target, value), np.equal(moved, value), found.fixed.spacing, value in in_both)
            for when, moved in (("before", before), ("after", after))
        }
    mean = {
        when: {name: mean_of_known(score[when][name] for score in scores.values()) for name in SCORES}
        for when in ("before", "after")
    }
    return {**scores, "mean": mean}


def _score(fixed: np.ndarray, moved: np.ndarray, spacing: Sequence[float], in_both: bool) -> dict[str, float]:
    result = overlap(fixed, moved, spacing) if in_both else Overlap(nan)
    return {name: float(getattr(result, name)) for name in SCORES}


def unseen_percent(label: MedicalImage, found: Registration) -> float:
    """How much of a label map, as it lies in space, the network did not see; 0 of an empty one."""
    inside = label.array != 0
    if not inside.any():
        return 0.0
    points = grid_points(label.array.shape, label.affine)[inside]
    if found.case.initial is not None and label is found.case.label:
        points = move_back(points, found.case.initial)[0]
    return 100 * float(1 - sample(found.seen.astype(np.uint8), found.fixed.affine, points, order=0).mean())


def name_of(image: MedicalImage) -> str:
    """What a remark calls an image."""
    return Path(image.path).name

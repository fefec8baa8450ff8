"""The images that a request names: an id is a file's name without its ending, in the folder of its image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib

from ..errors import InputError
from ..io.formats import ITK, NIFTI
from ..io.images import read_image, read_label
from ..nifti import UNREADABLE
from ..registration.case import Case
from .names import check_name
from .parameters import whole_number

LABELS = ("labels/final", "labels/original", "")
"""Where the label maps of a studies folder are: where MONAI Label keeps them, or beside the images."""


def read_studies(data: dict[str, Any]) -> Case:
    """Read the images of a request: ``image`` is moving; fixed is the image ``fixed``, or a frame of the same cine.

    Args:
        data: ``image`` (a path), and of the request ``fixed`` and ``moving_label`` (ids), ``moving_frame`` and
            ``fixed_frame`` (of a file with four axes, counted from 0; the first unless given). What is None or empty
            is not given.

    Raises:
        InputError: an unknown id, a frame that is not there or is both, or a file that cannot be used.
    """
    path = Path(str(data.get("image") or ""))
    if not path.is_file():
        raise InputError("no such image among the studies; GET /datastore/?output=all lists their ids.")
    other = path if _missing(data, "fixed") else find(path.parent, data["fixed"], "fixed", [""])
    frames = _frame(path, data, "moving_frame"), _frame(other, data, "fixed_frame")
    if other == path:
        _check_frames(path, frames)
    label = None
    if not _missing(data, "moving_label"):
        label = read_label(find(path.parent, data["moving_label"], "moving_label", LABELS))
    return Case(read_image(path, frames[0]), read_image(other, frames[1]), label, frames=frames)


def find(folder: Path, name: Any, what: str, places: Sequence[str]) -> Path:
    """Return the file of the id ``name`` in one of ``places`` below ``folder``.

    Raises:
        InputError: no such file, or a name that leads elsewhere.
    """
    name = check_name(name, what, "the id of an image of the studies")
    for place in places:
        for ending in ("", *NIFTI, *ITK):
            path = folder / place / (name + ending)
            if path.name.lower().endswith((*NIFTI, *ITK)) and path.is_file():
                return path
    raise InputError(f"{what} {name!r} is not among the studies; GET /datastore/?output=all lists their ids.")


def frames_of(path: Path) -> int | None:
    """Return how many images a NIfTI file with four axes has; None for any other file.

    Raises:
        InputError: unreadable.
    """
    if not path.name.lower().endswith(NIFTI):
        return None
    try:
        shape = nib.load(path).shape
    except UNREADABLE as error:
        raise InputError(f"{path}: cannot be read ({error}); is the file whole?") from error
    return shape[3] if len(shape) == 4 and shape[3] > 1 else None


def _missing(data: dict[str, Any], key: str) -> bool:
    return data.get(key) in (None, "")


def _frame(path: Path, data: dict[str, Any], key: str) -> int | None:
    """The frame that is asked for, None for a file without frames."""
    count, asked = frames_of(path), data.get(key)
    if count is None:
        return None
    frame = 0 if _missing(data, key) else whole_number(asked)
    if frame is None or not 0 <= frame < count:
        raise InputError(f"{path}: {key} is {asked!r}, but its frames are 0 to {count - 1}; give one of them.")
    return frame


def _check_frames(path: Path, frames: tuple[int | None, int | None]) -> None:
    if frames[0] is None:
        raise InputError(f"{path}: a single image; name the other one by `fixed`, or give a cine and two frames.")
    if frames[0] == frames[1]:
        way_out = "give moving_frame and fixed_frame, or `fixed`, the id of another image"
        raise InputError(f"{path}: frame {frames[0]} would be both moving and fixed; {way_out}.")

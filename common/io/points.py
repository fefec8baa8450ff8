"""Points of a file, to be moved and written back with everything else in it left as it is.

Formats: the tables of `tables` (.csv, .tsv, .txt), the lists of 3D Slicer and elastix of `markups` (.fcsv, .mrk.json,
.txt, .pts), and the meshes of `meshes`. Points are LPS mm in memory. A file of 3D Slicer or elastix says which axes its
numbers have; of any other the caller must say, unless a comment in it does (``SPACE=LPS``, which 3D Slicer writes into
meshes).
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ..errors import InputError
from ..files import write_bytes
from .formats import AXES, POINTS, TABLES
from .markups import is_elastix, read_elastix, read_fcsv, read_markups
from .meshes import Vertices, read_vertices
from .tables import read_table

FARTHEST = 1e6  # mm from the origin: what is farther is no place in an image
UNREADABLE = (
    OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, RecursionError, MemoryError,
    csv.Error,
)  # fmt: skip
"""What readers of text raise for a file of another kind."""


class Moved(Protocol):
    """The content of a file with its points at ``lps``, and with a word on those ``outside`` of what is known."""

    def __call__(self, lps: np.ndarray, outside: np.ndarray | None = None) -> bytes:
        """The file's bytes."""


@dataclass(frozen=True, eq=False)
class Points:
    """The points of a file: ``lps`` (N, 3), or (N, 2) of a table without z, mm; ``moved(lps)`` is its new content."""

    lps: np.ndarray
    moved: Moved
    path: Path

    @property
    def ending(self) -> str:
        """Of the file's name, which tells its format."""
        return _ending(self.path) or ""


def is_points(path: str | Path) -> bool:
    """Tell by the ending whether ``path`` holds points rather than an image."""
    return _ending(Path(path)) is not None


def _ending(path: Path) -> str | None:
    return next((ending for ending in POINTS if path.name.lower().endswith(ending)), None)


def read_points(path: str | Path, axes: str | None = None) -> Points:
    """Read the points of ``path``, whose numbers are ``axes`` (LPS or RAS) where the file does not say it.

    Raises:
        InputError: no such file, unreadable, no points, not finite, or axes that nobody states or that contradict.
    """
    path, ending = Path(path), _ending(Path(path))
    if not path.is_file():
        raise InputError(f"{path}: no such file.")
    if ending is None:
        raise InputError(f"{path}: unknown format; give one of {', '.join(POINTS)}.")
    try:
        content = path.read_bytes()
        found = _reader(ending, content)(content)
    except UNREADABLE as error:
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise InputError(f"{path}: cannot be read as {ending} ({reason}); check the file.") from error
    return _checked(path, found, axes)


def _reader(ending: str, content: bytes) -> Callable[[bytes], Vertices]:
    if ending in TABLES:
        return read_elastix if is_elastix(content) else read_table
    return {".fcsv": read_fcsv, ".mrk.json": read_markups}.get(ending, read_vertices)


def _checked(path: Path, found: Vertices, axes: str | None) -> Points:
    if not len(found.points) or not np.isfinite(found.points).all():
        raise InputError(f"{path}: {'no' if not len(found.points) else 'NaN or infinite'} points; check the file.")
    if (farthest := np.abs(found.points).max()) > FARTHEST:
        raise InputError(f"{path}: has a coordinate of {farthest:g} mm, which is in no image; check the file.")
    return _in_lps(path, found, axes)


def _in_lps(path: Path, found: Vertices, axes: str | None) -> Points:
    if axes not in (None, *AXES):
        raise InputError(f"axes {axes!r} are unknown; choose LPS or RAS.")
    if found.axes is None and axes is None:
        raise InputError(
            f"{path}: does not say whether its points are LPS (ITK, ANTs) or RAS (FreeSurfer); give --axes."
        )
    if found.axes and axes and found.axes != axes:
        raise InputError(f"{path}: says that its points are {found.axes}, not {axes}; leave the axes to it.")
    flip = np.ones(found.points.shape[1])
    if (found.axes or axes) == "RAS":
        flip[:2] = -1

    def moved(lps: np.ndarray, outside: np.ndarray | None = None) -> bytes:
        if outside is None or not outside.any() or found.marked is None:
            return found.moved(lps * flip)
        return found.marked(lps * flip, outside)

    return Points(found.points * flip, moved, path)


def points_of(lps: np.ndarray, name: str = "points") -> Points:
    """Points (N, 2 or 3) in LPS mm as if they were read from ``name``.csv.

    Raises:
        InputError: another shape, no points, or not finite.
    """
    places, path = np.asarray(lps, dtype=float), Path(f"{name}.csv")
    if places.ndim != 2 or places.shape[1] not in (2, 3):
        raise InputError(f"{name}: an array of shape {list(places.shape)}; give (N, 3), or (N, 2) of 2D images.")
    lines = [",".join("xyz"[: places.shape[1]]), *(",".join(map(repr, point)) for point in places.tolist())]
    return _checked(path, read_table("\n".join(lines).encode()), "LPS")


def write_points(path: str | Path, points: Points, lps: np.ndarray, outside: np.ndarray | None = None) -> Path:
    """Write the file that ``points`` were read from to ``path`` with its points at ``lps`` instead.

    Args:
        outside: (N,), which points lie where nothing is known of them: said in their rows, where a format has room.

    Raises:
        InputError: another ending than that file's, or no right to write.
    """
    path = Path(path)
    if _ending(path) != points.ending:
        raise InputError(f"{path}: points keep their format; give a name with {points.ending}.")
    write_bytes(path, points.moved(lps, outside))
    return path

"""Points of a file, to be moved and written back with everything else in it left as it is.

Formats: .csv with columns x, y and z, the lists of 3D Slicer (.fcsv, .mrk.json), and the meshes of `meshes`. Points are
LPS mm in memory. A file of 3D Slicer says which axes its numbers have; of any other the caller must say, unless a
comment in it does (``SPACE=LPS``, which 3D Slicer writes into meshes).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..files import write_bytes
from .formats import AXES, POINTS
from .meshes import Vertices, read_vertices


@dataclass(frozen=True, eq=False)
class Points:
    """The points of a file: ``lps`` (N, 3), or (N, 2) of a .csv without z, in mm; ``moved(lps)`` is its new content."""

    lps: np.ndarray
    moved: Callable[[np.ndarray], bytes]
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
    readers = {".csv": _read_csv, ".fcsv": _read_fcsv, ".mrk.json": _read_markups}
    try:
        found = readers.get(ending, read_vertices)(path.read_bytes())
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"{path}: cannot be read as {ending} ({reason}); check the file.") from error
    return _checked(path, found, axes)


def _checked(path: Path, found: Vertices, axes: str | None) -> Points:
    if not len(found.points) or not np.isfinite(found.points).all():
        raise InputError(f"{path}: {'no' if not len(found.points) else 'NaN or infinite'} points; check the file.")
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
    return Points(found.points * flip, lambda lps: found.moved(lps * flip), path)


def points_of(lps: np.ndarray, name: str = "points") -> Points:
    """Points (N, 2 or 3) in LPS mm as if they were read from ``name``.csv.

    Raises:
        InputError: another shape, no points, or not finite.
    """
    places, path = np.asarray(lps, dtype=float), Path(f"{name}.csv")
    if places.ndim != 2 or places.shape[1] not in (2, 3):
        raise InputError(f"{name}: an array of shape {list(places.shape)}; give (N, 3), or (N, 2) of 2D images.")
    lines = [",".join("xyz"[: places.shape[1]]), *(",".join(map(repr, point)) for point in places.tolist())]
    return _checked(path, _read_csv("\n".join(lines).encode()), "LPS")


def write_points(path: str | Path, points: Points, lps: np.ndarray) -> Path:
    """Write the file that ``points`` were read from to ``path`` with its points at ``lps`` instead.

    Raises:
        InputError: another ending than that file's, or no right to write.
    """
    path = Path(path)
    if _ending(path) != points.ending:
        raise InputError(f"{path}: points keep their format; give a name with {points.ending}.")
    write_bytes(path, points.moved(lps))
    return path


def _numbers(row: Sequence[str], places: Sequence[int], number: int) -> list[float]:
    try:
        return [float(row[place]) for place in places]
    except (ValueError, IndexError) as error:
        raise ValueError(f"row {number + 1}, {','.join(row)!r}, has no number for each coordinate") from error


def _read_csv(content: bytes, columns: tuple[str, ...] = ("x", "y", "z")) -> Vertices:
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    names = [name.strip().lower() for name in rows[0]] if rows else []
    places = [names.index(c) for c in columns if c in names]
    if len(places) < 2 or places[:2] != [names.index(c) for c in columns[:2] if c in names]:
        raise ValueError("its first line names no columns x, y and z")
    body = [n for n, row in enumerate(rows) if n and any(cell.strip() for cell in row)]
    values = np.array([_numbers(rows[n], places, n) for n in body]).reshape(-1, len(places))

    def moved(points: np.ndarray) -> bytes:
        copy = [list(row) for row in rows]
        for n, point in zip(body, points, strict=True):
            for place, value in zip(places, point, strict=True):
                copy[n][place] = f"{value:.9g}"
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(copy)
        return text.getvalue().encode()

    return Vertices(values, None, moved)


def _read_fcsv(content: bytes) -> Vertices:
    lines = content.decode("utf-8").splitlines()
    comments = [n for n, line in enumerate(lines) if line.startswith("#")]
    said = [lines[n].split("=")[1].strip() for n in comments if "CoordinateSystem" in lines[n]]
    axes = {"0": "RAS", "RAS": "RAS", "1": "LPS", "LPS": "LPS"}[said[0] if said else "RAS"]  # RAS if unsaid, as Slicer
    rows = [n for n, line in enumerate(lines) if line.strip() and n not in comments]
    cells = {n: next(csv.reader([lines[n]])) for n in rows}
    values = np.array([_numbers(cells[n], (1, 2, 3), n) for n in rows]).reshape(-1, 3)

    def moved(points: np.ndarray) -> bytes:
        copy = list(lines)
        for n, point in zip(rows, points, strict=True):
            text = io.StringIO()
            csv.writer(text, lineterminator="").writerow([cells[n][0], *(f"{v:.9g}" for v in point), *cells[n][4:]])
            copy[n] = text.getvalue()
        return ("\n".join(copy) + "\n").encode()

    return Vertices(values, axes, moved)


def _read_markups(content: bytes) -> Vertices:
    kinds = {markup.get("coordinateSystem", "LPS") for markup in json.loads(content)["markups"]}
    axes = {"0": "RAS", "RAS": "RAS", "1": "LPS", "LPS": "LPS"}
    if len({axes[str(kind)] for kind in kinds}) > 1:
        raise ValueError("lists of both LPS and RAS")

    def placed(document: dict[str, Any]) -> list[dict[str, Any]]:
        every = [point for markup in document["markups"] for point in markup.get("controlPoints", [])]
        return [point for point in every if point.get("positionStatus", "defined") == "defined"]

    values = np.array([point["position"] for point in placed(json.loads(content))], dtype=float).reshape(-1, 3)

    def moved(points: np.ndarray) -> bytes:
        document = json.loads(content)
        for point, value in zip(placed(document), points, strict=True):
            point["position"] = [float(v) for v in value]
        for markup in document["markups"]:
            markup.pop("measurements", None)  # lengths and areas of the old places; 3D Slicer measures anew
        return (json.dumps(document, indent=4) + "\n").encode()

    return Vertices(values, axes[str(next(iter(kinds), "LPS"))], moved)

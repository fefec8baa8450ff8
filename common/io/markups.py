"""Points of 3D Slicer's lists (.fcsv, .mrk.json) and of elastix (.txt, .pts).

What lies outside of a field says so in the description of a point; a file of elastix has no room for it.
"""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import numpy as np

from .meshes import Vertices
from .tables import numbers, text_of

AXES = {"0": "RAS", "RAS": "RAS", "1": "LPS", "LPS": "LPS"}
OUTSIDE = "outside of the field"
COLUMNS, DESCRIPTION = 14, 12  # of a .fcsv: id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID


def read_fcsv(content: bytes) -> Vertices:
    """Find the points of a .fcsv; they are RAS if it does not say it, as in 3D Slicer."""
    lines = text_of(content).splitlines()
    comments = {n for n, line in enumerate(lines) if line.startswith("#")}
    said = [lines[n].split("=")[1].strip() for n in sorted(comments) if "CoordinateSystem" in lines[n]]
    axes = _axes(said[0] if said else "RAS")
    rows = [n for n, line in enumerate(lines) if line.strip() and n not in comments]
    cells = {n: next(csv.reader([lines[n]])) for n in rows}
    values = np.array([numbers(cells[n], (1, 2, 3), n) for n in rows]).reshape(-1, 3)

    def moved(points: np.ndarray, outside: np.ndarray | None = None) -> bytes:
        copy = list(lines)
        for n, point, is_outside in zip(rows, points, _flags(outside, rows), strict=True):
            row = [cells[n][0], *(f"{v:.9g}" for v in point), *cells[n][4:]]
            if is_outside:
                row += [""] * (COLUMNS - len(row))
                row[DESCRIPTION] = OUTSIDE
            text = io.StringIO()
            csv.writer(text, lineterminator="").writerow(row)
            copy[n] = text.getvalue()
        return ("\n".join(copy) + "\n").encode()

    return Vertices(values, axes, moved, moved)


def _flags(outside: np.ndarray | None, points: list[Any]) -> list[bool]:
    return [False] * len(points) if outside is None else [bool(each) for each in outside]


def _axes(said: Any) -> str:
    if str(said) not in AXES:
        raise ValueError(f"its coordinate system is {str(said)[:40]!r}, neither LPS nor RAS")
    return AXES[str(said)]


def read_markups(content: bytes) -> Vertices:
    """Find the control points of a .mrk.json that are placed; they are LPS if it does not say it, as in 3D Slicer."""
    document = json.loads(text_of(content))
    kinds = {_axes(markup.get("coordinateSystem", "LPS")) for markup in document["markups"]}
    if len(kinds) > 1:
        raise ValueError("lists of both LPS and RAS")
    for unit in (markup.get("coordinateUnits", "mm") for markup in document["markups"]):
        if unit not in ("mm", ["mm", "mm", "mm"]):
            raise ValueError(f"its coordinates are in {str(unit)[:40]}, not in mm")
    values = np.array([_position(point) for point in _placed(document)], dtype=float).reshape(-1, 3)

    def moved(points: np.ndarray, outside: np.ndarray | None = None) -> bytes:
        copy = json.loads(text_of(content))
        every = _placed(copy)
        for point, value, is_outside in zip(every, points, _flags(outside, every), strict=True):
            point["position"] = [float(v) for v in value]
            if is_outside:
                point["description"] = OUTSIDE
        for markup in copy["markups"]:
            markup.pop("measurements", None)  # lengths and areas of the old places; 3D Slicer measures anew
        return (json.dumps(copy, indent=4) + "\n").encode()

    return Vertices(values, next(iter(kinds), "LPS"), moved, moved)


def _placed(document: dict[str, Any]) -> list[dict[str, Any]]:
    every = [point for markup in document["markups"] for point in markup.get("controlPoints", [])]
    return [point for point in every if point.get("positionStatus", "defined") == "defined"]


def _position(point: dict[str, Any]) -> list[float]:
    place = point["position"]
    if not isinstance(place, list) or len(place) != 3 or any(type(v) not in (int, float) for v in place):
        raise ValueError(f"a position is {str(place)[:40]}, not three numbers")
    return place


def is_elastix(content: bytes) -> bool:
    """Tell a file of points for transformix by its first word."""
    start = content[:100].removeprefix(b"\xef\xbb\xbf")
    return start.split()[:1] in ([b"point"], [b"index"]) or start.startswith(b"Point\t")


def read_elastix(content: bytes) -> Vertices:
    """Find the points of a file for transformix: ``point``, how many, and one a line, in the axes of ITK."""
    lines = text_of(content).splitlines()
    words = [line.split() for line in lines]
    rows = [n for n, row in enumerate(words) if row]
    if words[rows[0]][0] != "point":
        told = "are voxels of the fixed image" if words[rows[0]][0] == "index" else "are what transformix made"
        raise ValueError(f"its points {told}; give millimetres, after the word point and their number")
    if len(rows) < 2 or not (said := " ".join(words[rows[1]])).isdecimal():
        raise ValueError("it does not say how many points it has")
    count, rows = int(said), rows[2:]
    if count != len(rows):
        raise ValueError(f"it says {count} points and has {len(rows)}")
    dims = len(words[rows[0]]) if rows else 3
    if dims not in (2, 3) or any(len(words[n]) != dims for n in rows):
        raise ValueError("its rows do not have two or three numbers each")
    values = np.array([numbers(words[n], range(dims), n) for n in rows]).reshape(-1, dims)

    def moved(points: np.ndarray) -> bytes:
        copy = list(lines)
        for n, point in zip(rows, points, strict=True):
            copy[n] = " ".join(f"{v:.9g}" for v in point)
        return ("\n".join(copy) + "\n").encode()

    return Vertices(values, "LPS", moved)

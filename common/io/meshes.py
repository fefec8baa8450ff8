"""The vertices of mesh files, replaced in place: faces, colours and data stay byte for byte.

Formats: legacy VTK polydata (.vtk), PLY and STL, in text or binary, and OBJ. Normals that a file stores are kept as
they are, and those of an STL set to zero, which stands for unknown: compute them anew where they matter.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

import numpy as np

SPACE = re.compile(rb"SPACE\s*=\s*(LPS|RAS)")
PLY_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip

PLY_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">"}


@dataclass(frozen=True, eq=False)
class Vertices:
    """Points (N, 3) in a file's own axes, those axes where it states them, and ``moved(points)``: its new content.

    ``marked(points, outside)`` is the same with a word on those that are ``outside``, where the format has room for it.
    """

    points: np.ndarray
    axes: str | None
    moved: Callable[[np.ndarray], bytes]
    marked: Callable[[np.ndarray, np.ndarray], bytes] | None = None


def read_vertices(content: bytes) -> Vertices:
    """Find the vertices of a mesh file; raise ValueError if it is of none of the formats, or not whole."""
    if content.startswith(b"# vtk DataFile"):
        return _read_vtk(content)
    if content.startswith(b"ply"):
        return _read_ply(content)
    size = int.from_bytes(content[80:84], "little")
    if len(content) >= 84 and len(content) == 84 + 50 * size:
        return _read_binary_stl(content)
    if content.lstrip().startswith(b"solid"):
        return _read_lines(content, rb"(?m)^[ \t]*vertex[ \t]+(\S+)[ \t]+(\S+)[ \t]+(\S+)", zero_normals=True)
    if re.search(rb"(?m)^v[ \t]", content):
        return _read_lines(content, rb"(?m)^v[ \t]+(\S+)[ \t]+(\S+)[ \t]+(\S+)")
    raise ValueError("not a mesh in legacy VTK, PLY, STL or OBJ")


def _axes(header: bytes) -> str | None:
    found = SPACE.search(header)
    return found.group(1).decode() if found else None


def _text(points: np.ndarray) -> list[bytes]:
    return [b" ".join(f"{v:.9g}".encode() for v in point) for point in points]


def _read_lines(content: bytes, pattern: bytes, zero_normals: bool = False) -> Vertices:
    """Vertices one a line: what ``pattern`` has in its three groups."""
    found = list(re.finditer(pattern, content))
    points = np.array([[float(v) for v in match.groups()] for match in found]).reshape(-1, 3)

    def moved(new: np.ndarray) -> bytes:
        parts, end = [], 0
        for match, text in zip(found, _text(new), strict=True):
            parts += [content[end : match.start(1)], text]
            end = match.end(3)
        whole = b"".join([*parts, content[end:]])
        return re.sub(rb"(?m)(facet normal)[^\r\n]*", rb"\1 0 0 0", whole) if zero_normals else whole

    return Vertices(points, _axes(content[:2000]), moved)


def _read_binary_stl(content: bytes) -> Vertices:
    kind = np.dtype([("normal", "<f4", 3), ("vertices", "<f4", (3, 3)), ("attribute", "<u2")])
    faces = np.frombuffer(content, kind, offset=84)

    def moved(new: np.ndarray) -> bytes:
        copy = faces.copy()
        copy["vertices"], copy["normal"] = new.reshape(-1, 3, 3), 0
        return content[:84] + copy.tobytes()

    return Vertices(faces["vertices"].reshape(-1, 3).astype(float), _axes(content[:80]), moved)


def _read_vtk(content: bytes) -> Vertices:
    _, title, coding, _ = content.split(b"\n", 3)
    header = re.search(rb"(?m)^POINTS[ \t]+(\d+)[ \t]+(float|double)[ \t]*\r?\n", content)
    if header is None or b"POLYDATA" not in content[:1000].upper():
        raise ValueError("no polydata of points in float or double")
    count, start = int(header.group(1)), header.end()
    if coding.strip().upper() != b"BINARY":
        return _read_vtk_text(content, start, 3 * count, _axes(title))
    kind = np.dtype(">f4" if header.group(2) == b"float" else ">f8")
    end = start + 3 * count * kind.itemsize
    if end > len(content):
        raise ValueError("fewer points than it says")
    points = np.frombuffer(content[start:end], kind).reshape(count, 3)
    return Vertices(
        points.astype(float), _axes(title), lambda new: content[:start] + new.astype(kind).tobytes() + content[end:]
    )


def _read_vtk_text(content: bytes, start: int, count: int, axes: str | None) -> Vertices:
    words = list(islice(re.finditer(rb"\S+", content[start:]), min(count, len(content))))
    if not count or len(words) != count:
        raise ValueError("fewer points than it says")
    points = np.array([float(word.group()) for word in words]).reshape(-1, 3)
    end = start + words[-1].end()
    return Vertices(points, axes, lambda new: content[:start] + b"\n".join(_text(new)) + content[end:])


def _read_ply(content: bytes) -> Vertices:
    header = re.match(rb"ply.*?end_header[ \t]*\r?\n", content, re.DOTALL)
    if header is None:
        raise ValueError("no end of its header")
    lines = [line.split() for line in header.group().decode().splitlines()]
    coding = next((line[1] for line in lines if line[:1] == ["format"]), None)
    if coding not in ("ascii", *PLY_ORDERS):
        raise ValueError(f"its format is {coding}, neither ascii nor binary")
    elements = [n for n, line in enumerate(lines) if line[:1] == ["element"]]
    first, stop = (*elements, len(lines))[:2]
    if lines[first][1] != "vertex" or any("list" in line for line in lines[first:stop]):
        raise ValueError("its vertices do not come first, or have lists")
    properties = [(line[2], PLY_TYPES[line[1]]) for line in lines[first:stop] if line[:1] == ["property"]]
    if {"x", "y", "z"} - {name for name, code in properties if code[0] == "f"}:
        raise ValueError("its vertices have no x, y and z in float or double")
    count, axes = int(lines[first][2]), _axes(header.group())
    if not 0 <= count <= len(content):
        raise ValueError(f"it says {count} vertices, and is too short for them")
    if coding == "ascii":
        return _read_ply_text(content, header.end(), count, [name for name, _ in properties], axes)
    kind = np.dtype([(name, PLY_ORDERS[coding] + code) for name, code in properties])
    rows = np.frombuffer(content, kind, count=count, offset=header.end())

    def moved(new: np.ndarray) -> bytes:
        copy = rows.copy()
        copy["x"], copy["y"], copy["z"] = new.T
        return content[: header.end()] + copy.tobytes() + content[header.end() + copy.nbytes :]

    return Vertices(np.stack([rows[c].astype(float) for c in "xyz"], axis=-1), axes, moved)


def _read_ply_text(content: bytes, start: int, count: int, names: list[str], axes: str | None) -> Vertices:
    lines = content[start:].splitlines(keepends=True)
    places = [names.index(c) for c in "xyz"]
    rows = [line.split() for line in lines[:count]]
    points = np.array([[float(row[p]) for p in places] for row in rows]).reshape(-1, 3)
    if len(points) != count:
        raise ValueError("fewer vertices than it says")

    def moved(new: np.ndarray) -> bytes:
        copy = [list(row) for row in rows]
        for row, point in zip(copy, new, strict=True):
            for place, value in zip(places, point, strict=True):
                row[place] = f"{value:.9g}".encode()
        return b"".join([content[:start], *(b" ".join(row) + b"\n" for row in copy), *lines[count:]])

    return Vertices(points, axes, moved)

"""Points in tables: text of one point a row, whose other columns, delimiter and order stay.

Columns are named x, y and z (whose axes the caller states), r, a and s (RAS) or l, p and s (LPS), as 3D Slicer exports
them, beside any others; two or three columns of numbers need no names. Cells are parted by tabs, semicolons, commas or
blanks; beside semicolons a number may have a comma. What lies outside of a field says so in a column ``outside``.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .meshes import Vertices

AXES = {"xyz": None, "ras": "RAS", "lps": "LPS"}
OUTSIDE = "outside"
LONGEST = 2**20  # of a cell; what is longer is no table


def text_of(content: bytes) -> str:
    """Decode a text file: UTF-8, or UTF-16 where its first bytes say so; raise ValueError if it is neither."""
    wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    return content.decode("utf-16" if wide else "utf-8-sig")


def numbers(row: Sequence[str], places: Sequence[int], number: int) -> list[float]:
    """The cells of ``row`` at ``places``; raise ValueError, naming the row by its ``number`` from 0, if one is none."""
    try:
        return [float(row[place]) for place in places]
    except (ValueError, IndexError) as error:
        told = ",".join(row)
        told = told if len(told) < 60 else f"{told[:60]}..."
        raise ValueError(f"row {number + 1}, {told!r}, has no number for each coordinate") from error


@dataclass(frozen=True)
class Table:
    """The rows of a text file, and which of their columns are coordinates."""

    rows: list[list[str]]
    delimiter: str
    header: int | None  # the row that names the columns
    places: list[int]
    axes: str | None

    @property
    def names(self) -> list[str]:
        """Of the columns, in lower case; none without a header."""
        return [] if self.header is None else _names(self.rows[self.header])

    @property
    def has_commas(self) -> bool:
        """Whether its numbers are written as 1,5."""
        return self.delimiter == ";" and any("," in row[p] for row in self.rows for p in self.places if p < len(row))

    def body(self) -> list[int]:
        """The rows with a point: neither empty, nor a comment, nor one that 3D Slicer has as not placed."""
        defined = self.names.index("defined") if "defined" in self.names else None
        return [
            n for n, row in enumerate(self.rows)
            if n != self.header and any(cell.strip() for cell in row) and not row[0].lstrip().startswith("#")
            and (defined is None or len(row) <= defined or row[defined].strip() != "0")
        ]  # fmt: skip


def read_table(content: bytes) -> Vertices:
    """Find the points of a table.

    Raises:
        ValueError, csv.Error: columns that are not named, rows without numbers, no text.
    """
    table = _table(text_of(content))
    body, has_commas = table.body(), table.has_commas
    plain = [[cell.replace(",", ".") for cell in row] if has_commas else row for row in table.rows]
    values = np.array([numbers(plain[n], table.places, n) for n in body]).reshape(-1, len(table.places))

    def moved(points: np.ndarray, outside: np.ndarray | None = None) -> bytes:
        copy = [list(row) for row in table.rows]
        for n, point in zip(body, points, strict=True):
            for place, value in zip(table.places, point, strict=True):
                copy[n][place] = f"{value:.9g}".replace(".", "," if has_commas else ".")
        if outside is not None:
            _mark(table, copy, body, outside)
        return _written(copy, table.delimiter)

    return Vertices(values, table.axes, moved, moved)


def _mark(table: Table, rows: list[list[str]], body: Sequence[int], outside: np.ndarray) -> None:
    """Set the column `OUTSIDE` of ``rows``, in place: 1 for what is outside, else 0."""
    names = table.names
    column = names.index(OUTSIDE) if OUTSIDE in names else max(len(row) for row in rows)
    said = dict(zip(body, outside, strict=True))
    for n, row in enumerate(rows):
        if n == table.header or n in said:
            row += [""] * (column + 1 - len(row))
            row[column] = OUTSIDE if n == table.header else str(int(said[n]))


def _written(rows: Sequence[Sequence[str]], delimiter: str) -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _table(text: str) -> Table:
    lines = [line for line in text.splitlines() if line.strip()]
    first = next((line for line in lines if not line.lstrip().startswith("#")), "")
    bare = re.sub(r'"[^"]*"', "", first)
    delimiter = next((mark for mark in "\t;," if mark in bare), " ")
    rows = _rows(text, delimiter)
    header = next((n for n, row in enumerate(rows) if _coordinates(row)), None)
    if header is not None:
        places, axes = _named(_names(rows[header]))
        return Table(rows, delimiter, header, places, axes)
    table = Table(rows, delimiter, None, [], None)
    widths = {len(rows[n]) for n in table.body()}
    if len(widths) > 1 or not widths <= {2, 3}:
        raise ValueError("its first line names no columns x, y, z (or r, a, s, or l, p, s)")
    return Table(rows, delimiter, None, list(range(max(widths, default=3))), None)


def _rows(text: str, delimiter: str) -> list[list[str]]:
    if delimiter == " ":
        return [line.split() for line in text.splitlines()]
    previous = csv.field_size_limit(LONGEST)
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    finally:
        csv.field_size_limit(previous)


def _names(row: Sequence[str]) -> list[str]:
    return [name.strip().lstrip("#").strip().lower() for name in row]


def _coordinates(row: Sequence[str]) -> list[str]:
    """The triples of `AXES` whose first two names ``row`` has."""
    names = _names(row)
    return [axes for axes in AXES if axes[0] in names and axes[1] in names]


def _named(names: Sequence[str]) -> tuple[list[int], str | None]:
    """Where the coordinates are among ``names``, and their axes."""
    found = _coordinates(names)
    if len(found) > 1:
        raise ValueError(f"it names columns of {' and '.join(','.join(axes) for axes in found)}; keep one")
    wanted = [name for name in found[0] if name in names]
    if twice := [name for name in wanted if names.count(name) > 1]:
        raise ValueError(f"it names the column {twice[0]} twice")
    return [names.index(name) for name in wanted], AXES[found[0]]

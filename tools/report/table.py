"""The comparison table: rows of values, the best of each column, as CSV and as text."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from .columns import FURTHER, MAIN, Column, Value, value
from .evaluations import Evaluation

UNREGISTERED = "no registration"
BEFORE = "undeformed"  # the baseline that does not register


@dataclass(frozen=True)
class Cell:
    """One value as it is shown."""

    column: Column
    value: Value
    best: bool = False
    usual: int | None = None  # the number of pairs behind the cell's neighbours

    @property
    def mean(self) -> str:
        return self.column.show(self.value.mean * self.column.scale)

    @property
    def sd(self) -> str:
        """The SD, or nothing where there is none."""
        return "" if math.isnan(self.value.sd) else self.column.show(self.value.sd * self.column.scale)

    @property
    def odd(self) -> str:
        """The number of pairs behind the value, where it is not the one to expect."""
        return "" if self.value.n in (None, self.usual) else str(self.value.n)


@dataclass(frozen=True)
class Row:
    """One method's cells, a cell per column; ``missing`` counts the pairs a metric could not be computed of."""

    name: str
    pairs: int
    cells: list[Cell]
    missing: dict[int, list[str]]  # count of pairs -> the metrics that could not be computed of so many


def build(evaluations: Sequence[Evaluation], columns: Sequence[Column] = MAIN) -> list[Row]:
    """Return a row for no registration and one per evaluation, of the columns in which any of them has a value.

    The baseline that does not register, where it is among them, is the first row.
    """
    first, methods = split_undeformed(evaluations)
    name, before = (first.name, first.summary) if first else (UNREGISTERED, undeformed_summary(methods[0]))
    summaries = [before, *(each.summary for each in methods)]
    used = [column for column in columns if any(_is_worth(summary, column) for summary in summaries[1:] or [before])]
    names, pairs = [name, *(each.name for each in methods)], evaluations[0].summary["pairs"]
    rows = [
        Row(name, pairs, [_cell(summary, column, pairs) for column in used], _missing(summary))
        for name, summary in zip(names, summaries, strict=True)
    ]
    return _mark_best(rows)


def split_undeformed(evaluations: Sequence[Evaluation]) -> tuple[Evaluation | None, list[Evaluation]]:
    """Return the baseline that does not register, if it is there, and the methods."""
    before = next((each for each in evaluations if each.summary["bundle"] == BEFORE), None)
    return before, [each for each in evaluations if each is not before]


def _is_worth(summary: dict, column: Column) -> bool:
    """Tell whether there is a value; a count of no pairs is none."""
    found = value(summary, column.path)
    return bool(found) and not (column.title == "n" and found.mean == 0)


def _cell(summary: dict, column: Column, pairs: int) -> Cell:
    """Return one cell; it should be of as many pairs as its protocol's overlap, else of all."""
    overlap = value(summary, (*column.path[:2], "dsc")).n if column.path[0] == "protocols" else None
    return Cell(column, value(summary, column.path), usual=pairs if overlap is None else overlap)


def _missing(summary: dict) -> dict[int, list[str]]:
    """Return what could be computed of some pairs but not of all: a metric of no pair is none of the method's."""
    found: dict[int, list[str]] = {}
    for key, count in (summary.get("not_computed") or {}).items():
        if 0 < count < summary.get("pairs", math.inf) and not key.startswith("undeformed"):
            found.setdefault(int(count), []).append(key)
    return found


def undeformed_summary(evaluation: Evaluation) -> dict:
    """Return what metrics.json says of no registration, laid out as for a method."""
    summary = evaluation.summary
    missing = {
        key.removeprefix("undeformed/"): count
        for key, count in (summary.get("not_computed") or {}).items()
        if key.startswith("undeformed/")
    }
    known = summary.get("truth") or {}
    truth = {key: known.get(f"undeformed_{key}") for key in ("endpoint_error", "endpoint_error_image")}
    return {"protocols": summary.get("undeformed") or {}, "truth": truth, "not_computed": missing}


def _mark_best(rows: list[Row]) -> list[Row]:
    """Mark the best method of each column, with those that print the same; nothing is best where all are alike."""
    methods = rows[1:]
    best = [_best([row.cells[i] for row in methods]) for i in range(len(rows[0].cells))]
    marked = [
        replace(row, cells=[replace(cell, best=cell.mean == best[i]) for i, cell in enumerate(row.cells)])
        for row in methods
    ]
    return [rows[0], *marked]


def _best(cells: Sequence[Cell]) -> str | None:
    candidates = [cell for cell in cells if cell.value]
    if len({cell.mean for cell in candidates}) < 2 or candidates[0].column.better is None:
        return None
    pick = max if candidates[0].column.better == "higher" else min
    return pick(candidates, key=lambda cell: cell.value.mean).mean


def to_csv(evaluations: Sequence[Evaluation]) -> str:
    """Return the table in full precision: mean, SD and number of pairs of every column."""
    rows = build(evaluations, (*MAIN, *FURTHER))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    columns = [cell.column for cell in rows[0].cells if cell.column.title != "n"]
    parts = [f"{column.key}{part}" for column in columns for part in ("", "_sd", "_n")]
    writer.writerow(["method", "pairs", *parts])
    for row in rows:
        shown = [cell.value for cell in row.cells if cell.column in columns]
        writer.writerow([row.name, row.pairs, *(text for each in shown for text in _csv_cells(each))])
    return out.getvalue()


def _csv_cells(cell: Value) -> list[str]:
    numbers = ["" if math.isnan(number) else repr(number) for number in (cell.mean, cell.sd)]
    return [*numbers, "" if cell.n is None else str(cell.n)]


def to_text(rows: Sequence[Row]) -> str:
    """Return the table for a terminal: one aligned block per group of columns, the best of a column starred."""
    blocks = []
    for group, members in groupby(range(len(rows[0].cells)), key=lambda i: rows[0].cells[i].column.group):
        indices = list(members)
        columns = [rows[0].cells[i].column for i in indices]
        titles = [f"{column.title} {column.unit}".rstrip() for column in columns]
        body = [[row.name, *(_text_cell(row.cells[i]) for i in indices)] for row in rows]
        blocks.append(_aligned([[group, *titles], *body]))
    return "\n\n".join(blocks)


def _text_cell(cell: Cell) -> str:
    spread = (f" ± {cell.sd}" if cell.sd else "") + (f" (n {cell.odd})" if cell.odd else "")
    return f"{cell.mean}{spread} {'*' if cell.best else ' '}"


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    # a header ends where the numbers do, before the column of stars
    texts = [[line[0].ljust(widths[0]), *map(_right, line[1:], widths[1:])] for line in lines]
    rule = "-" * (sum(widths) + 2 * len(widths) - 2)
    joined = ["  ".join(line).rstrip() for line in texts]
    return "\n".join([joined[0], rule, *joined[1:]])


def _right(cell: str, width: int) -> str:
    return cell.rjust(width) if cell.endswith(("*", " ")) else f"{cell} ".rjust(width)

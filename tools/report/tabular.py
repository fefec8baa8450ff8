"""CSV files as columns of text, read as numbers where numbers are asked for."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import InputError


@dataclass(frozen=True)
class Table:
    """The columns of one CSV file, in its order."""

    path: Path
    columns: dict[str, list[str]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def text(self, name: str) -> list[str]:
        """Return a column as it is written.

        Raises:
            InputError: there is no such column.
        """
        if name not in self.columns:
            raise InputError(f"{self.path}: no column {name!r}; it has {', '.join(self.columns)}.")
        return self.columns[name]

    def numbers(self, name: str) -> np.ndarray:
        """Return a column as float64 (rows,), an empty cell as NaN.

        Raises:
            InputError: there is no such column, or a cell is not a number.
        """
        return np.array([self._number(name, row, cell) for row, cell in enumerate(self.text(name))], dtype=np.float64)

    def _number(self, name: str, row: int, cell: str) -> float:
        try:
            return float(cell) if cell.strip() else float("nan")
        except ValueError:
            # row 0 is the file's second line
            raise InputError(f"{self.path}, line {row + 2}: {name} is {cell!r}, not a number.") from None


def read_csv(path: Path) -> Table:
    """Read a CSV file with a header line.

    Raises:
        InputError: the file is missing, is no text, has no rows, or a row has more or fewer cells than the header.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file.")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a CSV file ({error}).") from None
    if len(rows) < 2:
        raise InputError(f"{path}: no rows; it was not written to its end.")
    header, body = rows[0], rows[1:]
    for line, row in enumerate(body, start=2):
        if len(row) != len(header):
            raise InputError(f"{path}, line {line}: {len(row)} cells for {len(header)} columns.")
    return Table(path, {name: [row[i] for row in body] for i, name in enumerate(header)})

"""How a number is written in a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

NONE = "–"
Row = Mapping[str, Any]


def at(row: Row, path: str) -> Any:
    """What a file of results holds at ``published/dsc``; None where it holds nothing there."""
    found: Any = row
    for key in path.split("/"):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def mean(value: Row | None, digits: int = 2, scale: float = 1) -> str:
    """``81.28``."""
    return NONE if value is None else f"{scale * value['mean']:.{digits}f}"


def spread(value: Row | None, digits: int = 2, scale: float = 1) -> str:
    """``81.28 ± 0.27`` of several seeds, ``81.28`` of one."""
    more = f" ± {scale * value['sd']:.{digits}f}" if value is not None and "sd" in value else ""
    return mean(value, digits, scale) + more


def signed(value: float) -> str:
    """``+0.03``; what rounds to nothing is ``0.00``."""
    text = f"{value:+.2f}"
    return text[1:] if float(text) == 0 else text


def p_value(value: float | None) -> str:
    """``0.74``, ``0.020``, ``< 0.001``; NONE where the test could not be made."""
    if value is None:
        return NONE
    return "< 0.001" if value < 0.0005 else f"{value:.3f}" if value < 0.0995 else f"{value:.2f}"


def head(columns: Sequence[str]) -> list[str]:
    """The names of the columns, and the rule below them."""
    return [line(columns), "|---" * len(columns) + "|"]


def line(cells: Iterable[object]) -> str:
    """One row of a table in Markdown."""
    return f"| {' | '.join(map(str, cells))} |"

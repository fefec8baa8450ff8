"""The marked blocks of a document, each with the table that its name stands for."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator

from common.errors import InputError

from ..benchmark import table as benchmarks
from . import finetune, gain, refine, results, search

MARK = re.compile(r"^<!-- (table: .*|end) -->$", re.MULTILINE)
BLOCK = re.compile(r"^<!-- table: ([^\n]*) -->\n(.*?)^<!-- end -->$", re.MULTILINE | re.DOTALL)
NOTHING = "Not measured yet."


def speed() -> Iterator[str]:
    """What `benchmark table` prints."""
    files = sorted(benchmarks.RESULTS.glob("*.json"))
    return benchmarks.tables([benchmarks.read(path) for path in files]) if files else iter(())


TABLES: dict[str, Callable[[], Iterator[str]]] = {
    "acdc": lambda: results.without_labels("ACDC"),
    "camus": lambda: results.without_labels("CAMUS"),
    "acdc 3d": lambda: results.volumes("ACDC 3D"),
    "hippocampus": lambda: results.with_labels("Hippocampus"),
    "gain": gain.table,
    "search": search.table,
    "refine": lambda: refine.table("acdc"),
    "refine slowly": lambda: refine.table("acdc_slowly"),
    "refine 3d": lambda: refine.table("acdc_3d"),
    "refine phantom": lambda: refine.table("phantom"),
    "following": refine.following,
    "finetune": lambda: finetune.table("sunnybrook"),
    "speed": speed,
}


def filled(text: str, where: str) -> tuple[str, list[str]]:
    """A document with its blocks made anew, and the names of those that are not as they were.

    Raises:
        InputError: for a block of an unknown name, and one without an end; ``where`` is the document.
    """
    changed: list[str] = []
    marks = [*MARK.findall(text), ""]
    for mark, after in itertools.pairwise(marks):
        if mark != "end" and after != "end":
            raise InputError(f"{where}: <!-- {mark} --> has no <!-- end --> before the next table; add it.")

    def block(found: re.Match[str]) -> str:
        made = f"<!-- table: {found[1]} -->\n{table(found[1], where)}\n<!-- end -->"
        if made != found[0]:
            changed.append(found[1])
        return made

    return BLOCK.sub(block, text), changed


def table(name: str, where: str) -> str:
    """One table, or that there is nothing to fill it with; raise InputError for an unknown name."""
    if name not in TABLES:
        raise InputError(f"{where}: <!-- table: {name} -->: no such table; there are {', '.join(TABLES)}.")
    return "\n".join(TABLES[name]()) or NOTHING

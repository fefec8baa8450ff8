"""What a method gains over another, by the paired tests that were made where its weights were shipped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..recipes import shipped
from .cells import NONE, at, head, line, p_value, signed
from .rows import trained

COLUMNS = ("data", "method", "against", "protocol", "seeds", "patients", "difference (95 %)", "p (t)", "p (Wilcoxon)",
           "d_z", "pairs", "difference", "p (t)")  # fmt: skip
NEAR = 1e-3  # points of Dice: tables of pairs are rounded


def table() -> Iterator[str]:
    """A line for each test of each protocol; nothing if none was made."""
    tests = [
        [row["dataset"], name, reference, protocol, seeds(row, reference, protocol), *numbers(test)]
        for name, row in trained()
        for reference, protocols in row.get("against", {}).items()
        for protocol, test in protocols.items()
    ]
    if tests:
        yield from head(COLUMNS)
        yield from map(line, sorted(tests, key=lambda test: test[0]))


def numbers(test: Mapping[str, Any]) -> list[str]:
    """Of the patients, then of the pairs."""
    patients, pairs = test["patients"], test["pairs"]
    interval = f"({signed(patients['ci_low'])} to {signed(patients['ci_high'])})"
    effect = patients.get("effect_size")
    return [
        str(patients["n"]),
        f"{signed(patients['difference'])} {interval}",
        p_value(patients.get("p_t")),
        p_value(patients.get("p_wilcoxon")),
        NONE if effect is None else signed(effect),
        str(pairs["n"]),
        signed(pairs["difference"]),
        p_value(pairs.get("p_t")),
    ]


def seeds(row: Mapping[str, Any], reference: str, protocol: str) -> str:
    """Of the method and of what it was tested against: NONE where the latter has been trained again since."""
    theirs = next((r for r in shipped.all_results(reference).values() if r["dataset"] == row["dataset"]), {})
    tested, now = (at(row, f"against/{reference}/{protocol}/pairs/mean_b"), at(theirs, f"{protocol}/dsc/mean"))
    same = now is not None and abs(tested - now) < NEAR
    return f"{len(row['seeds'])} / {len(theirs['seeds']) if same else NONE}"

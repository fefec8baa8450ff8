"""The files of results of one data set, in the order in which tables have them."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from common.errors import InputError

from ..recipes import shipped
from ..render import combinations


class Measured(NamedTuple):
    """What was measured of a bundle's weights, or of a classical method."""

    name: str
    row: dict[str, Any]


def bundles() -> list[str]:
    """Every bundle that there are recipes for: by architecture, then by method, as their recipes order them."""
    found = combinations().items()
    return [name for name, recipes in sorted(found, key=lambda each: [r.get("order", 99) for r in each[1]])]


def trained(dataset: str | None = None) -> list[Measured]:
    """Every set of weights that was measured, or those of one data set; one beside a default is named with it."""
    return [
        Measured(bundle if name == shipped.default_name(row) else f"{bundle} ({name})", row)
        for bundle in bundles()
        for name, row in shipped.all_results(bundle).items()
        if dataset in (None, row["dataset"])
    ]


def classical(dataset: str) -> list[Measured]:
    """Every classical method that was measured on a data set, the best first."""
    files = (shipped.RECIPES / "results" / "baselines").glob("*.json")
    rows = [row for path in sorted(files) if (row := json.loads(path.read_text("utf-8")))["dataset"] == dataset]
    rows.sort(key=lambda row: -row["published"]["dsc"]["mean"])
    return [Measured(row["name"], row) for row in rows]


def check_alike(rows: list[Measured]) -> None:
    """Refuse rows of one table that were not measured on the same pairs.

    Raises:
        InputError: naming the first that is unlike the first of all.
    """
    told = [f"{row['pairs']} pairs of {row['dataset']}'s {row['split']}" for _, row in rows]
    for (name, _), each in zip(rows, told, strict=True):
        if each != told[0]:
            raise InputError(f"{name}: measured on {each}, {rows[0].name} on {told[0]}; evaluate both on the same.")

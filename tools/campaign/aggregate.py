"""Figures of several seeds as one: means and spreads, and paired tests between methods."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common.engines.evaluation_tables import PLAIN
from common.errors import InputError
from common.metrics import LABEL_CURVES, compare, compare_patients, summary

from .runs import Run, metrics

FIGURES = ("dsc", "hd", "hd95", "asd")
IN_MM = ("hd_mm", "hd95_mm", "asd_mm")  # where voxels have a size
PROTOCOLS = ("published", "standard")


def figures(runs: Sequence[Run], output: Path) -> dict[str, Any]:
    """Mean and spread over seeds of what the evaluations of runs report."""
    return figures_of([metrics(run, output) for run in runs])


def figures_of(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The same of evaluations' reports, one a seed; what they could not compute is absent."""
    table: dict[str, Any] = {}
    for protocol in PROTOCOLS:
        values = {name: [r["protocols"].get(protocol, {}).get(name, {}).get("mean") for r in reports]
                  for name in (*FIGURES, *IN_MM)}  # fmt: skip
        table[protocol] = {name: {**_summary(v), "seeds": v} for name, v in values.items() if None not in v}
    for name in (*PLAIN, "seconds_per_pair"):
        known = [report[name] for report in reports if report.get(name) is not None]
        table |= {name: _summary(known)} if known else {}
    if all("label" in report for report in reports):
        table["label"] = {"dsc": _summary([report["label"]["dsc"]["mean"] for report in reports])}
        areas = {name: [report["label"][f"ause_{name}"]["mean"] for report in reports] for name in LABEL_CURVES}
        table["label_sparsification"] = {name: _summary(values) for name, values in areas.items()}
    return {name: value for name, value in table.items() if value} | {"undeformed": reports[0]["undeformed"]}


def _summary(values: Sequence[float]) -> dict[str, float]:
    return _known(summary(values))  # one seed has no deviation


def _known(values: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if math.isfinite(value)}


def per_pair(runs: Sequence[Run], output: Path, column: str) -> dict[tuple[str, str], float]:
    """A column of ``metrics.csv`` averaged over seeds: (pair, subject) -> value, NaN where one seed has none."""
    tables = []
    for run in runs:
        with (run.folder(output) / "val" / "metrics.csv").open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            tables.append({(row["id"], row["subject"]): float(row[column] or "nan") for row in rows})
    if any(list(table) != list(tables[0]) for table in tables):
        raise InputError(f"{runs[0].folder(output).parent}: its seeds were evaluated on different pairs.")
    return {pair: float(np.mean([table[pair] for table in tables])) for pair in tables[0]}


def paired_tests(ours: Sequence[Run], theirs: Sequence[Run], output: Path) -> dict[str, Any]:
    """Dice of one method against another's, both averaged over seeds: per pair and per patient.

    Raises:
        InputError: if they were evaluated on different pairs.
    """
    tests = {}
    for protocol in PROTOCOLS:
        a, b = (per_pair(runs, output, f"{protocol}/dsc") for runs in (ours, theirs))
        if list(a) != list(b):
            raise InputError(f"{output}: {ours[0].bundle} and {theirs[0].bundle} were evaluated on different pairs.")
        values, subjects = (list(a.values()), list(b.values())), [subject for _, subject in a]
        comparisons = {"pairs": compare(*values), "patients": compare_patients(*values, subjects)}
        tests[protocol] = {name: _known(comparison._asdict()) for name, comparison in comparisons.items()}
    return tests

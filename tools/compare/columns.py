"""The columns of the comparison, and its table as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from common.metrics import Comparison
from tools.report import columns as known
from tools.report.columns import Column, value
from tools.report.comparisons import Metric, Test
from tools.report.evaluations import Evaluation, predict_labels
from tools.report.table import UNREGISTERED, split_undeformed, undeformed_summary

BY_KEY = {column.key: column for column in (*known.MAIN, *known.FURTHER)}
PAPER = "Printed in the paper, on its own test patients; below it Δ, ours minus theirs."
SEEDS = Column(("seeds",), "Seeds", "", "", None, 0, "Trainings that the row is the mean of; ± is the SD over them.")
PARAMETERS = Column(
    ("parameters",),
    "Parameters",
    "Cost",
    "million",
    None,
    2,
    "Of the whole network: the displacement estimator and its companion; of an ensemble, those of one member.",
    scale=1e-6,
)
TRAININGS = Column(
    ("trainings",),
    "Trained",
    "",
    "networks",
    None,
    0,
    "Networks to train for the row: the paper's #Trn. A dropout or snapshot ensemble takes one.",
)
PAPERS = tuple(
    Column(("papers", metric), title, "Papers", unit, None, 2, PAPER)
    for metric, title, unit in (("dsc", "DSC", "%"), ("hd", "HD", "px"), ("asd", "ASD", "px"))
)


def _pick(*keys: str) -> tuple[Column, ...]:
    return tuple(BY_KEY[key] for key in keys)


SHOWN = (
    SEEDS,
    *_pick("published/dsc", "published/hd", "published/asd"),
    *PAPERS,
    *_pick("standard/dsc", "standard/hd", "standard/asd", "folding_percent"),
    *_pick("ause", "error_auroc", "error_auroc_band", "seconds_per_pair"),
    PARAMETERS,
    *_pick("endpoint_error", "variance_spearman", "score_auroc"),
)
WITH_LABELS = (
    SEEDS,
    TRAININGS,
    *known.IMAGE,
    *known.LABELS,
    *_pick("error_auroc", "error_auroc_band", "standard/dsc", "folding_percent"),
    *_pick("seconds_per_pair"),
    PARAMETERS,
)  # Table 1 of the paper that predicts labels, and what goes beyond it
EXACT = (*known.MAIN, *known.FURTHER)
RESULTS = ("difference", "ci_low", "ci_high", "effect_size", "p_t", "p_wilcoxon", "n")


def shown_of(evaluations: Sequence[Evaluation]) -> tuple[Column, ...]:
    """Return the columns of the first table: those of the label paper where all networks predict labels."""
    if predict_labels(evaluations):
        return WITH_LABELS
    return (*SHOWN, *known.LABELS) if any(each.summary.get("label") for each in evaluations) else SHOWN


def hidden_of(evaluations: Sequence[Evaluation]) -> tuple[Column, ...]:
    """Return the columns of the second table: all others."""
    shown = shown_of(evaluations)
    return tuple(column for column in BY_KEY.values() if column not in shown and column.title != "n")


def to_csv(evaluations: Sequence[Evaluation], groups: Mapping[str, str], tests: Mapping[Metric, Sequence[Test]]) -> str:
    """Return a line per row, the first of no registration: every figure, the papers' and the paired tests.

    A metric has its mean, its SD over seeds (``_sd``, empty for one seed) and the pairs behind it (``_n``);
    ``papers/dsc_difference`` is ours minus theirs; ``tests/<metric>/patients/difference`` is the row minus the
    reference, per patient.
    """
    before, methods = split_undeformed(evaluations)
    rows = [(e.name, groups[e.name], e.summary) for e in methods]
    first = (
        (before.name, groups[before.name], before.summary)
        if before
        else (UNREGISTERED, "", undeformed_summary(evaluations[0]))
    )
    lines = [_line(name, group, summary, _tests(name, tests)) for name, group, summary in (first, *rows)]
    header = list(dict.fromkeys(key for line in lines for key in line))
    out = io.StringIO()
    writer = csv.DictWriter(out, header, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def _line(name: str, group: str, summary: Mapping[str, Any], tests: Mapping[str, Any]) -> dict[str, Any]:
    line = {"row": name, "architecture": group, "bundle": summary.get("bundle", ""), "pairs": summary.get("pairs", "")}
    line |= {key: summary.get(key) or "" for key in ("seeds", "trainings", "parameters")}
    for column in EXACT:
        if column.title != "n":
            found = value(summary, column.path)
            line |= {column.key: _exact(found.mean), f"{column.key}_sd": _exact(found.sd)}
            line[f"{column.key}_n"] = "" if found.n is None else found.n
    for metric in ("dsc", "hd", "asd"):
        for key in (metric, f"{metric}_difference"):
            line[f"papers/{key}"] = _exact(value(summary, ("papers", key)).mean)
    line |= {f"papers/{key}": _exact(number) for key, number in (summary.get("paper_table") or {}).items()}
    return line | {"papers/source": summary.get("paper_source", "")} | tests


def _tests(name: str, tests: Mapping[Metric, Sequence[Test]]) -> dict[str, Any]:
    line: dict[str, Any] = {}
    for metric, found in tests.items():
        for test in found:
            if test.name == name:
                line |= _results(f"tests/{metric.key}/pairs", test.per_pair)
                line |= _results(f"tests/{metric.key}/patients", test.per_patient)
    return line


def _results(prefix: str, result: Comparison) -> dict[str, Any]:
    return {f"{prefix}/{name}": _exact(getattr(result, name)) for name in RESULTS}


def _exact(number: float) -> str:
    return "" if math.isnan(number) else repr(number)

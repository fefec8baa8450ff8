"""The findings in words, from the numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from common.metrics.statistics import Comparison

from .columns import MAIN, Column, value
from .comparisons import METRICS, Metric, versus
from .evaluations import Evaluation, predict_labels

COLUMN = {column.key: column for column in MAIN}
HEADLINES = ("label/dsc", "standard/dsc", "endpoint_error")
BEFORE = {  # where metrics.json says what no registration gives
    "label/dsc": ("undeformed", "standard", "dsc"),
    "standard/dsc": ("undeformed", "standard", "dsc"),
    "endpoint_error": ("truth", "undeformed_endpoint_error"),
}
INSTEAD = {"standard/dsc": "label/dsc", "ause": "label/ause_err"}  # where all networks predict labels
CONFIDENCE = "95 % interval"
TILES = (
    ("label/dsc", "best Dice of the predicted labels", "Dice of the predicted labels"),
    ("label/ause_err", "best ranking of label errors (AUSE, ERR)", "of the label error (AUSE, ERR)"),
    ("standard/dsc", "best Dice overlap", "Dice overlap"),
    ("endpoint_error", "smallest endpoint error", "endpoint error"),
    ("ause", "best uncertainty (AUSE)", "area under the sparsification error (AUSE)"),
    ("score_auroc", "best score (AUROC)", "of the score (AUROC)"),
    ("folding_percent", "least folding", "of the map folds"),
    ("seconds_per_pair", "fastest", "computing time"),
)  # column, text among several methods, text for one alone


@dataclass(frozen=True)
class Tile:
    """One number to remember."""

    number: str
    unit: str
    text: str


def headline(evaluations: Sequence[Evaluation], reference: Evaluation) -> list[str]:
    """Return what was compared and what came out: the finding first, then its ground."""
    left_out = () if predict_labels(evaluations) else INSTEAD.values()
    metric = next(
        (
            each
            for each in METRICS
            if each.key in HEADLINES and each.key not in left_out and any(_mean(e, each) for e in evaluations)
        ),
        None,
    )
    if metric is None:
        names = _list([each.name for each in evaluations])
        return [
            f"{names} on {_where(reference)}: no labels and no known truth, so accuracy was not measured.",
            _material(evaluations),
        ]
    ranked = _ranked(evaluations, metric)
    if len(ranked) == 1:
        return [_alone(ranked[0], metric), _material(evaluations)]
    return [_winner(ranked, reference, metric), _material(evaluations)]


def _mean(evaluation: Evaluation, metric: Metric) -> bool:
    return bool(value(evaluation.summary, COLUMN[metric.key].path))


def _ranked(evaluations: Sequence[Evaluation], metric: Metric) -> list[Evaluation]:
    known = [each for each in evaluations if _mean(each, metric)]
    return sorted(known, key=lambda each: value(each.summary, COLUMN[metric.key].path).mean, reverse=metric.higher)


def _winner(ranked: Sequence[Evaluation], reference: Evaluation, metric: Metric) -> str:
    """Return who is best and by how much: against the reference, or against the next if the reference is best."""
    best = ranked[0]
    other = reference if reference in ranked[1:] else ranked[1]
    test = versus(best, other, metric)
    unit, result = ("patients", test.per_patient) if test.per_patient.n > 1 else ("pairs", test.per_pair)
    start = f"{best.name} is best on {_where(best)}: {_measured(best, metric)}"
    if math.isnan(result.ci_low):
        return f"{start}; too few {unit} to compare it with {other.name}."
    ground = f"({CONFIDENCE} {interval(metric, result)} over {result.n} {unit})"
    # the mean over patients may favour another method than the mean over pairs does
    if metric.gained(result) < 1:
        difference = f"{metric.signed(result.difference)} {metric.unit}"
        return f"{start}, but not shown to be better than {other.name}: difference {difference} {ground}."
    amount = f"{abs(result.difference):.{metric.decimals}f} {metric.unit}"
    return f"{start}, {amount} {'above' if metric.higher else 'below'} {other.name} {ground}."


def _measured(evaluation: Evaluation, metric: Metric) -> str:
    column = COLUMN[metric.key]
    names = {"label/dsc": "Dice of the predicted labels", "endpoint_error": "endpoint error"}
    name = names.get(metric.key, "Dice overlap")
    return f"{name} {column.show(value(evaluation.summary, column.path).mean)} {column.unit}"


def _alone(evaluation: Evaluation, metric: Metric) -> str:
    before = _before(evaluation, metric.key)
    ending = f", from {before} before registration." if before else "."
    return f"{evaluation.name} on {_where(evaluation)}: {_measured(evaluation, metric)}{ending}"


def _before(evaluation: Evaluation, key: str) -> str:
    column, found = COLUMN[key], value(evaluation.summary, BEFORE[key])
    return f"{column.show(found.mean)} {column.unit}" if found else ""


def _where(evaluation: Evaluation) -> str:
    return str(evaluation.summary["dataset"])


def _material(evaluations: Sequence[Evaluation]) -> str:
    first = evaluations[0]
    methods = f"{len(evaluations)} methods" if len(evaluations) > 1 else "One method"
    patients = len(set(first.subjects))
    before = _before(first, "standard/dsc") if len(evaluations) > 1 else ""  # one alone is told with it
    start = f" Before registration the overlap is {before}." if before else ""
    return (
        f"{methods}, split “{first.summary['split']}” of {_where(first)}: "
        f"{len(first.ids)} pairs of {patients} patients.{start}"
    )


def tiles(evaluations: Sequence[Evaluation]) -> list[Tile]:
    """Return the numbers to remember: the best of each kind, and whose it is."""
    found = {key: _tile(evaluations, COLUMN[key], best, alone) for key, best, alone in TILES}
    known = {key: tile for key, tile in found.items() if tile is not None}
    if not predict_labels(evaluations):
        return [tile for key, tile in known.items() if key not in INSTEAD.values()]
    return [tile for key, tile in known.items() if INSTEAD.get(key) not in known]


def _tile(evaluations: Sequence[Evaluation], column: Column, best_is: str, alone: str) -> Tile | None:
    known = [each for each in evaluations if value(each.summary, column.path)]
    if not known:
        return None
    pick = max if column.better == "higher" else min
    best = pick(known, key=lambda each: value(each.summary, column.path).mean)
    text = f"{best_is}, {best.name}" if len(evaluations) > 1 else alone
    return Tile(column.show(value(best.summary, column.path).mean * column.scale), column.unit, text)


def interval(metric: Metric, result: Comparison) -> str:
    """Return a difference's interval as it is printed."""
    return "–" if math.isnan(result.ci_low) else f"{metric.signed(result.ci_low)} to {metric.signed(result.ci_high)}"


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

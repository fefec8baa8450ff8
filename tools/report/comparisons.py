"""Paired tests of every method against a reference, per pair and per patient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from common.errors import InputError
from common.metrics.statistics import Comparison, compare, compare_patients

from .evaluations import Evaluation

DEFAULT_REFERENCE = "vxm_mse"
SEED = 0


@dataclass(frozen=True)
class Metric:
    """A column of metrics.csv that is tested."""

    key: str
    title: str
    unit: str
    higher: bool
    decimals: int = 2

    def signed(self, number: float) -> str:
        """Return a difference with its sign, without its unit."""
        return "–" if math.isnan(number) else f"{number:+.{self.decimals}f}".replace("-", "−")

    def gained(self, result: Comparison) -> int:
        """Return +1 where the whole interval lies on the better side, -1 on the worse, 0 where it holds zero."""
        sign = 1 if self.higher else -1
        if math.isnan(result.ci_low) or result.ci_low <= 0 <= result.ci_high:
            return 0
        return sign if result.difference > 0 else -sign


METRICS = (
    Metric("label/dsc", "Dice of the predicted labels", "points", higher=True),
    Metric("standard/dsc", "DSC, standard protocol", "points", higher=True),
    Metric("standard/hd95", "HD95, standard protocol", "px", higher=False),
    Metric("published/dsc", "DSC, published protocol", "points", higher=True),
    Metric("endpoint_error", "Endpoint error against the truth", "px", higher=False, decimals=3),
)


@dataclass(frozen=True)
class Test:
    """One method against the reference: difference = method - reference."""

    name: str
    per_pair: Comparison
    per_patient: Comparison


def choose_reference(evaluations: Sequence[Evaluation], name: str | None) -> Evaluation:
    """Return the evaluation that the others are compared with: the named one, vxm_mse, or the first.

    Raises:
        InputError: there is no evaluation of that name.
    """
    names = [each.name for each in evaluations]
    if name is not None and name not in names:
        raise InputError(f"--against {name!r}: not among the evaluations: {', '.join(names)}.")
    wanted = name or DEFAULT_REFERENCE
    return next((each for each in evaluations if each.name == wanted), evaluations[0])


def versus(method: Evaluation, reference: Evaluation, metric: Metric) -> Test:
    """Compare two evaluations of the same pairs in one metric."""
    ids = reference.ids
    ours, theirs = method.values(metric.key, ids), reference.values(metric.key, ids)
    return Test(
        method.name, compare(ours, theirs, seed=SEED), compare_patients(ours, theirs, reference.subjects, seed=SEED)
    )


def all_tests(evaluations: Sequence[Evaluation], reference: Evaluation) -> dict[Metric, list[Test]]:
    """Return metric -> a test per method other than the reference, of the metrics that could be computed."""
    others = [each for each in evaluations if each is not reference]
    tested = {metric: [versus(each, reference, metric) for each in others] for metric in METRICS}
    return {metric: tests for metric, tests in tested.items() if any(test.per_pair.n for test in tests)}


def show_effect(result: Comparison) -> str:
    """Return Cohen's d_z as it is printed; it is infinite for a difference that is the same everywhere."""
    if math.isnan(result.effect_size):
        return "–"
    shown = "+∞" if result.effect_size == math.inf else f"{result.effect_size:+.2f}".replace("-inf", "-∞")
    return shown.replace("-", "−")


def show_p(p: float) -> str:
    """Return a p-value as it is printed."""
    if math.isnan(p):
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"

"""Whether a search has found its best: trials tie whose scores differ by no more than another seed would move them."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import stdev
from typing import NamedTuple

import optuna
from optuna.trial import TrialState

from .runs import find, score
from .trials import Search, rounded
from .variants import write_variant

ONE_SEED = 0.1  # Dice in percent: what the score of one seed may be off by, at the least


class Scored(NamedTuple):
    """A trial: its name, the score that the search selects by, and those of all seeds that there are of it."""

    name: str
    value: float
    seeds: Sequence[float]


def ties(search: Search, study: optuna.Study) -> list[str]:
    """Lines that say which trials tie with the one that is taken, and why that one; none if none does."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not trials:
        return []
    values = {write_variant(rounded(t.params)): (rounded(t.params), float(t.value or 0)) for t in trials}
    runs = find(search.output, search.bundle)
    scored = []
    for name, (params, value) in values.items():
        same = [run for run in runs if run.variant == search.run(params).variant]
        found = [score(run, search.output, search.select) for run in same]
        scored.append(Scored(name, value, [each for each in found if each is not None]))
    return tied(scored, write_variant(rounded(study.best_params)))


def tied(trials: Sequence[Scored], taken: str) -> list[str]:
    """The same, of trials that are known."""
    best = next(trial for trial in trials if trial.name == taken)
    close = [each for each in trials if each is not best and best.value - each.value <= spread(best, each)]
    if not close:
        return []
    shown = ", ".join(f"{each.name} ({each.value:.2f})" for each in sorted([best, *close], key=lambda t: -t.value))
    seeds = max(len(each.seeds) for each in (best, *close))
    margin = f"{ONE_SEED} DSC, of one seed each" if seeds < 2 else f"the spread of up to {seeds} seeds"
    why = "the first of equal scores" if any(each.value == best.value for each in close) else "the highest score"
    return [
        f"{len(close) + 1} trials tie, within {margin}: {shown}",
        f"taken: {taken}, for {why} alone; more seeds would tell: warpsure train-all --seeds 0 1 2",
    ]


def spread(best: Scored, other: Scored) -> float:
    """By how much two scores differ if nothing but the seed does: a standard deviation, where there are seeds."""
    known = [stdev(each.seeds) for each in (best, other) if len(each.seeds) > 1]
    return max(known, default=ONE_SEED)

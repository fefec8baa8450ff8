"""Evaluation output folders: what is read from them, and whether they may stand in one table."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from common.errors import InputError

from .examples import Example, read_examples
from .summary_schema import fault
from .tabular import Table, read_csv

REQUIRED = ("dataset", "split", "bundle", "pairs", "protocols")


def predict_labels(evaluations: Sequence[Evaluation]) -> bool:
    """Return whether every network among the evaluations predicts labels, so that these are what to compare."""
    networks = [each for each in evaluations if each.summary.get("parameters")]
    return bool(networks) and all(each.summary.get("label") for each in networks)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One evaluated method: ``summary`` is metrics.json, ``pairs`` metrics.csv (a row per pair)."""

    folder: Path
    name: str
    summary: dict
    pairs: Table
    sparsification: Table | None = None
    examples: list[Example] = field(default_factory=list)
    label_sparsification: Table | None = None

    @cached_property
    def ids(self) -> list[str]:
        """The pairs' ids, in the order of metrics.csv."""
        return self.pairs.text("id")

    @property
    def method(self) -> str:
        """What follows the architecture in the bundle's name: "hetero" of "vxm_hetero"."""
        return self.summary["bundle"].partition("_")[2]

    @property
    def fingerprint(self) -> str:
        """The first 12 digits of the SHA-256 of metrics.csv: it tells two evaluations apart."""
        return hashlib.sha256(self.pairs.path.read_bytes()).hexdigest()[:12]

    @property
    def subjects(self) -> list[str]:
        """The pairs' patients, in the order of metrics.csv."""
        return self.pairs.text("subject")

    def values(self, metric: str, ids: Sequence[str]) -> np.ndarray:
        """Return a column of metrics.csv in the order of ``ids``, (pairs,); all NaN where there is no such column."""
        if metric not in self.pairs:
            return np.full(len(ids), np.nan)
        known = dict(zip(self.ids, self.pairs.numbers(metric), strict=True))
        return np.array([known[each] for each in ids])


def read_evaluation(folder: Path) -> Evaluation:
    """Read one output folder of evaluate.

    Raises:
        InputError: the folder or one of its two main files is missing, damaged or unfinished.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the output_dir of an evaluate run.")
    summary = _summary(folder / "metrics.json")
    pairs = read_csv(folder / "metrics.csv")
    if len(pairs) != summary["pairs"]:
        raise InputError(f"{folder}: metrics.json counts {summary['pairs']} pairs, metrics.csv has {len(pairs)} rows.")
    if len(set(pairs.text("id"))) != len(pairs):
        raise InputError(f"{pairs.path}: the same pair id stands in two rows.")
    examples = read_examples(folder / "examples.npz")
    if unknown := sorted({each.id for each in examples} - set(pairs.text("id"))):
        raise InputError(
            f"{folder}: examples.npz has pair {unknown[0]!r}, which is not in metrics.csv; evaluate again."
        )
    curves, of_labels = (_if_there(folder / f"{name}.csv") for name in ("sparsification", "label_sparsification"))
    return Evaluation(folder, str(summary["bundle"]), summary, pairs, curves, examples, of_labels)


def _if_there(path: Path) -> Table | None:
    return read_csv(path) if path.is_file() else None


def _summary(path: Path) -> dict:
    if not path.is_file():
        raise InputError(f"{path}: no such file; evaluate did not finish, or this is no output folder of evaluate.")
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON ({error}).") from None
    missing = [key for key in REQUIRED if not isinstance(summary, dict) or key not in summary]
    if missing:
        raise InputError(f"{path}: no {missing[0]!r}; it was not written by evaluate.")
    if wrong := fault(summary):
        raise InputError(f"{path}: {wrong}; it was not written by evaluate.")
    return summary


def read_evaluations(folders: Sequence[Path]) -> list[Evaluation]:
    """Read folders that belong in one table: same data set, split and pairs; equal names are told apart.

    Raises:
        InputError: a folder cannot be read, is given twice, or differs in data set, split or pairs from the first.
    """
    twice = [folder for folder, count in Counter(each.resolve() for each in folders).items() if count > 1]
    if twice:
        raise InputError(f"{twice[0]}: given twice.")
    evaluations = [read_evaluation(folder) for folder in folders]
    for other in evaluations[1:]:
        _check_same(evaluations[0], other)
    return _named_apart(evaluations)


def _check_same(first: Evaluation, other: Evaluation) -> None:
    for key in ("dataset", "split"):
        mine, theirs = first.summary[key], other.summary[key]
        if mine != theirs:
            raise InputError(f"{other.folder}: {key} is {theirs!r} but {mine!r} in {first.folder}; one report each.")
    if set(first.ids) != set(other.ids):
        count = len(set(first.ids) ^ set(other.ids))
        raise InputError(f"{other.folder}: {count} pairs are in only one of it and {first.folder}; evaluate again.")


def _named_apart(evaluations: list[Evaluation]) -> list[Evaluation]:
    """Add the folder's name to bundles that come more than once (seeds, checkpoints), its path if that repeats too."""
    for suffix in (lambda each: f" ({each.folder.name})", lambda each: f" ({each.folder})"):
        count = Counter(each.name for each in evaluations)
        base = [each.summary["bundle"] if count[each.name] > 1 else each.name for each in evaluations]
        evaluations = [
            replace(each, name=start + suffix(each)) if count[each.name] > 1 else each
            for each, start in zip(evaluations, base, strict=True)
        ]
    return evaluations

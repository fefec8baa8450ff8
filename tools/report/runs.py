"""Training run folders: their log.csv by estimator and term."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import InputError

from .tabular import Table, read_csv


@dataclass(frozen=True, eq=False)
class Run:
    """One training run: ``epochs`` (N,), ``phases`` N names, ``losses`` estimator -> term -> (N,), the rest (N,)."""

    name: str
    epochs: np.ndarray
    phases: list[str]
    losses: dict[str, dict[str, np.ndarray]]
    validation: dict[str, np.ndarray]
    learning_rate: dict[str, np.ndarray]


def read_runs(folders: Sequence[Path], methods: Sequence[str] = ()) -> list[Run]:
    """Read the logs of training runs; a run is called by the method in its path, else by its folder, else its path.

    Raises:
        InputError: a folder or its log.csv is missing or damaged.
    """
    by_method = [next((part for part in reversed(folder.resolve().parts) if part in methods), "") for folder in folders]
    for names in (by_method, [folder.resolve().name for folder in folders], [str(folder) for folder in folders]):
        if all(names) and len(set(names)) == len(names):
            return [read_run(folder, name) for folder, name in zip(folders, names, strict=True)]
    raise InputError(f"--trainings: {max(folders, key=list(folders).count)} is given twice.")


def read_run(folder: Path, name: str) -> Run:
    """Read the log of one training run.

    Raises:
        InputError: the folder or its log.csv is missing or damaged.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the output_dir of a training run.")
    log = read_csv(folder / "log.csv")
    losses: dict[str, dict[str, np.ndarray]] = {}
    for column in _starting(log, "train/"):
        estimator, _, term = column.removeprefix("train/").rpartition("/")
        losses.setdefault(estimator or "training", {})[term] = log.numbers(column)
    return Run(
        name=name,
        epochs=log.numbers("epoch"),
        phases=log.text("phase") if "phase" in log else [""] * len(log),
        losses=losses,
        validation={column.removeprefix("val/"): log.numbers(column) for column in _starting(log, "val/")},
        learning_rate={
            column.removeprefix("lr").strip("/_") or "learning rate": log.numbers(column)
            for column in _starting(log, "lr")
        },
    )


def _starting(log: Table, prefix: str) -> list[str]:
    return [column for column in log.columns if column.startswith(prefix)]

"""Evaluate the rows, each in a process of its own, unless an evaluation of the same weights is there already."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from common.data.pairing import pairs_of
from common.data.prepared import Dataset
from common.engines.evaluation_tables import PLAIN
from common.errors import InputError
from common.files import file_hash
from tools import baselines
from tools.baselines import NAMES as BASELINES
from tools.campaign.launching import (
    LaunchFailed,
    begin,
    bundle_call,
    config,
    exclusive,
    launch,
    of_dataset,
    of_pairing,
    shared_settings,
)
from tools.report.tabular import read_csv

from .ensembles import CONFIG
from .rows import Member, Row

NO_MATTER = {"device", "batch_size"}  # overrides that change no figure but the time
# settings that a training's overrides do not reach: the comparison's own, and those that mean another thing there
OWN = {"dataset_dir", "split", "pairing", "output_dir", "checkpoint", "batch_size", "device", "labels", "examples"}
FIGURES = {*PLAIN, "image"}
OF_ENSEMBLE = {"members", "passes", "dropout", "count", "choose", "seed"}


@dataclass(frozen=True)
class Setting:
    """What all rows have in common: data set, split, where the evaluations go, and what is overridden in them."""

    dataset: Dataset
    split: str
    output: Path
    pairs: Sequence[str] = ()
    overrides: Mapping[str, str] = field(default_factory=dict)

    @property
    def asked(self) -> dict[str, str]:
        """The overrides that change figures."""
        return {key: value for key, value in self.overrides.items() if key not in NO_MATTER}

    @property
    def pairing(self) -> str:
        """Which pairs of the split."""
        return self.overrides.get("pairing", "listed")

    @cached_property
    def ids(self) -> list[str]:
        """The pairs that are evaluated, in their order."""
        return [pair["id"] for pair in pairs_of(self.dataset, self.split, self.pairing)]


def evaluated(row: Row, member: Member, setting: Setting) -> Path:
    """Return the folder of a member's evaluation, which is made unless it is there.

    Raises:
        InputError: the weights are not there; LaunchFailed: the evaluation did not finish.
    """
    _check(row, member)
    folder = setting.output / "rows" / row.slug / member.label
    for each in (folder, member.done):
        if each is not None and fits(each, row, member, setting):
            return each
    _run(row, member, setting, folder)
    return folder


def _check(row: Row, member: Member) -> None:
    """Raise InputError for weights that are not there."""
    if member.weights is not None and not member.weights.is_file():
        raise InputError(f"{member.weights}: no such file; train first, or give {row.key}=WEIGHTS.pt.")
    if member.ensemble is not None:
        _ = member.ensemble.files


def fits(folder: Path, row: Row, member: Member, setting: Setting) -> bool:
    """Tell whether a folder holds this very evaluation, whole, with every figure that an evaluation has by now."""
    summary = _json(folder / "metrics.json")
    weights = None if member.weights is None else file_hash(member.weights)
    expected = {
        "dataset": setting.dataset.name,
        "split": setting.split,
        "bundle": row.method,
        "checkpoint_sha256": weights,
    }
    if any(summary.get(key, ...) != each for key, each in expected.items()) or FIGURES - summary.keys():
        return False
    members = summary.get("members") or []
    if bool(members) != bool(member.ensemble) or (member.ensemble and not member.ensemble.is_of(members)):
        return False
    files = ("metrics.csv", "examples.npz")
    if _json(folder / "overrides.json") != _asked(row, member, setting):
        return False
    if not all((folder / file).is_file() for file in files):
        return False
    return read_csv(folder / "metrics.csv").text("id") == setting.ids and _keeps(folder, row, setting)


def _asked(row: Row, member: Member, setting: Setting) -> dict[str, str]:
    """What overrides.json says of an evaluation."""
    return setting.asked | ({} if member.ensemble is None else member.ensemble.settings) | _refinement(row)


def _refinement(row: Row) -> dict[str, str]:
    """What is overridden for a row of its own steps."""
    return {"refine_steps": str(row.refine)} if row.refine else {}


def _keeps(folder: Path, row: Row, setting: Setting) -> bool:
    """Tell whether the pairs to show are among the examples; a baseline keeps those that it chooses."""
    if not setting.pairs or row.method in BASELINES:
        return True
    with np.load(folder / "examples.npz", allow_pickle=False) as examples:
        return set(setting.pairs) <= set(json.loads(str(examples["meta"]))["ids"])


def _json(path: Path) -> dict:
    """Return a JSON file's content, nothing of one that is not there or not whole."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _run(row: Row, member: Member, setting: Setting, folder: Path) -> None:
    with exclusive(folder / "log.txt") as log:
        if fits(folder, row, member, setting):
            return  # another process was at it
        log.truncate(0)
        begin(folder, _asked(row, member, setting))
        launch("evaluation", command(row, member, setting, folder), log)
        if not (folder / "metrics.json").is_file():
            raise LaunchFailed("evaluation", 0, Path(log.name))


def command(row: Row, member: Member, setting: Setting, folder: Path) -> list[str]:
    """Return what evaluates a classical method, weights, or an ensemble of them by their bundle."""
    if row.method in BASELINES:
        where = ["--dataset", str(setting.dataset.root.resolve()), "--split", setting.split]
        where += [text for key, value in of_pairing(setting.pairing).items() for text in (f"--{key}", value)]
        return [sys.executable, "-m", baselines.__name__, row.method, *where, "--output", str(folder.resolve())]
    file = config(row.method, "evaluate.yaml" if member.ensemble is None else CONFIG)
    values = shared_settings(file, member.settings, OWN | OF_ENSEMBLE) | of_dataset(row.method, setting.dataset.root)
    values |= {"split": setting.split, "output_dir": folder.resolve()}
    values |= {"checkpoint": member.weights} if member.ensemble is None else member.ensemble.overrides
    values |= {"examples": json.dumps(list(setting.pairs))} if setting.pairs else {}
    return bundle_call("evaluation", [file], values | setting.overrides | _refinement(row))

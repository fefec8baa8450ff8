"""Evaluate the rows, each in a process of its own, unless an evaluation of the same weights is there already."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import yaml

from common.data.pairing import pairs_of
from common.data.prepared import Dataset
from common.engines.evaluation_tables import PLAIN
from common.errors import InputError
from common.files import file_hash, write_bytes
from tools.baselines import NAMES as BASELINES
from tools.campaign.execution import of_dataset
from tools.render import BUNDLES
from tools.report.tabular import read_csv

from .ensembles import CONFIG
from .rows import Member, Row

NO_MATTER = {"device", "batch_size"}  # overrides that change no figure but the time
# settings that a training's overrides do not reach: the comparison's own, and those that mean another thing there
OWN = {"dataset_dir", "split", "pairing", "output_dir", "checkpoint", "batch_size", "device", "labels", "examples"}
FIGURES = {*PLAIN, "image"}
OF_ENSEMBLE = {"members", "passes", "dropout", "count", "choose", "seed"}


class RowFailed(Exception):
    """An evaluation that did not come about: the message is its log's last line, ``log`` the whole of it."""

    def __init__(self, reason: str, log: Path | None = None) -> None:
        super().__init__(reason)
        self.log = log


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

    @cached_property
    def ids(self) -> list[str]:
        """The pairs that are evaluated, in their order."""
        return [pair["id"] for pair in pairs_of(self.dataset, self.split, self.overrides.get("pairing", "listed"))]


def evaluated(row: Row, member: Member, setting: Setting) -> Path:
    """Return the folder of a member's evaluation, which is made unless it is there.

    Raises:
        RowFailed: the weights are not there, or the evaluation did not finish.
    """
    _check(row, member)
    folder = setting.output / "rows" / row.slug / member.label
    for each in (folder, member.done):
        if each is not None and fits(each, row, member, setting):
            return each
    _run(row, member, setting, folder)
    return folder


def _check(row: Row, member: Member) -> None:
    """Raise RowFailed for weights that are not there."""
    if member.weights is not None and not member.weights.is_file():
        raise RowFailed(f"{member.weights}: no such file; train first, or give {row.key}=WEIGHTS.pt.")
    if member.ensemble is not None:
        try:
            _ = member.ensemble.files
        except InputError as error:
            raise RowFailed(str(error)) from None


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
    if _json(folder / "overrides.json") != _asked(member, setting):
        return False
    if not all((folder / file).is_file() for file in files):
        return False
    return read_csv(folder / "metrics.csv").text("id") == setting.ids and _keeps(folder, row, setting)


def _asked(member: Member, setting: Setting) -> dict[str, str]:
    """What overrides.json says of an evaluation."""
    return setting.asked | ({} if member.ensemble is None else member.ensemble.settings)


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
    is_classical = row.method in BASELINES
    command = baseline_call(row, setting, folder) if is_classical else bundle_call(row, member, setting, folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").unlink(missing_ok=True)
    write_bytes(folder / "overrides.json", json.dumps(_asked(member, setting)).encode())
    log = folder / "log.txt"
    with log.open("wb") as file:
        status = execute(command, file)
    if status or not (folder / "metrics.json").is_file():
        lines = log.read_text(errors="replace").strip().splitlines() or [f"ended with status {status} and no word"]
        raise RowFailed(lines[-1].removeprefix("error: "), log)


def execute(command: Sequence[str], log) -> int:
    """Run a command in the repository's root, its output into the open file ``log``; return its status."""
    return subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, cwd=BUNDLES.parent, check=False).returncode


def bundle_call(row: Row, member: Member, setting: Setting, folder: Path) -> list[str]:
    """Return the command that evaluates weights, or an ensemble of them, by their bundle."""
    config = BUNDLES / row.method / "configs" / ("evaluate.yaml" if member.ensemble is None else CONFIG)
    known = yaml.safe_load(config.read_text("utf-8")).keys() - OWN - OF_ENSEMBLE
    values = {key: value for key, value in member.settings.items() if key in known}  # those of the network
    values |= {"dataset_dir": setting.dataset.root.resolve(), "split": setting.split, "output_dir": folder.resolve()}
    values |= {"checkpoint": member.weights} if member.ensemble is None else member.ensemble.overrides
    values |= of_dataset(row.method, setting.dataset.root)
    if setting.pairs:
        values["examples"] = json.dumps(list(setting.pairs))
    values |= setting.overrides
    given = [text for key, value in values.items() for text in (f"--{key}", str(value))]
    return [sys.executable, "-m", "monai.bundle", "run", "evaluation", "--config_file", str(config), *given]


def baseline_call(row: Row, setting: Setting, folder: Path) -> list[str]:
    """Return the command that evaluates a classical method."""
    where = ["--dataset", str(setting.dataset.root.resolve()), "--split", setting.split]
    where += ["--pairing", setting.overrides["pairing"]] if "pairing" in setting.overrides else []
    return [sys.executable, "-m", "tools.baselines", row.method, *where, "--output", str(folder.resolve())]

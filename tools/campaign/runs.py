"""Runs on disk: a training and its evaluation each, in a folder whose name says what was trained.

``OUTPUT/<bundle>/<variant>/seed_<k>/`` holds ``train/``, ``val/`` (or another split) and ``log.txt``. The variant is
the run's overrides, ``key=value`` joined by commas, or ``default``; a run with an overlay of its bundle, such as
snapshot_train.yaml, is called by it first: ``snapshot`` or ``snapshot,key=value``. ``val/metrics.json`` is written
last: a folder without it is unfinished. Who works on a run holds a lock on its log, so no two processes ever train the
same run.
"""

from __future__ import annotations

import fcntl
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from common.collection.find import names, places
from common.errors import InputError
from common.options import parse_value

from ..render import RECIPES
from .launching import config, last_line
from .variants import RunName, read_run, read_variant, write_variant

FAILED = re.compile(r"(training|evaluation) failed with status -?\d+")
OPTIONS = {"seed": "--seeds", "dataset_dir": "--dataset", "output_dir": "--output"}
NETWORKS = {"network", "companion", "network_def", "model"}
OVERLAY = "_train.yaml"  # how the file of an overlay ends
LAUNCHED = "multi_gpu"  # an overlay that only torchrun can start


@dataclass(frozen=True)
class Run:
    """One training of a bundle with overrides of its train.yaml, and of the overlay that is laid over it, if any."""

    bundle: str
    overrides: Mapping[str, Any]
    seed: int
    overlay: str = ""

    @classmethod
    def of(cls, folder: Path) -> Run:
        """The run whose folder this is; raise InputError if it is not one."""
        name = read_run(folder)
        try:
            overrides, overlay = read_variant(name.variant)
        except InputError as error:
            raise InputError(f"{folder}: not named as a run: {error}") from error
        if overlay not in ("", *overlays(name.bundle)):
            raise InputError(
                f"{folder}: not named as a run: {name.bundle} has no {overlay}{OVERLAY}; move it elsewhere."
            )
        return cls(name.bundle, {key: parse_value(text) for key, text in overrides.items()}, name.seed, overlay)

    @property
    def variant(self) -> str:
        """The overlay and the overrides as a folder's name."""
        return write_variant(self.overrides, self.overlay)

    @property
    def configs(self) -> list[Path]:
        """What it is trained by: train.yaml, and what is laid over it."""
        laid_over = [f"{self.overlay}{OVERLAY}"] if self.overlay else []
        return [config(self.bundle, name) for name in ("train.yaml", *laid_over)]

    def folder(self, output: Path) -> Path:
        """Where it and its evaluation are kept."""
        return output / RunName(self.bundle, self.variant, self.seed).path

    def __str__(self) -> str:
        return f"{self.bundle} {self.variant} seed {self.seed}"


def overlays(bundle: str) -> list[str]:
    """What can be laid over a bundle's train.yaml, by the beginnings of the files' names: ``snapshot``."""
    names = sorted(path.name.removesuffix(OVERLAY) for path in config(bundle, "").glob(f"*{OVERLAY}"))
    return [name for name in names if name != LAUNCHED]


def check(bundle: str, overrides: Mapping[str, Any], overlay: str = "") -> None:
    """Refuse what could not be trained, or not be evaluated as it was trained.

    Raises:
        InputError: for no such bundle, overlay or setting, and settings that have another place.
    """
    if not config(bundle, "train.yaml").is_file():
        nearest = get_close_matches(bundle, names(), n=1, cutoff=0.0)
        where = " and ".join(map(str, places()))
        raise InputError(f"{bundle}: no such bundle in {where}; did you mean {' or '.join(nearest)}?")
    if overlay and overlay not in (known := overlays(bundle)):
        there = f"there is {', '.join(name + OVERLAY for name in known)}" if known else "it has none"
        raise InputError(f"--overlay {overlay}{OVERLAY}: no config to lay over {bundle}'s train.yaml; {there}.")
    for key, value in overrides.items():
        if key in OPTIONS:
            raise InputError(f"--override {key}: this has an option of its own, {OPTIONS[key]}.")
        if re.split("#|::", key)[0] in NETWORKS:
            raise InputError(f"--override {key}: evaluation would not know of it; override a top-level key instead.")
        write_variant({key: value})
    from common.overrides import read_settings  # which takes seconds to import

    read_settings([str(file) for file in Run(bundle, {}, 0, overlay).configs], overrides)


def method_recipe(bundle: str) -> dict[str, Any]:
    """The recipe of a bundle's method; empty if there is none."""
    files = [path for path in (RECIPES / "methods").glob("*.yaml") if f"_{bundle}".endswith(f"_{path.stem}")]
    return yaml.safe_load(max(files, key=lambda path: len(path.stem)).read_text("utf-8")) if files else {}


def own_settings(bundle: str) -> set[str]:
    """The settings of a bundle's method and of its architecture, which its configs have at their top."""
    file = RECIPES / "architectures" / f"{bundle.partition('_')[0]}.yaml"
    architecture = yaml.safe_load(file.read_text("utf-8")) if file.is_file() else {}
    return {*method_recipe(bundle).get("settings", {}), *architecture.get("network_settings", {})}


def find(output: Path, bundle: str = "*") -> list[Run]:
    """Every run that has a folder, in order."""
    runs = [Run.of(path) for path in output.glob(f"{bundle}/*/seed_*")]
    return sorted(runs, key=lambda run: (run.bundle, run.variant, run.seed))


def metrics(run: Run, output: Path, split: str = "val") -> dict[str, Any] | None:
    """What the evaluation of a run wrote; None if it is unfinished."""
    path = run.folder(output) / split / "metrics.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else None


def evaluated_with(run: Run, output: Path, split: str = "val") -> dict[str, Any]:
    """What the evaluation of a run was asked for beside its split: the pairing, if not as listed."""
    path = run.folder(output) / split / "overrides.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def score(run: Run, output: Path, select: str = "published", split: str = "val") -> float | None:
    """The Dice of a protocol in percent; None if the run is unfinished or its data has no labels."""
    found = metrics(run, output, split) or {"protocols": {}}
    return found["protocols"].get(select, {}).get("dsc", {}).get("mean")


def state(run: Run, output: Path, split: str = "val") -> str:
    """``done``, ``running``, ``failed`` or ``waiting`` (to begin, or to go on), from the folder alone."""
    log = run.folder(output) / "log.txt"
    if (run.folder(output) / split / "metrics.json").is_file():
        return "done"
    if not log.is_file():
        return "waiting"
    with log.open(encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return "running"
    return "failed" if FAILED.fullmatch(last_line(log)) else "waiting"

"""What the rows of a comparison are: bundles, given weights, finished runs, classical baselines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from common.errors import InputError
from common.io import file_hash
from tools.baselines import NAMES as BASELINES
from tools.render import BUNDLES, bundle_names, recipes

METHODS = ("mse", "ncc", "mi", "nll", "beta_nll", "adaframe", "adareg", "hetero", "adacs", "hetero_disp", "diff")
CLASSICAL = "Without a network"
DEFAULT = "default"  # the variant of a run without overrides


@dataclass(frozen=True)
class Member:
    """One evaluation of a row: of one set of weights, or of a baseline, which has none.

    ``label`` names its folder: the run's seed, or the first digits of the weights' SHA-256. ``settings`` are the
    overrides that the weights were trained with; ``done`` is where the run itself was evaluated, on validation.
    """

    label: str
    weights: Path | None = None
    settings: dict[str, str] = field(default_factory=dict)
    done: Path | None = None


@dataclass(frozen=True)
class Row:
    """One row: a bundle or a baseline (``method``) by a name of its own, and what it is measured with."""

    name: str
    method: str
    members: tuple[Member, ...]
    source: str = ""

    @property
    def group(self) -> str:
        """The heading that the row stands under: its architecture."""
        titles = {each["name"]: each["title"] for each in recipes("architectures")}
        return CLASSICAL if self.method in BASELINES else titles.get(self.method.partition("_")[0], "Other")

    @property
    def slug(self) -> str:
        """The name as a folder."""
        return re.sub(r"[^\w.=,-]+", "_", self.name).strip("_")


def parse_rows(given: Sequence[str], runs: Path | None = None) -> list[Row]:
    """Return the rows that the command line asks for, by architecture and method, their names told apart.

    Args:
        given: BUNDLE, BUNDLE=WEIGHTS.pt (once more for each further seed), or a baseline's name.
        runs: a folder of runs; each bundle and variant in it that has finished runs is a row.

    Raises:
        InputError: a name that is not known, weights given twice, or nothing to compare.
    """
    rows: dict[tuple[str, str], Row] = {}
    for text in given:
        row = _given(text)
        key = row.method, row.source
        if key in rows:
            row = replace(row, members=rows[key].members + row.members)
        rows[key] = row
    found = [*rows.values(), *(_finished(runs) if runs is not None else [])]
    if not found:
        raise InputError(f"nothing to compare: name a row ({', '.join(known_names())}) or give --runs.")
    for row in found:
        _refuse_twice(row)
    return sorted(_named_apart(found), key=_place)


def known_names() -> list[str]:
    """Return every name that a row can have."""
    return [*BASELINES, *sorted(bundle_names(), key=_order)]


def _given(text: str) -> Row:
    name, equals, weights = text.partition("=")
    if name not in known_names():
        raise InputError(f"{text}: no such row; known are {', '.join(known_names())}, and BUNDLE=WEIGHTS.pt.")
    if name in BASELINES:
        if equals:
            raise InputError(f"{text}: {name} has no weights; give its name alone.")
        return Row(name, name, (Member(DEFAULT),))
    path = Path(weights).resolve() if equals else BUNDLES / name / "models" / "model.pt"
    # weights that are not there are that row's failure, not the command's
    label = file_hash(path)[:12] if path.is_file() else "missing"
    return Row(name, name, (Member(label, path),), "given" if equals else "shipped")


def _finished(runs: Path) -> list[Row]:
    """Return a row for every bundle and variant below ``runs`` with finished runs, a member per seed."""
    if not runs.is_dir():
        raise InputError(f"--runs {runs}: no such folder.")
    rows = []
    for bundle in bundle_names():
        variants = [folder for folder in sorted((runs / bundle).glob("*")) if folder.is_dir()]
        members = {folder.name: _seeds(folder) for folder in variants}
        having = {name: each for name, each in members.items() if each}
        rows += [Row(bundle if len(having) == 1 else f"{bundle} ({name})", bundle, each, name)
                 for name, each in having.items()]
    if not rows:
        raise InputError(f"--runs {runs}: no finished run; they lie in <bundle>/<variant>/seed_<k> there.")
    return rows


def _seeds(folder: Path) -> tuple[Member, ...]:
    seeds = {int(found[1]): path for path in folder.glob("seed_*") if (found := re.fullmatch(r"seed_(\d+)", path.name))}
    settings = _settings(folder) if seeds else {}
    return tuple(
        Member(f"seed_{seed}", (path / "train" / "model.pt").resolve(), settings, path / "val")
        for seed, path in sorted(seeds.items())
        if (path / "val" / "metrics.json").is_file()  # written last
    )


def _settings(folder: Path) -> dict[str, str]:
    """Return the overrides that a variant's name spells out."""
    if folder.name == DEFAULT:
        return {}
    parts = [part.partition("=") for part in folder.name.split(",")]
    if not all(key and equals for key, equals, _ in parts):
        raise InputError(f"{folder}: not a variant; it is called {DEFAULT} or KEY=VALUE,KEY=VALUE.")
    return {key: value for key, _, value in parts}


def _refuse_twice(row: Row) -> None:
    labels = [member.label for member in row.members if member.label != "missing"]
    if len(set(labels)) < len(labels):
        raise InputError(f"{row.name}: the same weights, or the same baseline, are given twice.")


def _named_apart(rows: Sequence[Row]) -> list[Row]:
    """Add where a row comes from to the names that would come twice."""
    names = [row.name for row in rows]
    return [replace(row, name=f"{row.name} ({row.source})") if names.count(row.name) > 1 else row for row in rows]


def _order(name: str) -> tuple[int, int, str]:
    """Architectures in the order of the papers, and so their methods."""
    architecture, _, method = name.partition("_")
    places = {"vxm": 0, "tsm": 1, "dfm": 2}
    return places.get(architecture, 3), METHODS.index(method) if method in METHODS else len(METHODS), name


def _place(row: Row) -> tuple:
    if row.method in BASELINES:
        return 0, BASELINES.index(row.method), 0, row.name
    return 1, *_order(row.method)[:2], row.name

"""What the rows of a comparison are: bundles, given weights, finished runs, classical baselines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from glob import has_magic
from pathlib import Path

from common.errors import InputError
from common.files import file_hash
from tools.baselines import NAMES as BASELINES
from tools.campaign.runs import overlays
from tools.render import BUNDLES, bundle_names, recipes

from .ensembles import KINDS, Ensemble

METHODS = ("mse", "ncc", "mi", "nll", "beta_nll", "adaframe", "adareg", "hetero", "adacs", "hetero_disp", "diff",
           "weak", "predictive")  # fmt: skip
CLASSICAL = "Without a network"
DEFAULT = "default"  # the variant of a run without overrides


@dataclass(frozen=True)
class Member:
    """One evaluation of a row: of one set of weights, of an ensemble's, or of a baseline, which has none.

    ``label`` names its folder: the run's seed, or the first digits of the SHA-256 of the weights, or of what names an
    ensemble's. ``settings`` are the overrides that the weights were trained with; ``done`` is where the run itself was
    evaluated, on validation.
    """

    label: str
    weights: Path | None = None
    settings: dict[str, str] = field(default_factory=dict)
    done: Path | None = None
    ensemble: Ensemble | None = None


@dataclass(frozen=True)
class Row:
    """One row: a bundle or a baseline (``method``) by a name of its own, and what it is measured with.

    ``kind`` is that of an ensemble of the bundle's networks, "" for a single one.
    """

    name: str
    method: str
    members: tuple[Member, ...]
    source: str = ""
    kind: str = ""

    @property
    def group(self) -> str:
        """The heading that the row stands under: its architecture."""
        return CLASSICAL if self.method in BASELINES else _titles().get(self.method.partition("_")[0], "Other")

    @property
    def key(self) -> str:
        """What the papers' numbers are found by: the bundle, with its kind of ensemble."""
        return f"{self.method}+{self.kind}" if self.kind else self.method

    @property
    def slug(self) -> str:
        """The name as a folder."""
        return re.sub(r"[^\w.=,-]+", "_", self.name).strip("_")


def parse_rows(given: Sequence[str], runs: Path | None = None, members: int = 8) -> list[Row]:
    """Return the rows that the command line asks for, by architecture and method, their names told apart.

    Args:
        given: BUNDLE, BUNDLE=WEIGHTS.pt (once more for each further seed), BUNDLE+KIND=MEMBERS, or a baseline's name.
        runs: a folder of runs; each bundle and variant in it that has finished runs is a row.
        members: of each ensemble.

    Raises:
        InputError: a name that is not known, weights given twice, or nothing to compare.
    """
    rows: dict[tuple[str, str], Row] = {}
    for text in given:
        row = _given(text, members)
        key = row.key, row.source
        if key in rows:
            row = replace(row, members=rows[key].members + row.members)
        rows[key] = row
    found = [*rows.values(), *(_finished(runs) if runs is not None else [])]
    if not found:
        raise InputError(f"nothing to compare: name a row ({', '.join(known_names())}) or give --runs.")
    for row in found:
        _refuse_twice(row)
    return sorted(_named_apart(found), key=_place)


@cache  # the recipes are many files
def known_names() -> tuple[str, ...]:
    """Return every name that a row can have."""
    return (*BASELINES, *sorted(bundle_names(), key=_order))


@cache
def _titles() -> dict[str, str]:
    return {each["name"]: each["title"] for each in recipes("architectures")}


def _given(text: str, members: int) -> Row:
    name, equals, weights = text.partition("=")
    bundle, plus, kind = name.partition("+")
    if bundle not in known_names():
        raise InputError(f"{text}: no such row; known are {', '.join(known_names())}, and BUNDLE=WEIGHTS.pt.")
    if plus:
        if kind not in KINDS or bundle in BASELINES or not weights:
            raise InputError(f"{text}: not an ensemble; give BUNDLE+KIND=MEMBERS with KIND {', '.join(KINDS)}.")
        ensemble = Ensemble(kind, weights, members)
        settings = _settings_of(bundle, Path(weights))
        return Row(name, bundle, (Member(ensemble.label, settings=settings, ensemble=ensemble),), kind=kind)
    if name in BASELINES:
        if equals:
            raise InputError(f"{text}: {name} has no weights; give its name alone.")
        return Row(name, name, (Member(DEFAULT),))
    path = Path(weights).resolve() if equals else BUNDLES / name / "models" / "model.pt"
    # weights that are not there are that row's failure, not the command's
    label = file_hash(path)[:12] if path.is_file() else "missing"
    return Row(name, name, (Member(label, path, _settings_of(name, path)),), "given" if equals else "shipped")


def _settings_of(bundle: str, weights: Path) -> dict[str, str]:
    """Return the overrides that weights below RUNS/<bundle>/<variant>/seed_<k> were trained with; none of others."""
    runs = [path for path in weights.parents if path.name.startswith("seed_") and path.parent.parent.name == bundle]
    return _settings(runs[0].parent) if runs and not has_magic(runs[0].parent.name) else {}


def _finished(runs: Path) -> list[Row]:
    """Return a row for every bundle and variant below ``runs`` with finished runs, a member per seed."""
    if not runs.is_dir():
        raise InputError(f"--runs {runs}: no such folder.")
    rows = []
    for bundle in bundle_names():
        variants = [folder for folder in sorted((runs / bundle).glob("*")) if folder.is_dir()]
        members = {folder.name: _seeds(folder) for folder in variants}
        having = {name: each for name, each in members.items() if each}
        rows += [
            Row(bundle if len(having) == 1 else f"{bundle} ({name})", bundle, each, name)
            for name, each in having.items()
        ]
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
    texts = re.split(r",(?=[\w#:]+=)", folder.name)
    parts = [part.partition("=") for part in texts[texts[0] in overlays(folder.parent.name) :]]
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
        return 0, BASELINES.index(row.method), 0, 0, row.name
    return 1, *_order(row.method)[:2], ("", *KINDS).index(row.kind), row.name

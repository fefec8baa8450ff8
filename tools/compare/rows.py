"""What the rows of a comparison are: bundles, given weights, finished runs, refined or not, classical baselines."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from glob import has_magic
from pathlib import Path
from typing import Any

from common.collection.find import names
from common.collection.weights import NAME, weights_file
from common.errors import InputError
from common.files import file_hash
from common.settings import read_setting
from tools.baselines import NAMES as BASELINES
from tools.campaign.launching import bundle_folder
from tools.campaign.runs import find, metrics
from tools.campaign.variants import DEFAULT, RowName, as_text, read_row, read_variant
from tools.render import combinations

from .ensembles import KINDS, Ensemble

CLASSICAL = "Without a network"
OTHER = ({"title": "Other"}, {})  # of a bundle without recipes
REFINE = "refine"
REFINED = re.compile(rf"{REFINE}([1-9][0-9]*)")


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

    ``kind`` is that of an ensemble of the bundle's networks, None for a single one; ``refine`` is how many steps refine
    each pair.
    """

    name: str
    method: str
    members: tuple[Member, ...]
    source: str = ""
    kind: str | None = None
    refine: int = 0

    @property
    def group(self) -> str:
        """The heading that the row stands under: its architecture."""
        return CLASSICAL if self.method in BASELINES else _recipes().get(self.method, OTHER)[0]["title"]

    @property
    def key(self) -> str:
        """What the papers' numbers are found by: the bundle, with its kind of ensemble or the steps of refinement."""
        return str(RowName(self.method, f"{REFINE}{self.refine}" if self.refine else self.kind))

    @property
    def slug(self) -> str:
        """The name as a folder."""
        return re.sub(r"[^\w.=,-]+", "_", self.name).strip("_")


def parse_rows(given: Sequence[str], runs: Path | None = None, members: int = 8) -> list[Row]:
    """Return the rows that the command line asks for, by architecture and method, their names told apart.

    Args:
        given: BUNDLE, BUNDLE=NAME, BUNDLE=WEIGHTS.pt (once more for each further seed), the same of BUNDLE+refineN,
            BUNDLE+KIND=MEMBERS, or a baseline's name.
        runs: a folder of runs; each bundle and variant in it that has finished runs is a row, and one more for each
            BUNDLE+refineN of its bundle.
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
    finished = _finished(runs) if runs is not None else []
    found = [*_with_runs(rows.values(), finished), *finished]
    if not found:
        raise InputError(f"nothing to compare: name a row ({', '.join(known_names())}) or give --runs.")
    for row in found:
        _refuse_twice(row)
    return sorted(_named_apart(found), key=_place)


def known_names() -> tuple[str, ...]:
    """Return every name that a row can have."""
    return (*BASELINES, *sorted(names(), key=_order))


@cache  # they are many files
def _recipes() -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    return combinations()


def _given(text: str, members: int) -> Row:
    name = read_row(text)
    if name.bundle not in known_names():
        raise InputError(f"{text}: no such row; known are {', '.join(known_names())}, and BUNDLE=WEIGHTS.pt.")
    refine = _steps(name)
    if name.kind is not None and not refine:
        return _ensemble(name, members)
    if name.bundle in BASELINES:
        if name.weights is not None:
            raise InputError(f"{text}: {name.bundle} has no weights; give its name alone.")
        return Row(text, text, (Member(DEFAULT),))
    path = _file(name)
    # weights that are not there are that row's failure, not the command's
    label = file_hash(path)[:12] if path.is_file() else "missing"
    member = Member(label, path, _settings_of(name.bundle, path))
    source = "shipped" if name.weights is None else name.weights if _is_named(name) else "given"
    return Row(str(name._replace(weights=None)), name.bundle, (member,), source, refine=refine)


def _steps(name: RowName) -> int:
    """The steps of ``BUNDLE+refineN``; 0 of any other row.

    Raises:
        InputError: none, too many or no number of them, or a row without a network.
    """
    if not (name.kind or "").startswith(REFINE):
        return 0
    steps = REFINED.fullmatch(name.kind or "")
    if steps is None or name.bundle in BASELINES:
        raise InputError(f"{name}: not a refinement; give BUNDLE+{REFINE}N with N steps, as vxm_mse+{REFINE}50.")
    return read_setting("refine_steps", steps[1])


def _with_runs(given: Iterable[Row], finished: Sequence[Row]) -> list[Row]:
    """Return the given rows; behind one of refined shipped weights, which may not be there, those of finished runs."""
    found = []
    for row in given:
        wanted = finished if row.refine and row.source == "shipped" else []
        runs = [replace(run, name=run.name.replace(row.method, row.key, 1), refine=row.refine)
                for run in wanted if run.method == row.method]  # fmt: skip
        shipped = [] if runs and row.members[0].label == "missing" else [row]
        found += [*shipped, *runs]
    return found


def _is_named(name: RowName) -> bool:
    """Whether weights are called by a name of the bundle's: a word that is neither a file nor, of members, a folder."""
    if name.weights is None or not NAME.fullmatch(name.weights):
        return False
    return not (Path(name.weights).is_file() or (name.kind and Path(name.weights).is_dir()))


def _file(name: RowName) -> Path:
    """The weights of a row, whether they are there or not: by their name, by a file, or the bundle's own.

    Raises:
        InputError: a word that is neither a file nor weights of the bundle.
    """
    if name.weights is None or _is_named(name):
        return weights_file(bundle_folder(name.bundle), name.weights)
    return Path(name.weights).resolve()


def _ensemble(name: RowName, members: int) -> Row:
    if name.kind not in KINDS or name.bundle in BASELINES or not name.weights:
        kinds = ", ".join(KINDS)
        raise InputError(f"{name}: not an ensemble; give BUNDLE+KIND=MEMBERS with KIND {kinds}, or BUNDLE+{REFINE}N.")
    members_of = str(_file(name)) if _is_named(name) else name.weights
    ensemble = Ensemble(name.kind, members_of, members)
    member = Member(ensemble.label, settings=_settings_of(name.bundle, Path(members_of)), ensemble=ensemble)
    return Row(str(name._replace(weights=None)), name.bundle, (member,), kind=name.kind)


def _settings_of(bundle: str, weights: Path) -> dict[str, str]:
    """Return the overrides that weights below RUNS/<bundle>/<variant>/seed_<k> were trained with; none of others."""
    runs = [path for path in weights.parents if path.name.startswith("seed_") and path.parent.parent.name == bundle]
    return read_variant(runs[0].parent.name).overrides if runs and not has_magic(runs[0].parent.name) else {}


def _finished(runs: Path) -> list[Row]:
    """Return a row for every bundle and variant below ``runs`` with finished runs, a member per seed."""
    if not runs.is_dir():
        raise InputError(f"--runs {runs}: no such folder.")
    members: dict[str, dict[str, list[Member]]] = {}
    for bundle in names():
        for run in find(runs, bundle):
            if metrics(run, runs) is not None:
                folder, settings = run.folder(runs), {key: as_text(value) for key, value in run.overrides.items()}
                member = Member(folder.name, (folder / "train" / "model.pt").resolve(), settings, folder / "val")
                members.setdefault(bundle, {}).setdefault(run.variant, []).append(member)
    if not members:
        raise InputError(f"--runs {runs}: no finished run; they lie in <bundle>/<variant>/seed_<k> there.")
    return [
        Row(bundle if len(variants) == 1 else f"{bundle} ({variant})", bundle, tuple(seeds), variant)
        for bundle, variants in members.items()
        for variant, seeds in variants.items()
    ]


def _refuse_twice(row: Row) -> None:
    labels = [member.label for member in row.members if member.label != "missing"]
    if len(set(labels)) < len(labels):
        raise InputError(f"{row.name}: the same weights, or the same baseline, are given twice.")


def _named_apart(rows: Sequence[Row]) -> list[Row]:
    """Add where a row comes from to the names that would come twice."""
    given = [row.name for row in rows]
    return [replace(row, name=f"{row.name} ({row.source})") if given.count(row.name) > 1 else row for row in rows]


def _order(bundle: str) -> tuple[float, float, str]:
    """Architectures and their methods in the order that their recipes say, the papers'; others after them."""
    architecture, method = _recipes().get(bundle, OTHER)
    return architecture.get("order", math.inf), method.get("order", math.inf), bundle


def _place(row: Row) -> tuple:
    if row.method in BASELINES:
        return 0, BASELINES.index(row.method), 0, 0, 0, row.name
    return 1, *_order(row.method)[:2], (None, *KINDS).index(row.kind), row.refine, row.name

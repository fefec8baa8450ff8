"""Search a method's settings for one bundle: what is searched, on which data, and how."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import GridSampler, TPESampler

from common.data import prepared
from common.errors import InputError
from common.options import parse_overrides, parse_value, split_pairs

from .launching import terminable
from .runs import check, method_recipe
from .ties import ties
from .trials import Params, Search, open_study, optimize


def search(
    dataset: Path,
    output: Path,
    bundle: str,
    trials: int,
    grid: bool,
    storage: str | None,
    select: str,
    space: Sequence[str],
    override: Sequence[str],
    seed: int,
) -> int:
    """Search, and say which trials tie; on stderr what failed, a line each, and return 1 if something has.

    Arguments as the program's.

    Raises:
        InputError: for what cannot be searched, before anything is trained.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # each trial has a line of ours
    shared = parse_overrides(override)
    searched = checked_space(bundle, space, shared, grid)
    about = Search(bundle, searched, shared, seed, select, labelled(dataset), output)
    # the grid's order must be the same in every process, and random trials another in each
    sampler = GridSampler(searched, seed=0) if grid else TPESampler()
    with terminable():
        study = open_study(about, storage, sampler)
        optimize(about, study, None if grid else trials)
    for line in ties(about, study):
        print(line)
    for failure in about.failures:
        print(f"error: {failure}", file=sys.stderr)
    return int(bool(about.failures))


def checked_space(bundle: str, texts: Sequence[str], shared: Params, grid: bool) -> Params:
    """What to search, of settings that the bundle has and that are not overridden (``shared``).

    Raises:
        InputError: naming what is wrong.
    """
    check(bundle, shared)
    space = read_space(bundle, texts)
    for key, values in space.items():
        for value in values if isinstance(values, list) else (values["low"], values["high"]):
            check(bundle, {key: value})
    if twice := sorted(set(space) & set(shared)):
        raise InputError(f"--override {twice[0]}: it is searched; leave it out, or give --space without it.")
    if grid and not all(isinstance(values, list) for values in space.values()):
        raise InputError(f"{bundle}: a grid needs choices, not ranges; give --space KEY=VALUE,VALUE,...")
    return space


def read_space(bundle: str, texts: Sequence[str]) -> Params:
    """What to search: ``KEY=v1,v2,...`` each, or what the method's recipe says where none is given.

    Raises:
        InputError: if there is nothing to search, or something that is neither choices nor a range.
    """
    given = split_pairs("--space", texts)
    choices = {key: [parse_value(value) for value in values.split(",")] for key, values in given.items()}
    space = choices or method_recipe(bundle).get("search")
    if not space:
        raise InputError(f"{bundle}: its recipe has nothing to search; give --space KEY=VALUE,VALUE,...")
    for key, values in space.items():
        is_range = isinstance(values, dict) and {"low", "high"} <= set(values) <= {"low", "high", "log", "step"}
        if not is_range and not (isinstance(values, list) and values):
            raise InputError(f"{bundle}: search of {key}: {values} is neither choices nor {{low, high, log}}.")
    return space


def has_labels(pair: dict[str, Any]) -> bool:
    """Whether a pair's Dice can be computed."""
    return all(pair.get(key) for key in prepared.LABEL_KEYS)


def labelled(dataset_dir: Path) -> prepared.Dataset:
    """Read a prepared data set; raise InputError unless its validation pairs have labels to select by."""
    dataset = prepared.read(dataset_dir)
    if not dataset.evaluated_labels or not any(map(has_labels, dataset.pairs("val"))):
        raise InputError(f"{dataset_dir}: no validation pair has labels, and a search selects by their Dice.")
    return dataset

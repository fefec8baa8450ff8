"""Search a method's settings for one bundle on one prepared data set, by the Dice of its validation pairs.

    python -m tools.search --dataset DIR --output RUNS --bundle vxm_adacs --trials 30 --override max_epochs=6
    python -m tools.search --dataset DIR --output RUNS --bundle vxm_mse --grid --space smooth_weight=0.01,0.02,0.04

What is searched is the key ``search`` of the method's recipe: a list of choices or a range for each setting. Every
trial is a run as `tools.train_all` makes them. Several processes may search at once, and a search that was stopped
goes on. The best settings of each bundle go to RUNS/best.json, every run to RUNS/search.csv.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import GridSampler, TPESampler

from common.data import prepared
from common.errors import InputError, say_in_one_line
from common.options import parse_overrides, parse_value, split_pairs

from .campaign.runs import check, method_recipe
from .campaign.trials import Params, Search, open_study, optimize


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


def parser() -> argparse.ArgumentParser:
    """Return the command line's description."""
    described = argparse.ArgumentParser(prog="python -m tools.search", description=__doc__.splitlines()[0])
    described.add_argument("--dataset", type=Path, required=True, help="a prepared data set with labels")
    described.add_argument("--output", type=Path, required=True, metavar="RUNS", help="where runs go")
    described.add_argument("--bundle", required=True, metavar="NAME")
    extent = described.add_mutually_exclusive_group()
    extent.add_argument("--trials", type=int, default=20, help="of all processes and calls together (20)")
    extent.add_argument("--grid", action="store_true", help="every combination of the choices, instead")
    described.add_argument("--storage", metavar="URL", help="what processes share (sqlite:///RUNS/search.db)")
    described.add_argument("--select", choices=["published", "standard"], default="published", help="whose Dice")
    described.add_argument("--space", nargs="+", action="extend", default=[], metavar="KEY=VALUE,VALUE,...",
                           help="choices to search instead of the recipe's")  # fmt: skip
    described.add_argument("--override", nargs="+", action="extend", default=[], metavar="KEY=VALUE",
                           help="settings of every trial")  # fmt: skip
    described.add_argument("--seed", type=int, default=0, help="of every trial")
    return described


def main(arguments: list[str] | None = None) -> int:
    """Search from the command line."""
    say_in_one_line()
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # each trial has a line of ours
    options = parser().parse_args(arguments)
    shared = parse_overrides(options.override)
    check(options.bundle, shared)
    space = read_space(options.bundle, options.space)
    check(options.bundle, space)
    if twice := sorted(set(space) & set(shared)):
        raise InputError(f"--override {twice[0]}: it is searched; leave it out, or give --space without it.")
    if options.grid and not all(isinstance(values, list) for values in space.values()):
        raise InputError(f"{options.bundle}: a grid needs choices, not ranges; give --space KEY=VALUE,VALUE,...")
    dataset = labelled(options.dataset)
    search = Search(options.bundle, space, shared, options.seed, options.select, dataset, options.output)
    # the grid's order must be the same in every process, and random trials another in each
    sampler = GridSampler(space, seed=0) if options.grid else TPESampler()
    study = open_study(search, options.storage, sampler)
    optimize(search, study, None if options.grid else options.trials)
    for failure in search.failures:
        print(f"error: {failure}", file=sys.stderr)
    return int(bool(search.failures))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    sys.exit(main())

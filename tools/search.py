"""Search a method's settings for one bundle on one prepared data set, by the Dice of its validation pairs.

    warpsure search --dataset DIR --output RUNS --bundle vxm_adacs --trials 30 --override max_epochs=6
    warpsure search --dataset DIR --output RUNS --bundle vxm_mse --grid --space smooth_weight=0.01,0.02,0.04

What is searched is the key ``search`` of the method's recipe: a list of choices or a range for each setting. Every
trial is a run as `train-all` makes them. Several processes may search at once, and a search that was stopped
goes on. The best settings of each bundle go to RUNS/best.json, every run to RUNS/search.csv. Trials whose scores differ
by no more than seeds do (0.1 DSC, where there is one seed) are named as a tie.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from common.errors import say_in_one_line
from common.options import (
    Parser,
    add_bundle,
    add_dataset,
    add_output,
    add_overrides,
    add_seed,
    add_select,
    positive,
    program,
)


def parser() -> argparse.ArgumentParser:
    """Return the command line's description."""
    described = Parser(program("search"), description=__doc__)
    add_dataset(described, "a prepared data set with labels")
    add_output(described, "folder RUNS for the runs")
    add_bundle(described)
    extent = described.add_mutually_exclusive_group()
    trials = "of all processes and calls together (default: 20)"
    extent.add_argument("--trials", type=positive, default=20, metavar="N", help=trials)
    extent.add_argument("--grid", action="store_true", help="every combination of the choices, instead")
    described.add_argument("--storage", metavar="URL", help="what processes share (default: sqlite:///RUNS/search.db)")
    add_select(described)
    space = "choices to search instead of the recipe's"
    described.add_argument("--space", nargs="+", action="extend", default=[], metavar="KEY=VALUE,VALUE,...", help=space)
    add_overrides(described, "settings of every trial")
    add_seed(described, "every trial")
    return described


def main(arguments: Sequence[str] | None = None) -> int:
    """Search from the command line; return 1 if a trial failed."""
    say_in_one_line()
    options = parser().parse_args(arguments)
    from .campaign.launching import called
    from .campaign.searching import search

    options.bundle = called(options.bundle)
    return search(**vars(options))


if __name__ == "__main__":
    sys.exit(main())

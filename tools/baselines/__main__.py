"""Register a split by a classical method, and score it as the networks are scored.

python -m tools.baselines elastix --dataset data/acdc --split val --output results/elastix
python -m tools.baselines demons --dataset data/acdc --output results/demons --set sigma=1.5 --set iterations=100,50

It writes the files of a bundle's evaluation; tools.report takes the folder as one. A pair that crashes or hangs the
engine fails alone. Engines but undeformed need what requirements-baselines.txt says. Times are
CPU times of one thread.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from importlib import import_module
from pathlib import Path

from common.data.pairing import PAIRINGS
from common.data.prepared import SPLITS
from common.errors import InputError, say_in_one_line
from tools.baselines import NAMES
from tools.baselines.settings import show


def main(arguments: Sequence[str] | None = None) -> None:
    """Evaluate the engine that the command line names."""
    say_in_one_line()
    parser = argparse.ArgumentParser(
        prog="python -m tools.baselines",
        description=__doc__,
        epilog=f"settings and defaults:\n{_settings()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    add_arguments(parser)
    parser.add_argument("--split", choices=SPLITS, default="val")
    parser.add_argument("--pairing", choices=PAIRINGS, default="listed", help="which pairs of the split")
    options = parser.parse_args(arguments)
    check(options)
    from tools.baselines.evaluate import Request, evaluate  # the workers import this module, but not torch

    evaluate(Request(**vars(options)))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that tuning shares."""
    parser.add_argument("--dataset", type=Path, required=True, metavar="DIR", help="a prepared data set")
    parser.add_argument("--output", type=Path, required=True, metavar="OUT", help="where the tables go")
    parser.add_argument("--set", action="extend", nargs="+", default=[], metavar="KEY=VALUE", help="of the engine")
    parser.add_argument("--timeout", type=float, default=600.0, metavar="SECONDS", help="of one pair (default: 600)")
    parser.add_argument("--limit", type=int, metavar="N", help="only N pairs, spread evenly over the split")


def check(options: argparse.Namespace) -> None:
    """Raise InputError for numbers that mean nothing."""
    if not options.timeout > 0:
        raise InputError(f"--timeout {options.timeout:g}: give a number of seconds above 0")
    if options.limit is not None and options.limit < 1:
        raise InputError(f"--limit {options.limit}: give at least 1 pair")


def _settings() -> str:
    lines = []
    for name in NAMES:
        known = fields(import_module(f"tools.baselines.{name}").Settings)
        lines.append(f"  {name}: " + (" ".join(f"{each.name}={show(each.default)}" for each in known) or "none"))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

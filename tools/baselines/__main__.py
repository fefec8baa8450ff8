"""Register a split by a classical method, and score it as the networks are scored.

warpsure baselines elastix --dataset data/acdc --split val --output results/elastix
warpsure baselines demons --dataset data/acdc --output results/demons --override sigma=1.5 iterations=100,50
warpsure baselines tune demons --dataset data/acdc --output results/tune --values sigma=1/1.25 iterations=100,50/50,25

It writes the files of a bundle's evaluation; `warpsure report` takes the folder as one. A pair that crashes or hangs
the engine fails alone. Engines but undeformed need what requirements-baselines.txt says. Times are CPU times of one
thread.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from importlib import import_module

from common.errors import InputError, say_in_one_line
from common.options import Parser, add_dataset, add_output, add_overrides, add_select, add_split, positive, program

from . import NAMES
from .settings import show


def parser() -> argparse.ArgumentParser:
    """Return the command line's description."""
    described = Parser(program("baselines"), description=__doc__, epilog=f"settings and defaults:\n{_settings()}")
    _add_arguments(described)
    add_split(described)
    return described


def tune_parser() -> argparse.ArgumentParser:
    """Return the command line's description for ``baselines tune``."""
    about = "Try an engine over a grid of settings on the validation pairs, and print what is best."
    described = Parser(f"{program('baselines')} tune", description=about)
    _add_arguments(described)
    tried = "settings, each with the values to try"
    described.add_argument("--values", nargs="+", action="extend", default=[], metavar="KEY=A/B", help=tried)
    add_select(described)
    return described


def main(arguments: Sequence[str] | None = None) -> None:
    """Evaluate the engine that the command line names, or tune it."""
    say_in_one_line()
    given = list(sys.argv[1:] if arguments is None else arguments)
    tuned = given[:1] == ["tune"]
    options = tune_parser().parse_args(given[1:]) if tuned else parser().parse_args(given)
    if not options.timeout > 0:
        raise InputError(f"--timeout {options.timeout:g}: give a number of seconds above 0")
    if tuned:  # imported now: the workers import this module, but not torch
        from .tune import table, tune

        print(table(tune(options)))
    else:
        from .evaluate import Request, evaluate

        evaluate(Request(**vars(options)))


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    add_dataset(parser)
    add_output(parser, "folder for the tables")
    add_overrides(parser, "settings of the engine")
    parser.add_argument("--timeout", type=float, default=600.0, metavar="SECONDS", help="of one pair (default: 600)")
    limit = "only so many pairs, spread evenly over the split (default: all)"
    parser.add_argument("--limit", type=positive, metavar="N", help=limit)


def _settings() -> str:
    lines = []
    for name in NAMES:
        known = fields(import_module(f".{name}", __package__).Settings)
        lines.append(f"  {name}: " + (" ".join(f"{each.name}={show(each.default)}" for each in known) or "none"))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

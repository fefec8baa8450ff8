"""Measure what this software is said to be: its speed, its memory, the bands of a cine."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from common.errors import say_in_one_line
from common.options import Parser, program

from .options import BENCHMARKS


def parser() -> argparse.ArgumentParser:
    """Return the command line's description."""
    described = Parser(program("benchmark"), description=__doc__)
    commands = described.add_subparsers(dest="benchmark", metavar="NAME", required=True)
    for name, (line, add_options) in BENCHMARKS.items():
        add_options(commands.add_parser(name, help=line, description=line))
    return described


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark that the command line names."""
    say_in_one_line()
    options = parser().parse_args(arguments)
    import_module(f".{options.benchmark}", __package__).run(options)


if __name__ == "__main__":
    sys.exit(main())

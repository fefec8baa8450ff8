"""Convert a source of image pairs to a prepared data set, or check one.

warpsure prepare acdc --source ACDC --output data/acdc
warpsure prepare phantom --output data/phantom
warpsure prepare check data/acdc
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from common.errors import say_in_one_line
from common.options import Parser, program

from .sources import SOURCES


def parser() -> argparse.ArgumentParser:
    """Return the command line's description."""
    described = Parser(program("prepare"), description=__doc__)
    sources = described.add_subparsers(dest="source_name", required=True, metavar="SOURCE")
    for name, (text, add_options) in SOURCES.items():
        add_options(sources.add_parser(name, help=text, description=text))
    return described


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the source that the first argument names; return the exit status."""
    say_in_one_line()
    options = parser().parse_args(arguments)
    try:
        return import_module(f".{options.source_name}", __package__).run(options) or 0
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())

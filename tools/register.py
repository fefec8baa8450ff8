"""Register two images of any grid by a bundle: ``warpsure register MOVING FIXED --bundle NAME --output DIR``.

The images are matched in physical space, so their orientations, spacings and sizes may differ.
"""

from __future__ import annotations

import argparse
import atexit
import gc
import sys
from collections.abc import Sequence

from common.errors import say_in_one_line
from common.options import Parser, program
from common.registration.program import add_arguments, run


def parser() -> argparse.ArgumentParser:
    """Return the command line's description."""
    described = Parser(program("register"), description=__doc__)
    add_arguments(described)
    return described


def main(arguments: Sequence[str] | None = None) -> None:
    """Register from the command line."""
    say_in_one_line()
    options = parser().parse_args(arguments)
    # looking for garbage among all that torch brings, on the way and at the end, takes a tenth of the time for nothing
    gc.disable()
    atexit.register(gc.freeze)
    try:
        run(options)
    finally:
        gc.enable()


if __name__ == "__main__":
    sys.exit(main())

"""Pack bundles for others, or all of them; `warpsure package verify --help` says how a package is checked.

    warpsure package vxm_hetero --output packages
    warpsure package verify packages/cardiac_cine_registration_vxm_hetero_v0.3.0.zip

A package is one zip, the same byte for byte each time, that needs nothing of this software: MONAI's commands, MONAI
Label and the checks of the Model Zoo run it from any working directory. --huggingface writes a model repository beside
it, ready to be pushed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from common.errors import say_in_one_line
from common.options import Parser, add_output, program


def parser() -> argparse.ArgumentParser:
    """Return the command line's description."""
    described = Parser(program("package"), description=__doc__)
    described.add_argument("names", nargs="+", metavar="NAME", help="bundles, or all")
    add_output(described, "the folder that packages are written to")
    place = "the folder on the web that files too large for a repository are fetched from"
    described.add_argument("--url", metavar="URL", help=place)
    described.add_argument("--huggingface", action="store_true", help="also write DIR/huggingface/NAME, to be pushed")
    return described


def verify_parser() -> argparse.ArgumentParser:
    """Return the command line's description for ``package verify``."""
    about = "Check that a package, a zip or an unpacked folder, is whole and safe; nothing of it is run."
    described = Parser(f"{program('package')} verify", description=about)
    described.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="a package: its zip, or its folder")
    described.add_argument("--sha256", metavar="HASH", help="that the zip was published with")
    return described


def main(arguments: Sequence[str] | None = None) -> None:
    """Package, or verify, from the command line."""
    say_in_one_line()
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["verify"]:
        options = verify_parser().parse_args(given[1:])
        from .writing import verify

        for path in options.paths:
            verify(path, options.sha256)
        return
    options = parser().parse_args(given)
    from .writing import write_all

    write_all(**vars(options))


if __name__ == "__main__":
    sys.exit(main())

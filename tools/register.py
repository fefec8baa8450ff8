"""Register two images of any grid by a bundle: ``python -m tools.register MOVING FIXED --bundle NAME --output DIR``.

The images are matched in physical space, so their orientations, spacings and sizes may differ.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from common.collection.find import find_bundle
from common.errors import say_in_one_line
from common.registration.program import add_arguments, run


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    say_in_one_line()
    parser = argparse.ArgumentParser("python -m tools.register", description=__doc__)
    add_arguments(parser)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--bundle", help="a bundle's name, as in vxm_hetero, or its folder")
    which.add_argument("--package", type=Path, metavar="ZIP", help="a packaged bundle")
    options = parser.parse_args(arguments)
    run(options, find_bundle(options.package or options.bundle))


if __name__ == "__main__":
    main()

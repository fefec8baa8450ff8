"""Register two images by the bundle that this library lies in, or by the one in --bundle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import say_in_one_line
from ..options import Parser
from .program import add_arguments, run

OWN = Path(__file__).resolve().parents[2]
"""The folder that the library lies in: that of a packaged bundle."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    say_in_one_line()
    parser = Parser(f"python -m {__package__}", description=__doc__)
    add_arguments(parser, str(OWN) if (OWN / "configs").is_dir() else None)
    run(parser.parse_args(arguments))


if __name__ == "__main__":
    main()

"""Fill the tables of README.md and docs/ from the files of results in this repository, or ``--check`` that they are.

    warpsure tables
    warpsure tables --check
    warpsure tables --baseline results/elastix results/demons

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``. --baseline first puts the figures of evaluations
of classical methods (`warpsure baselines`) where the tables take them from.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from common.errors import say_in_one_line
from common.options import Parser, program

ROOT = Path(__file__).parents[2]


def documents() -> list[Path]:
    """Those that have tables."""
    return [ROOT / "README.md", *(ROOT / "docs" / page for page in ("refinement.md", "tutorials/fine-tuning.md"))]


def parser() -> argparse.ArgumentParser:
    """Return the command line's description."""
    described = Parser(program("tables"), description=__doc__)
    what = described.add_mutually_exclusive_group()
    check = "change nothing; fail if a table differs from the results"
    what.add_argument("--check", action="store_true", help=check)
    folders = "output folders of `warpsure baselines`, whose figures to keep in the repository"
    what.add_argument("--baseline", nargs="+", type=Path, default=[], metavar="DIR", help=folders)
    return described


def main(arguments: Sequence[str] | None = None) -> int:
    """Fill the tables, or name those that differ."""
    say_in_one_line()
    options = parser().parse_args(arguments)
    from common.collection.find import need_repository

    need_repository("tables")
    from common.files import write_bytes

    from .blocks import filled

    for folder in options.baseline:
        from .baseline import keep

        print(f"{keep(folder)}: written")
    stale = False
    for document in documents():
        content, changed = filled(document.read_text("utf-8"), document.name)
        for name in changed:
            said = "differs from the results; run `warpsure tables`" if options.check else "written"
            print(f"{document.name}: table {name}: {said}")
        if changed and not options.check:
            write_bytes(document, content.encode())
        stale |= bool(changed)
    return int(options.check and stale)


if __name__ == "__main__":
    sys.exit(main())

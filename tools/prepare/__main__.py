"""Convert a source of image pairs to a prepared data set, or check one.

python -m tools.prepare acdc --source ACDC --output data/acdc
python -m tools.prepare check data/acdc
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from common.errors import say_in_one_line

SOURCES = {
    "acdc": "ACDC: cine MRI, end diastole to end systole",
    "camus": "CAMUS: echocardiography, end diastole to end systole",
    "msd": "a task of the Medical Segmentation Decathlon: pairs of subjects",
    "pairs": "a folder or a table of image pairs",
    "cine": "4D NIfTI files: two frames of each",
    "phantom": "synthetic pairs whose displacement and noise are known",
    "check": "list every problem of a prepared data set",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the source that the first argument names; return the exit status."""
    say_in_one_line()
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(
        "python -m tools.prepare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sources = parser.add_subparsers(dest="source_name", required=True, metavar="SOURCE")
    for name, text in SOURCES.items():
        chosen = sources.add_parser(name, help=text, description=text)
        if arguments[:1] == [name]:  # importing one source must not need the packages of the others
            module = importlib.import_module(f".{name}", __package__)
            module.add_arguments(chosen)
            chosen.set_defaults(run=module.run)
    args = parser.parse_args(arguments)
    try:
        return int(args.run(args) or 0)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())

"""``warpsure SUBCOMMAND``: the programs, each of which imports what it needs when it runs."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec

from common import __version__
from common.errors import InputError, say_in_one_line

PROGRAMS = {
    "register": "register two images, on grids of their own",
    "warp": "carry an image, a label map, points or a mesh along a field",
    "cine": "follow a heart through a whole cine",
    "prepare": "make a data set of image pairs, or check one",
    "train-all": "train and evaluate bundles, each with several seeds",
    "search": "search a method's settings for a bundle",
    "compare": "put every method on one page, each evaluated once",
    "baselines": "evaluate a classical registration",
    "benchmark": "measure speed, memory, a band, ...",
    "report": "compare evaluations and trainings on a page",
    "export": "write a bundle's network as TorchScript or ONNX",
    "package": "pack bundles for others, or verify a package",
    "label": "serve bundles to MONAI Label",
    "where": "say where bundles lie",
    "render": "write the repository's bundles from their recipes",
    "ship": "put trained weights into the repository's bundles",
    "tables": "fill the README's tables from the files of results",
}
USAGE = """\
usage: warpsure SUBCOMMAND ...

Deformable registration of medical images that knows where it can be trusted.

{programs}

`warpsure SUBCOMMAND --help` says more of one; `warpsure --version` says which this is."""


def main(arguments: Sequence[str] | None = None) -> int | None:
    """Run the subcommand that the first word names; return its exit status."""
    say_in_one_line()
    first, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if first in ("-h", "--help"):
        print(USAGE.format(programs="\n".join(f"  {name:<11}{what}" for name, what in PROGRAMS.items())))
        return None
    if first == "--version":
        print(f"warpsure {__version__}")
        return None
    return program(first)(rest)


def program(name: str) -> Callable[[list[str]], int | None]:
    """The ``main`` of a subcommand; raise InputError if there is none of that name."""
    if name not in PROGRAMS:
        near = difflib.get_close_matches(name.replace("_", "-"), PROGRAMS, n=1)
        hint = f"; did you mean {near[0]}?" if near else "; `warpsure --help` lists them."
        raise InputError(f"{name}: no such subcommand{hint}")
    module = f"{__package__}.{name.replace('-', '_')}"
    is_package = find_spec(module).submodule_search_locations is not None
    return import_module(f"{module}.__main__" if is_package else module).main


if __name__ == "__main__":
    sys.exit(main())

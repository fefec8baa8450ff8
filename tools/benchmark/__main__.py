"""Run a benchmark: ``python -m tools.benchmark NAME``."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from common.errors import say_in_one_line


def benchmarks() -> dict[str, ModuleType]:
    """Find the benchmarks: the modules beside this file that have ``add_arguments`` and ``run``."""
    names = sorted(info.name for info in pkgutil.iter_modules([str(Path(__file__).parent)]) if info.name[0] != "_")
    modules = {name: importlib.import_module(f"tools.benchmark.{name}") for name in names}
    return {name: module for name, module in modules.items() if hasattr(module, "add_arguments")}


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and run the benchmark that it names."""
    say_in_one_line()
    parser = argparse.ArgumentParser(prog="python -m tools.benchmark", description=__doc__)
    commands = parser.add_subparsers(dest="benchmark", metavar="NAME", required=True)
    found = benchmarks()
    for name, module in found.items():
        line = (module.__doc__ or "").strip().splitlines()[0]
        module.add_arguments(commands.add_parser(name, help=line, description=line))
    args = parser.parse_args(arguments)
    found[args.benchmark].run(args)


if __name__ == "__main__":
    main()

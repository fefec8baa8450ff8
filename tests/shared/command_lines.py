"""Every command line that the programs have, found from the programs themselves."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from functools import cache

from tools.__main__ import PROGRAMS, program


@cache
def parsers() -> dict[str, argparse.ArgumentParser]:
    """Each by the words that it is called with: "prepare acdc", "package verify"."""
    made = [function() for name in PROGRAMS for function in makers(name)]
    return {each.prog.removeprefix("warpsure "): each for parser in made for each in [parser, *parts_of(parser)]}


def makers(name: str) -> list:
    """The functions of a program that make its parser, and those of the subcommands that it tells apart itself."""
    module = sys.modules[program(name).__module__]
    return [value for key, value in vars(module).items() if key == "parser" or key.endswith("_parser")]


def parts_of(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parsers of its subcommands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.values()


def options_of(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """Its options by what is typed, but for ``--help``."""
    return {word: a for a in parser._actions for word in a.option_strings if word not in ("-h", "--help")}

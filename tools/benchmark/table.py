"""The page's tables of speed, in Markdown, from what benchmarks have written by ``--output``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from common.errors import InputError

from .options import METHOD, ROUNDS

RESULTS = Path(__file__).with_name("results")
METHODS = "methods"
Result = dict[str, Any]


def run(args: argparse.Namespace) -> None:
    """Print the tables."""
    for line in tables([read(path) for path in args.files or sorted(RESULTS.glob("*.json"))]):
        print(line)


def read(path: Path) -> Result:
    """What a benchmark has written.

    Raises:
        InputError: for any other file, and for a benchmark of too few rounds to be quoted.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        rounds = found["rounds"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not what `benchmark NAME --output FILE` writes") from error
    if rounds < ROUNDS:
        raise InputError(f"{path}: of {rounds} rounds; nothing is quoted of fewer than {ROUNDS}: measure again")
    return found


def tables(results: Sequence[Result]) -> Iterator[str]:
    """The table of all ratios, that of the methods' steps, and how they were measured."""
    yield from ratios([each for each in results if each["benchmark"] != METHODS])
    for each in (each for each in results if each["benchmark"] == METHODS):
        yield ""
        yield from methods(each)
    yield ""
    yield from conditions(results)


def ratios(results: Sequence[Result]) -> Iterator[str]:
    """A line for each claim: the median, and its spread."""
    yield "| benchmark | what | against | ratio |"
    yield "|---|---|---|---|"
    for result in results:
        for each in result["ratios"].values():
            yield f"| `{result['benchmark']}` | {each['what']} | {each['against']} | {spread(each)} |"


def spread(each: Result) -> str:
    """``3.4 (3.3 to 3.5)``; of what is no time, the one value."""
    middle, low, high = (short(each[key]) for key in ("median", "low", "high"))
    return middle if each["low"] == each["high"] else f"{middle} ({low} to {high})"


def short(value: float) -> str:
    """Two digits, and all of those before the point."""
    return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}" if value >= 0.995 else f"{value:.2f}"


def methods(result: Result) -> Iterator[str]:
    """A column for each method: its step in steps of mean squared error's, and how many times as fast as the peer."""
    found = {name.partition("_")[2].rpartition("_")[0]: each for name, each in result["ratios"].items()}
    own, peer = f"_vs_{METHOD}", "_vs_monai"
    in_steps = {METHOD: 1.0} | {n.removesuffix(own): 1 / v["median"] for n, v in found.items() if n.endswith(own)}
    yield "| | " + " | ".join(in_steps) + " |"
    yield "|---" * (len(in_steps) + 1) + "|"
    yield f"| in steps of {METHOD} | " + " | ".join(f"{value:.2f}" for value in in_steps.values()) + " |"
    if METHOD + peer in found:
        faster = [short(found[name + peer]["median"]) for name in in_steps]
        yield "| times as fast as MONAI's single network | " + " | ".join(faster) + " |"


def conditions(results: Sequence[Result]) -> Iterator[str]:
    """A sentence for all that was measured alike."""
    alike: dict[str, list[str]] = {}
    for each in results:
        alike.setdefault(condition(each), []).append(f"`{each['benchmark']}`")
    for how, names in alike.items():
        yield f"{', '.join(names)}: {how}."


def condition(result: Result) -> str:
    """On what, with what, and when."""
    on, threads = result["machine"], result["threads"]
    place = on.get("gpu") or f"{on['cpu']}, {threads} thread{'s' * (threads > 1)}"
    versions = ", ".join(
        f"{name} {on[key]}" for name, key in (("PyTorch", "torch"), ("MONAI", "monai"), ("NumPy", "numpy"))
    )
    return f"{place}, {result['clock']}, {result['rounds']} rounds, {versions}, {result['date']}"

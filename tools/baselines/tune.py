"""An engine over a grid of settings, and what validation selects.

Every combination is an evaluation in a folder of its own, so that a stopped grid goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from importlib import import_module
from itertools import product
from typing import Any

from common.errors import InputError
from common.options import split_pairs
from tools.campaign.variants import write_variant

from .evaluate import Request, evaluate
from .settings import parse

FIGURES = ("dsc", "hd", "asd")


def combinations(grid: Sequence[str]) -> list[list[str]]:
    """Turn ``KEY=A/B`` texts into the lists of ``KEY=VALUE`` of their product, keys sorted.

    Raises:
        InputError: a text without values, or a key given twice.
    """
    values = {}
    for text in grid:
        key, equals, listed = text.partition("=")
        if not equals or key in values:
            raise InputError(f"--values {text}: write each setting once, as KEY=VALUE/VALUE")
        values[key] = listed.split("/")
    return [[f"{key}={value}" for key, value in zip(sorted(values), each)]
            for each in product(*(values[key] for key in sorted(values)))]  # fmt: skip


def tune(options: argparse.Namespace) -> list[tuple[str, dict[str, Any]]]:
    """Evaluate every combination; return (its name, its metrics.json), the best first.

    Raises:
        InputError: a setting that is none, before anything is run.
    """
    runs = [[*options.override, *each] for each in combinations(options.values)]
    for each in runs:
        parse(import_module(f".{options.name}", __package__).Settings, each)
    named = {write_variant(split_pairs("--override", each)): each for each in runs}
    results = [(name, _result(name, each, options)) for name, each in named.items()]
    return sorted(results, key=lambda result: -result[1]["protocols"][options.select]["dsc"]["mean"])


def _result(name: str, settings: list[str], options: argparse.Namespace) -> dict[str, Any]:
    output = options.output / options.name / name
    if not (output / "metrics.json").is_file():
        given = (options.dataset, "val", output, settings, options.timeout, options.limit)
        evaluate(Request(options.name, *given))
    return json.loads((output / "metrics.json").read_text("utf-8"))


def table(results: list[tuple[str, dict[str, Any]]]) -> str:
    """Write the results as a Markdown table."""
    protocols = ("published", "standard")
    heads = ["settings", *(" ".join((protocol, *FIGURES)) for protocol in protocols), "folding %", "ms", "failed"]
    lines = [heads, ["---"] * len(heads)]
    for name, result in results:
        means = [[result["protocols"][protocol][each]["mean"] for each in FIGURES] for protocol in protocols]
        scores = ["{:.2f} {:.2f} {:.2f}".format(*each) for each in means]
        folding, seconds = result["folding_percent"], result["seconds_per_pair"]
        lines.append([name, *scores, f"{folding:.2f}", f"{1000 * seconds:.0f}", str(result["failed"])])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

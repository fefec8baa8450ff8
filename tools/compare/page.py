"""The page of a comparison, from the report's parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from common.data.prepared import Dataset
from tools.report import drawing, table, words
from tools.report.comparisons import Metric, Test
from tools.report.drawing import Picture
from tools.report.evaluations import Evaluation
from tools.report.page import environment, headings, settings, shared_content, show_call, split_name, unescaped

from .columns import hidden_of, shown_of
from .published import Published

HERE = Path(__file__).parent
FEW = 20  # rows up to which two example pairs are shown


@dataclass(frozen=True)
class Failure:
    """A row's evaluation that did not come about."""

    row: str
    member: str
    reason: str
    log: str = ""

    def __str__(self) -> str:
        return f"{self.row}, {self.member} failed: {self.reason}"


@dataclass(frozen=True)
class Comparison:
    """What a page is made of: a pooled evaluation per row, and the seeds that they are the means of.

    ``groups`` is row -> its heading, ``tests`` those against ``reference``, ``pairs`` the ids asked for.
    """

    evaluations: list[Evaluation]
    seeds: dict[str, list[Evaluation]]
    groups: dict[str, str]
    reference: Evaluation
    tests: dict[Metric, list[Test]]
    dataset: Dataset
    published: Published
    failures: list[Failure] = field(default_factory=list)
    pairs: Sequence[str] = ()
    title: str | None = None
    command: Sequence[str] = ()


def render(comparison: Comparison) -> str:
    """Return the whole HTML page."""
    return environment(HERE).get_template("compare.html").render(_content(comparison))


def _content(comparison: Comparison) -> dict[str, Any]:
    evaluations, first = comparison.evaluations, comparison.evaluations[0]
    _, methods = table.split_undeformed(evaluations)
    shown, hidden = (table.build(evaluations, columns(evaluations)) for columns in (shown_of, hidden_of))
    finding, *ground = words.headline(methods or evaluations, comparison.reference)
    return {
        "title": comparison.title or f"Every method on {first.summary['dataset']}, {split_name(first)} pairs",
        "finding": finding,
        "ground": ground,
        "tiles": words.tiles(methods),
        "bodies": grouped(shown, comparison.groups),
        "headings": headings(shown),
        "hidden": grouped(hidden, comparison.groups),
        "hidden_headings": headings(hidden),
        "count": first.summary["pairs"],
        "glossary": {
            cell.column.term: cell.column.definition
            for cell in (*shown[0].cells, *hidden[0].cells)
            if cell.column.group != "Papers"
        },
        "script": unescaped((HERE / "sort.js").read_text(encoding="utf-8")),
        "tests": comparison.tests,
        "dataset": comparison.dataset,
        "published": comparison.published,
        "failures": comparison.failures,
        "failed_pairs": _failed_pairs(comparison.seeds),
        "command": show_call(comparison.command),
        "settings": {
            f"{row}, {i + 1}" if len(seeds) > 1 else row: settings(each)
            for row, seeds in comparison.seeds.items()
            for i, each in enumerate(seeds)
        },
        "distribution": drawing.distribution_picture(evaluations, comparison.reference),
        "sparsification": drawing.sparsification_picture(methods) if methods else None,
        "pairs": _pair_pictures(comparison, methods),
        "paths": _paths(comparison, methods),
        "without_examples": [each.name for each in methods if not each.examples],
        **shared_content(evaluations, comparison.reference),
    }


def grouped(rows: Sequence[table.Row], groups: Mapping[str, str]) -> list[tuple[str, list[table.Row]]]:
    """Return heading -> rows, in the order of the rows; no registration stands before all."""
    found: dict[str, list[table.Row]] = {}
    for row in rows:
        found.setdefault(groups.get(row.name, "Without a network"), []).append(row)
    return list(found.items())


def _failed_pairs(seeds: Mapping[str, Sequence[Evaluation]]) -> dict[str, int]:
    """Return row -> pairs that it could not register, of the rows that have such."""
    counts = {row: max(each.summary.get("failed") or 0 for each in found) for row, found in seeds.items()}
    return {row: count for row, count in counts.items() if count}


def choose_pairs(methods: Sequence[Evaluation], asked: Sequence[str]) -> list[str]:
    """Return the pairs to show: those asked for, else one or two with labels that most methods kept."""
    if asked:
        return list(asked)
    kept = [{example.id for example in each.examples} for each in methods if each.examples]
    if not kept:
        return []
    count = {pair: sum(pair in ids for ids in kept) for pair in sorted(set.union(*kept))}
    labelled = {pair: bool(np.isfinite(methods[0].values("undeformed/standard/dsc", [pair])[0])) for pair in count}
    ranked = sorted(count, key=lambda pair: (-count[pair], not labelled[pair]))
    return ranked[: 2 if len(methods) <= FEW else 1]


def _paths(comparison: Comparison, methods: Sequence[Evaluation]) -> list[Picture]:
    """Return the first shown pair's continuous deformation by each method that has one."""
    pictures = [
        drawing.path_picture(each, pair)
        for pair in choose_pairs(methods, comparison.pairs)[:1]
        for each in methods
        if pair in {example.id for example in each.examples}
    ]
    return [picture for picture in pictures if picture is not None]


def _pair_pictures(comparison: Comparison, methods: Sequence[Evaluation]) -> list[Picture]:
    """Draw each pair in one figure per architecture, all on one scale."""
    labels = comparison.evaluations[0].summary.get("labels") or ()
    pictures = []
    for number, pair in enumerate(choose_pairs(methods, comparison.pairs)):
        having = [each for each in methods if pair in {example.id for example in each.examples}]
        rows = drawing.pair_rows(having, pair)
        before = float(comparison.reference.values("undeformed/standard/dsc", [pair])[0])
        names = list(dict.fromkeys(comparison.groups[each.name] for each in having))
        for place, name in enumerate(names):
            of_group = [row for row in rows if comparison.groups[row.name] == name]
            picture = drawing.draw_pair(of_group, pair, f"pair{number}-{place}", labels, before, rows)
            pictures.append(Picture(picture.svg, picture.alt, f"{picture.caption}: {name}"))
    return pictures

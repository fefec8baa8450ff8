"""The page: everything put into the template."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import jinja2

from common.data.prepared import Dataset

from . import drawing, table, words
from .columns import MAIN, MILLIMETRES
from .comparisons import all_tests, choose_reference, show_effect, show_p
from .drawing import Picture
from .evaluations import Evaluation
from .runs import Run

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Report:
    """What a report is made of; ``command`` is the call that makes it, as a list of arguments."""

    evaluations: list[Evaluation]
    runs: list[Run] = field(default_factory=list)
    dataset: Dataset | None = None
    title: str | None = None
    reference: str | None = None
    command: list[str] = field(default_factory=list)


def render(report: Report) -> str:
    """Return the whole HTML page; the same inputs give the same bytes.

    Raises:
        InputError: the reference is not among the evaluations.
    """
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE), autoescape=True, trim_blocks=True,
                                     lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    return environment.get_template("template.html").render(_content(report))


def _content(report: Report) -> dict[str, Any]:
    evaluations = report.evaluations
    first, reference = evaluations[0], choose_reference(evaluations, report.reference)
    rows = table.build(evaluations)
    finding, *ground = words.headline(evaluations, reference)
    return {
        "title": report.title or f"Registration of {first.summary['dataset']}, {first.summary['split']} split",
        "finding": finding,
        "ground": ground,
        "tiles": words.tiles(evaluations),
        "style": jinja2.utils.markupsafe.Markup((HERE / "style.css").read_text(encoding="utf-8")),
        "rows": rows,
        "groups": _groups(rows),
        "millimetres": table.build(evaluations, MILLIMETRES),
        "glossary": [column for column in MAIN if column.key in {cell.column.key for cell in rows[0].cells}],
        "evaluations": evaluations,
        "reference": reference,
        "tests": all_tests(evaluations, reference),
        "show_p": show_p,
        "effect": show_effect,
        "interval": words.interval,
        "colours": {name: look.colour for name, look in drawing.looks(evaluations).items()},
        "dataset": report.dataset,
        "command": _command(report.command),
        "bundle_commands": [(each.name, str(each.summary["command"])) for each in evaluations
                            if each.summary.get("command")],
        "settings": {each.name: _settings(each) for each in evaluations},
        **_pictures(report, reference),
    }


def _pictures(report: Report, reference: Evaluation) -> dict[str, Any]:
    having, ids = drawing.shared_examples(report.evaluations)
    labels = report.dataset.evaluated_labels if report.dataset is not None else ()
    return {
        "pairs": [drawing.pair_picture(having, pair, i, labels) for i, pair in enumerate(ids)],
        "without_examples": [each.name for each in report.evaluations if not each.examples],
        "distribution": drawing.distribution_picture(report.evaluations, reference),
        "sparsification": drawing.sparsification_picture(report.evaluations),
        "truths": [picture for i, pair in enumerate(ids[: drawing.TRUTH_PAIRS])
                   for picture in drawing.truth_pictures(having, pair, i)],
        "training": drawing.training_pictures(report.runs),
        "svg": _svg,
    }


def _svg(picture: Picture) -> str:
    """Hand an SVG of our own figures to the template unescaped."""
    return jinja2.utils.markupsafe.Markup(picture.svg)


def _groups(rows: Sequence[table.Row]) -> list[tuple[str, int]]:
    """Return the headings above the columns, with the number of columns below each."""
    return [(name, len(list(members))) for name, members in groupby(cell.column.group for cell in rows[0].cells)]


def _command(arguments: Sequence[str]) -> str:
    """Return the call, an option a line."""
    return shlex.join(arguments).replace(" --", " \\\n  --")


def _settings(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Return what metrics.json says beside its numbers, and what tells this evaluation apart."""
    numbers = {"protocols", "undeformed", "not_computed", "truth", "command", "pairs"}
    plain = {key: each for key, each in evaluation.summary.items()
             if key not in numbers and (key,) not in {column.path for column in MAIN}
             and not (isinstance(each, dict) and "mean" in each)}
    shown = [(key, each if isinstance(each, str) else json.dumps(each)) for key, each in plain.items()]
    return [*shown, ("folder", str(evaluation.folder)), ("SHA-256 of metrics.csv", f"{evaluation.fingerprint}…")]

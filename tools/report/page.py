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
from tools.campaign.launching import config

from . import drawing, table, words
from .columns import FURTHER
from .comparisons import all_tests, choose_reference, show_effect, show_p
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
    return environment().get_template("report.html").render(_content(report))


def environment(*folders: Path) -> jinja2.Environment:
    """Return what renders the templates of ``folders`` and the report's own."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, HERE]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def unescaped(text: str) -> str:
    """Hand our own SVG, style or script to a template as it is."""
    return jinja2.utils.markupsafe.Markup(text)


def shared_content(evaluations: Sequence[Evaluation], reference: Evaluation) -> dict[str, Any]:
    """Return what the macros and every page need, whatever else it shows."""
    return {
        "style": unescaped((HERE / "style.css").read_text(encoding="utf-8")),
        "evaluations": evaluations,
        "reference": reference,
        "maps": {example.uncertainty_name for each in evaluations for example in each.examples},
        "label_sparsification": drawing.label_sparsification_picture(table.split_undeformed(evaluations)[1]),
        "ranked_by": drawing.ranked_by(evaluations),
        "show_p": show_p,
        "effect": show_effect,
        "interval": words.interval,
        "colours": {name: look.colour for name, look in drawing.looks(evaluations).items()},
        "svg": lambda picture: unescaped(picture.svg),
    }


def _content(report: Report) -> dict[str, Any]:
    evaluations = report.evaluations
    first, reference = evaluations[0], choose_reference(evaluations, report.reference)
    rows, further = table.build(evaluations), table.build(evaluations, FURTHER)
    finding, *ground = words.headline(evaluations, reference)
    return {
        "title": report.title or f"Registration of {first.summary['dataset']}, {split_name(first)} pairs",
        "finding": finding,
        "ground": ground,
        "tiles": words.tiles(evaluations),
        "rows": rows,
        "groups": headings(rows),
        "further": further,
        "further_groups": headings(further),
        "glossary": {cell.column.term: cell.column.definition for cell in (*rows[0].cells, *further[0].cells)},
        "tests": all_tests(evaluations, reference),
        "dataset": report.dataset,
        "commands": "\n".join([*(_evaluate(each, report.dataset) for each in evaluations), show_call(report.command)]),
        "settings": {each.name: settings(each) for each in evaluations},
        **shared_content(evaluations, reference),
        **_pictures(report, reference),
    }


def _pictures(report: Report, reference: Evaluation) -> dict[str, Any]:
    having, ids = drawing.shared_examples(report.evaluations)
    labels = report.evaluations[0].summary.get("labels") or ()
    paths = (drawing.path_picture(each, pair) for pair in ids[:1] for each in having)
    return {
        "paths": [picture for picture in paths if picture is not None],
        "pairs": [drawing.pair_picture(having, pair, i, labels) for i, pair in enumerate(ids)],
        "without_examples": [each.name for each in report.evaluations if not each.examples],
        "distribution": drawing.distribution_picture(report.evaluations, reference),
        "sparsification": drawing.sparsification_picture(report.evaluations),
        "truths": [
            picture
            for i, pair in enumerate(ids[: drawing.TRUTH_PAIRS])
            for picture in drawing.truth_pictures(having, pair, i)
        ],
        "training": drawing.training_pictures(report.runs, drawing.looks(report.evaluations)),
    }


def split_name(evaluation: Evaluation) -> str:
    """Return the split in words."""
    split = str(evaluation.summary["split"])
    return {"val": "validation", "train": "training"}.get(split, split)


def headings(rows: Sequence[table.Row]) -> list[tuple[str, int]]:
    """Return the headings above the columns, with the number of columns below each."""
    return [(name, len(list(members))) for name, members in groupby(cell.column.group for cell in rows[0].cells)]


def _evaluate(evaluation: Evaluation, dataset: Dataset | None) -> str:
    """Return the call that makes an evaluation's folder."""
    members = [each["checkpoint"] for each in evaluation.summary.get("members") or ()]
    file = config(evaluation.summary["bundle"], f"{'ensemble_' * bool(members)}evaluate.yaml")
    here = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
    overrides = {
        "dataset_dir": str(dataset.root) if dataset is not None else "DATASET",
        "split": str(evaluation.summary["split"]),
        "output_dir": str(evaluation.folder),
        "checkpoint": evaluation.summary.get("checkpoint"),
        "members": json.dumps(members) if members else None,
        "spatial_dims": "3" if dataset is not None and dataset.spatial_dims == 3 else None,
    }
    overrides |= _asked(evaluation.folder)
    given = [part for key, each in overrides.items() if each is not None for part in (f"--{key}", str(each))]
    return shlex.join(["python", "-m", "monai.bundle", "run", "evaluation", "--config_file", str(here), *given])


def _asked(folder: Path) -> dict[str, str]:
    """Return the overrides that an evaluation was asked for with, where its folder tells; not an ensemble's kind."""
    path = folder / "overrides.json"
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return {key: each for key, each in content.items() if key != "kind"}


def show_call(arguments: Sequence[str]) -> str:
    """Return a call, an option a line."""
    return shlex.join(arguments).replace(" --", " \\\n  --")


def settings(evaluation: Evaluation) -> dict[str, str]:
    """Return what tells this evaluation apart from another of the same bundle."""
    told = {key: evaluation.summary.get(key) for key in ("bundle", "checkpoint", "checkpoint_sha256", "labels")}
    if members := evaluation.summary.get("members"):
        told["members"] = ", ".join(each["checkpoint"] for each in members)
        told["SHA-256 of the members"] = ", ".join(f"{each['checkpoint_sha256'][:12]}…" for each in members)
    told |= _asked(evaluation.folder)
    shown = {key: each if isinstance(each, str) else json.dumps(each) for key, each in told.items() if each is not None}
    if weights := shown.pop("checkpoint_sha256", ""):
        shown["its SHA-256"] = f"{weights[:12]}…"
    return {**shown, "folder": str(evaluation.folder), "SHA-256 of metrics.csv": f"{evaluation.fingerprint}…"}

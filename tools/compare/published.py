"""The papers' numbers, of the data set that is compared on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan
from pathlib import Path
from typing import Any

import yaml

from common.data.prepared import Dataset
from tools.report.columns import FURTHER as ALSO
from tools.report.columns import MAIN, Column, value
from tools.report.evaluations import Evaluation

NUMBERS = Path(__file__).parent / "published.yaml"
METRICS = ("dsc", "hd", "asd")
FURTHER = ("ause", "folding_percent")
COLUMN = {column.key: column for column in (*MAIN, *ALSO)}


@dataclass(frozen=True)
class Paper:
    """What one source prints of one row, by the published protocol."""

    row: str
    source: str
    dsc: float
    hd: float
    asd: float


@dataclass(frozen=True)
class Published:
    """What is printed of one data set: of which patients, and row -> its papers, the one to be held against first.

    ``further`` is metric -> row -> number: AUSE and folding, of the few rows that they are printed of. ``table`` is
    row -> column -> number, of a paper with other columns (``table_source``); both are in the units of metrics.json.
    """

    patients: str = ""
    rows: dict[str, list[Paper]] = field(default_factory=dict)
    further: dict[str, dict[str, float]] = field(default_factory=dict)
    table: dict[str, dict[str, float]] = field(default_factory=dict)
    table_source: str = ""

    @property
    def columns(self) -> list[Column]:
        """The columns of ``table``."""
        return [COLUMN[key] for key in next(iter(self.table.values()), {})]

    def source(self, row: str) -> str:
        """Return where the numbers of a row stand."""
        papers = self.of(row)
        return papers[0].source if papers else self.table_source if row in self.table else ""

    def of(self, row: str) -> list[Paper]:
        """Return what is printed of a bundle or baseline."""
        return self.rows.get(row, [])


def published_for(dataset: Dataset) -> Published:
    """Return the numbers for a data set, by its name and dimensions: volumes have none of those of pairs in 2D."""
    content = yaml.safe_load(NUMBERS.read_text(encoding="utf-8"))
    words = re.findall(r"[A-Z0-9]+", dataset.name.upper())
    found = next((each for name, each in content["datasets"].items() if name.upper() in words), None)
    if found is None or dataset.spatial_dims != found.get("spatial_dims", 2):
        return Published()
    if "table" in found:
        table = {row: dict(zip(found["columns"], numbers, strict=True)) for row, numbers in found["table"].items()}
        return Published(found["patients"], table=table, table_source=content["sources"][found["source"]])
    rows = {
        row: [Paper(row, content["sources"][source], *numbers) for source, numbers in sources.items()]
        for row, sources in found["rows"].items()
    }
    return Published(found["patients"], rows, {metric: found.get(metric, {}) for metric in FURTHER})


def beside(evaluation: Evaluation, published: Published) -> dict[str, dict[str, Any]]:
    """Return what a summary says of the papers: per metric their number, and ours minus theirs."""
    papers = published.of(evaluation.summary["row"])
    told: dict[str, dict[str, Any]] = {}
    for metric in METRICS if papers else ():
        theirs = getattr(papers[0], metric)
        difference = value(evaluation.summary, ("protocols", "published", metric)).mean - theirs
        note = "" if isnan(difference) else f"Δ {difference:+.2f}".replace("-", "−")
        told[metric] = {"mean": theirs, "note": note}
        told[f"{metric}_difference"] = {"mean": difference}
    return told


def notes(evaluation: Evaluation, published: Published) -> dict[tuple[str, ...], str]:
    """Return what stands below our numbers: path in metrics.json -> the paper's number, in the column's unit."""
    row = evaluation.summary["row"]
    further = {metric: numbers[row] for metric, numbers in published.further.items() if row in numbers}
    found = {COLUMN[key]: number for key, number in (further | published.table.get(row, {})).items()}
    return {column.path: f"paper {column.show(column.scale * number)}" for column, number in found.items()}


def with_note(summary: Mapping[str, Any], path: Sequence[str], note: str) -> dict[str, Any]:
    """Return a summary with a note at one number that it has; as it is where it has none."""
    node = summary.get(path[0])
    if len(path) > 1:
        return {**summary, path[0]: with_note(node, path[1:], note)} if isinstance(node, Mapping) else dict(summary)
    known = value(summary, path)
    noted = {"mean": known.mean, "sd": known.sd, "n": known.n, "note": note}
    return {**summary, path[0]: noted} if known else {**summary}

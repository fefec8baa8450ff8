"""The papers' numbers, of the data set that is compared on."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import isnan
from pathlib import Path
from typing import Any

import yaml

from common.data.prepared import Dataset
from tools.report.columns import value
from tools.report.evaluations import Evaluation

NUMBERS = Path(__file__).parent / "published.yaml"
METRICS = ("dsc", "hd", "asd")
FURTHER = {"ause": (1e4, 2), "folding_percent": (1.0, 2)}  # how their columns scale and round them


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

    ``further`` is metric -> row -> number: AUSE and folding, of the few rows that they are printed of.
    """

    patients: str = ""
    rows: dict[str, list[Paper]] = field(default_factory=dict)
    further: dict[str, dict[str, float]] = field(default_factory=dict)

    def of(self, row: str) -> list[Paper]:
        """Return what is printed of a bundle or baseline."""
        return self.rows.get(row, [])


def published_for(dataset: Dataset) -> Published:
    """Return the numbers for a data set, by its name; the papers' are of pairs in 2D, so a volume has none."""
    content = yaml.safe_load(NUMBERS.read_text(encoding="utf-8"))
    words = re.findall(r"[A-Z0-9]+", dataset.name.upper())
    found = next((each for name, each in content["datasets"].items() if name.upper() in words), None)
    if found is None or dataset.spatial_dims != 2:
        return Published()
    rows = {row: [Paper(row, content["sources"][source], *numbers) for source, numbers in sources.items()]
            for row, sources in found["rows"].items()}
    return Published(found["patients"], rows, {metric: found.get(metric, {}) for metric in FURTHER})


def beside(evaluation: Evaluation, published: Published) -> dict[str, dict[str, Any]]:
    """Return what a summary says of the papers: per metric their number, and ours minus theirs."""
    papers = published.of(evaluation.summary["bundle"])
    told: dict[str, dict[str, Any]] = {}
    for metric in METRICS if papers else ():
        theirs = getattr(papers[0], metric)
        difference = value(evaluation.summary, ("protocols", "published", metric)).mean - theirs
        note = "" if isnan(difference) else f"Δ {difference:+.2f}".replace("-", "−")
        told[metric] = {"mean": theirs, "note": note}
        told[f"{metric}_difference"] = {"mean": difference}
    return told


def notes(evaluation: Evaluation, published: Published) -> dict[str, str]:
    """Return what stands below our AUSE and folding: the papers' number, in the column's unit."""
    bundle, told = evaluation.summary["bundle"], {}
    for metric, (scale, decimals) in FURTHER.items():
        if (number := published.further.get(metric, {}).get(bundle)) is not None:
            told[metric] = f"paper {scale * number:.{decimals}f}"
    return told

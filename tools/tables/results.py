"""What the networks and the classical methods reach on one data set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import yaml

from ..recipes.shipped import RECIPES
from .cells import NONE, Row, at, head, line, mean, spread
from .rows import check_alike, classical, trained

PUBLISHED = RECIPES.parent / "compare" / "published.yaml"
Column = tuple[str, str, Callable[[Any], str]]  # its head, where a file holds it, how it is written

MAPS: tuple[Column, ...] = (
    ("AUROC, image", "error_auroc", mean),
    ("AUROC, borders", "error_auroc_band", mean),
)
ANYWHERE: tuple[Column, ...] = (  # in slices and in volumes
    ("folding %", "folding_percent", partial(mean, digits=3)),
    ("AUSE, 10⁻⁴", "ause", partial(spread, scale=1e4)),
    *MAPS,
)
FIELDS: tuple[Column, ...] = (
    ("HD px", "published/hd", spread),
    ("ASD px", "published/asd", spread),
    ("DSC %, standard", "standard/dsc", spread),
    ("HD95 px, standard", "standard/hd95", spread),
    *ANYWHERE,
)
VOLUMES: tuple[Column, ...] = (
    ("HD95 mm", "standard/hd95_mm", spread),
    ("ASD mm", "standard/asd_mm", spread),
    *ANYWHERE,
)
CURVES = {"ERR": "err", "MR": "mr", "FDR": "fdr"}


def without_labels(dataset: str) -> Iterator[str]:
    """A line for no registration, for each classical method and for each bundle; nothing if no bundle was measured."""
    if not (networks := trained(dataset)):
        return
    classics, papers = classical(dataset), printed(dataset)
    check_alike([*networks, *classics])
    yield from head(["", "seeds", "DSC %", "paper", *(column for column, _, _ in FIELDS)])
    still = unregistered(networks[0].row)
    for name, row in [("no registration", still), *classics, *networks]:
        paper = papers.get("undeformed" if row is still else name.split()[0])
        yield line([name, seeds(row), spread(at(row, "published/dsc")), two(paper), *cells(row)])


def volumes(dataset: str) -> Iterator[str]:
    """A line for no registration, for each bundle, and for each published method; nothing if no bundle was measured."""
    if not (networks := trained(dataset)):
        return
    check_alike(networks)
    papers = _published(dataset).get("dice", {})
    yield from head(["", "seeds", "DSC %", "published", *(column for column, _, _ in VOLUMES)])
    still = unregistered(networks[0].row)
    for name, row in [("no registration", still), *networks]:
        paper = papers.pop("undeformed" if row is still else name.split()[0], None)
        yield line([name, seeds(row), spread(at(row, "standard/dsc")), two(paper), *cells(row, VOLUMES)])
    for name, paper in papers.items():
        yield line([name, NONE, NONE, two(paper), *[NONE] * len(VOLUMES)])


def unregistered(row: Row) -> Row:
    """The means without registration; their deviations are over pairs, not over seeds."""
    groups = row["undeformed"].items()
    return {group: {key: {"mean": value["mean"]} for key, value in values.items()} for group, values in groups}


def cells(row: Row, columns: tuple[Column, ...] = FIELDS) -> list[str]:
    """The columns beside Dice; the residual that labels are learned beside is another, so its AUSE is left out."""
    known = {key: value for key, value in row.items() if key != "ause" or "label" not in row}
    return [show(at(known, path)) for _, path, show in columns]


def with_labels(dataset: str) -> Iterator[str]:
    """A line for each bundle of networks that carry labels over; nothing if none was measured."""
    if not (networks := trained(dataset)):
        return
    check_alike(networks)
    papers = printed_columns(dataset)
    curves = [text for name in CURVES for text in (f"AUSE {name}, 10⁻³", "paper")]
    yield from head(["", "seeds", "steps", "Dice %", "paper", *curves, *(column for column, _, _ in MAPS)])
    for name, row in networks:
        paper = papers.get(name.split()[0], {})
        shown = [spread(at(row, "label/dsc")), two(paper.get("label/dsc"))]
        for curve in CURVES.values():
            theirs = paper.get(f"label/ause_{curve}")
            ours = spread(at(row, f"label_sparsification/{curve}"), scale=1e3)
            shown += [ours, NONE if theirs is None else f"{1e3 * theirs:g}"]
        yield line([name, seeds(row), steps(row), *shown, *(show(at(row, path)) for _, path, show in MAPS)])


def seeds(row: Row) -> str:
    """How many trainings the figures are over."""
    return str(len(row["seeds"])) if "seeds" in row else NONE


def steps(row: Row) -> str:
    """Of a training, where its settings say how many."""
    settings = row["weights"]["settings"]
    pairs = settings.get("pairs_per_epoch")
    epochs = row["weights"].get("stopped_after_epoch", settings["max_epochs"])
    return str(epochs * -(-pairs // settings["batch_size"])) if pairs else NONE


def two(number: float | None) -> str:
    """A number that a paper prints."""
    return NONE if number is None else f"{number:.2f}"


def printed(dataset: str) -> dict[str, float]:
    """The Dice that papers print on a data set, by row; of several papers the first."""
    rows = _published(dataset).get("rows", {})
    return {row: next(iter(sources.values()))[0] for row, sources in rows.items()}


def printed_columns(dataset: str) -> dict[str, dict[str, float]]:
    """What a paper with columns of its own prints on a data set: row -> column -> number."""
    found = _published(dataset)
    return {row: dict(zip(found["columns"], numbers, strict=True)) for row, numbers in found.get("table", {}).items()}


def _published(dataset: str) -> dict[str, Any]:
    return yaml.safe_load(PUBLISHED.read_text("utf-8"))["datasets"].get(dataset, {})

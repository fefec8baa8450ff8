"""What was tried for the recipe: Dice at the same epochs of schedules of the same length."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from statistics import mean

from ..recipes import shipped
from .cells import NONE, head, line

SHARED = "max_epochs=72"
EPOCHS = ("24", "36")
PROTOCOLS = ("published", "standard")


def table() -> Iterator[str]:
    """A line for each change of one setting: the seeds that had come so far, and their mean."""
    path = shipped.RECIPES / "results" / "search" / "vxm_mse.csv"
    if not path.is_file():
        return
    rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8"))))
    yield from head(("setting", *(f"epoch {epoch}: {what}" for epoch in EPOCHS for what in ("seeds", *PROTOCOLS))))
    for variant in sorted({row["variant"] for row in rows if SHARED in row["variant"]}, key=len):
        settings = [each for each in variant.split(",") if each != SHARED]
        cells = [cell for epoch in EPOCHS for cell in at_epoch(rows, variant, epoch)]
        yield line([f"`{settings[0]}`" if settings else "as it is, without augmentation", *cells])


def at_epoch(rows: list[dict[str, str]], variant: str, epoch: str) -> list[str]:
    """How many seeds of a variant have an epoch, and their mean Dice by either protocol."""
    found = [row for row in rows if (row["variant"], row["epoch"]) == (variant, epoch)]
    values = [f"{mean(float(row[protocol]) for row in found):.2f}" if found else NONE for protocol in PROTOCOLS]
    return [str(len(found)), *values]

"""What was tried for the recipe: Dice at the same epochs of schedules of the same length."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from ..recipes import shipped
from .cells import NONE, head, line

SHARED = "max_epochs=72"
EPOCHS, SEED = ("24", "36"), "0"
PROTOCOLS = ("published", "standard")


def table() -> Iterator[str]:
    """A line for each change of one setting, of the one seed that all of them have."""
    path = shipped.RECIPES / "results" / "search" / "vxm_mse.csv"
    if not path.is_file():
        return
    rows = [row for row in csv.DictReader(io.StringIO(path.read_text("utf-8"))) if row["seed"] == SEED]
    yield from head(("setting", *(f"epoch {epoch}: {what}" for epoch in EPOCHS for what in PROTOCOLS)))
    for variant in sorted(
        {row["variant"] for row in rows if SHARED in row["variant"]}, key=lambda variant: (len(variant), variant)
    ):
        settings = [each for each in variant.split(",") if each != SHARED]
        cells = [cell for epoch in EPOCHS for cell in at_epoch(rows, variant, epoch)]
        yield line([f"`{settings[0]}`" if settings else "as it is, without augmentation", *cells])


def at_epoch(rows: list[dict[str, str]], variant: str, epoch: str) -> list[str]:
    """The Dice of a variant at an epoch by either protocol."""
    found = next((row for row in rows if (row["variant"], row["epoch"]) == (variant, epoch)), None)
    return [f"{float(found[protocol]):.2f}" if found else NONE for protocol in PROTOCOLS]

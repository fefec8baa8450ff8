"""How far runs are, as a table, read from their folders alone."""

from __future__ import annotations

import csv
import io
import shutil
import sys
import threading
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import yaml

from common.files import write_bytes

from .launching import config
from .runs import Run, find, score, state
from .variants import as_text

SECONDS = 2.0  # from one drawing to the next
FIRST = ("running", "failed", "waiting", "done")  # where the screen does not hold all


class Progress(NamedTuple):
    """How far a run is; the fields are the table's columns, as text."""

    bundle: str
    variant: str
    seed: str
    epoch: str
    dsc: str
    state: str


def progress(run: Run, output: Path, split: str = "val") -> Progress:
    """Read how far a run is: its epochs, and its published Dice on the validation pairs so far, or as evaluated."""
    rows, found = _log(run.folder(output) / "train" / "log.csv"), score(run, output, split=split)
    so_far = [value for row in rows if (value := row.get("val/published/dsc"))] or [""]
    dsc = float(so_far[-1] or "nan") if found is None else found
    epoch = f"{rows[-1]['epoch'] if rows else 0}/{run.overrides.get('max_epochs', max_epochs(run.bundle))}"
    shown = "-" if dsc != dsc else f"{dsc:.2f}"
    return Progress(run.bundle, run.variant, str(run.seed), epoch, shown, state(run, output, split))


def _log(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@lru_cache
def max_epochs(bundle: str) -> str:
    """The epochs that a bundle trains for by itself; ? if there is no such bundle any more."""
    file = config(bundle, "train.yaml")
    return yaml.safe_load(file.read_text("utf-8"))["max_epochs"] if file.is_file() else "?"


def table(runs: list[Run], output: Path, split: str = "val", height: int | None = None) -> list[str]:
    """The lines of the table, a summary last; of more runs than fit into ``height`` lines, those that matter most."""
    rows = [progress(run, output, split) for run in runs]
    counts = Counter(row.state for row in rows)
    room = len(rows) if height is None else max(height - 2, 0)
    kept = {id(row) for row in sorted(rows, key=lambda row: FIRST.index(row.state))[:room]}
    cells = [Progress._fields, *(row for row in rows if id(row) in kept)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells]
    return [*lines, ", ".join(f"{counts[name]} {name}" for name in reversed(FIRST))]


def write_table(output: Path) -> None:
    """Write search.csv: every run in the output folder, with a column for each setting."""
    runs, text = find(output), io.StringIO()
    names = sorted({key for run in runs for key in run.overrides})
    rows = csv.DictWriter(text, ["bundle", "seed", "state", "published", "standard", *names], lineterminator="\n")
    rows.writeheader()
    for run in runs:
        about = {"bundle": run.bundle, "seed": run.seed, "state": state(run, output)}
        scores = {protocol: score(run, output, protocol) for protocol in ("published", "standard")}
        rows.writerow(about | scores | {key: as_text(value) for key, value in run.overrides.items()})
    write_bytes(output / "search.csv", text.getvalue().encode())


class Screen:
    """Keep the table of ``runs`` on the terminal while the block runs, if ``shown``."""

    def __init__(self, runs: list[Run], output: Path, split: str, shown: bool) -> None:
        self.runs, self.output, self.split, self.shown = runs, output, split, shown
        self.drawn, self.over, self.thread = 0, threading.Event(), threading.Thread(target=self._keep, daemon=True)

    def __enter__(self) -> Screen:
        if self.shown:
            self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        if self.shown:
            self.thread.join()
            self.draw()

    def _keep(self) -> None:
        while not self.over.is_set():
            self.draw()
            self.over.wait(SECONDS)

    def draw(self) -> None:
        """Write the table over the one drawn before."""
        width, height = shutil.get_terminal_size()
        lines = table(self.runs, self.output, self.split, height - 1)
        back = f"\x1b[{self.drawn}F\x1b[J" if self.drawn else ""
        sys.stdout.write(back + "".join(line[: width - 1] + "\n" for line in lines))
        sys.stdout.flush()
        self.drawn = len(lines)

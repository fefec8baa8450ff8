"""The log of a run as a table: one row an epoch, one column a metric."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from ignite.engine import Engine, Events

from ..errors import InputError
from ..files import write_bytes
from ..parallel import rank


class CsvLog:
    """Write epoch, phase and everything in ``state.metrics`` to ``path``, the whole table at once.

    A resumed run replaces the rows that it repeats.

    Args:
        path: the CSV file.

    Raises:
        InputError: at the start, for a file of something else.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def attach(self, engine: Engine) -> None:
        """Follow ``engine``."""
        if rank() == 0:
            engine.add_event_handler(Events.STARTED, self._read)
            engine.add_event_handler(Events.EPOCH_COMPLETED, self._write)

    def _write(self, engine: Engine) -> None:
        epoch = engine.state.epoch
        rows = [row for row in self._read() if int(row["epoch"]) < epoch]
        rows.append({"epoch": epoch, "phase": engine.phase.name, **engine.state.metrics})
        text = io.StringIO()
        writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_bytes(self.path, text.getvalue().encode())

    def _read(self) -> list[dict[str, str]]:
        if not self.path.is_file():
            return []
        try:
            with self.path.open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            if all(None not in row and int(row["epoch"]) > 0 for row in rows):
                return rows
        except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
            raise self._foreign() from error
        raise self._foreign()

    def _foreign(self) -> InputError:
        return InputError(f"{self.path}: not the log of a training; move it elsewhere, or give another --output_dir.")

"""One progress bar for the whole run."""

from __future__ import annotations

import sys

from ignite.engine import Engine, Events
from tqdm import tqdm

from ..parallel import rank


class Progress:
    """Show steps, epoch and phase on a terminal; a log file has the lines of `EpochLines`."""

    def attach(self, engine: Engine) -> None:
        """Follow ``engine``."""
        if rank() == 0:
            engine.add_event_handler(Events.EPOCH_STARTED, self._open)
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._advance)
            engine.add_event_handler(Events.COMPLETED, self._close)
            engine.add_event_handler(Events.TERMINATE, self._close)
            engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)
            self.bar: tqdm | None = None

    def _open(self, engine: Engine) -> None:
        state = engine.state
        if self.bar is None:
            total = state.max_epochs * state.epoch_length
            self.bar = tqdm(total=total, initial=state.iteration, unit="step", disable=not sys.stderr.isatty())
        self.bar.set_description(f"epoch {state.epoch}/{state.max_epochs} {engine.phase.name}")

    def _advance(self, engine: Engine) -> None:
        self.bar.update()

    def _fail(self, engine: Engine, error: BaseException) -> None:
        self._close(engine)  # so that the message has a line of its own
        raise error

    def _close(self, engine: Engine) -> None:
        if self.bar is not None:
            self.bar.close()

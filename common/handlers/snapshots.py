"""Weights at the end of each cycle of a cyclic learning rate: the members of a snapshot ensemble."""

from __future__ import annotations

import math
from pathlib import Path

from ignite.engine import Engine, Events
from torch import nn

from ..errors import InputError
from ..io.weights import save_weights
from ..parallel import rank


class Snapshots:
    """Save ``network`` when a cycle ends (predictive, section 3.2.3; Huang et al., ICLR 2017).

    The files are called snapshot_01.pt and on, so that their names sort as they were written. A run that goes on
    writes what it repeats once more, the same; attached behind the checkpoint, it also writes what a run has missed
    that was stopped between its checkpoint and its snapshot. A last cycle that is cut short leaves none.

    Args:
        path_folder: where the files go.
        network: what is saved, a ``RegistrationNetwork``.
        cycle_epochs: epochs from one start of the learning rate to the next.
    """

    def __init__(self, path_folder: str | Path, network: nn.Module, cycle_epochs: int) -> None:
        self.path_folder, self.network, self.cycle_epochs = Path(path_folder), network, cycle_epochs

    def attach(self, engine: Engine) -> None:
        """Follow ``engine``, on the process that writes."""
        if rank() == 0:
            engine.add_event_handler(Events.STARTED, self._catch_up)
            engine.add_event_handler(Events.EPOCH_COMPLETED, self._write)

    def _catch_up(self, engine: Engine) -> None:
        if engine.state.epoch and not self._file(engine).is_file():
            self._write(engine)

    def _write(self, engine: Engine) -> None:
        if engine.state.epoch % self.cycle_epochs == 0:
            save_weights(self.network, self._file(engine))

    def _file(self, engine: Engine) -> Path:
        width = max(2, len(str(engine.state.max_epochs // self.cycle_epochs)))
        return self.path_folder / f"snapshot_{engine.state.epoch // self.cycle_epochs:0{width}}.pt"


def cycle_epochs(max_epochs: int, cycles: int) -> int:
    """Epochs of a cycle: ceil(T / M) (predictive, Eq. 8).

    Rounding up may leave fewer cycles than asked for: 25 epochs hold 12 of the 2 epochs that 20 cycles would need.

    Raises:
        InputError: for more cycles than epochs, or none.
    """
    if isinstance(cycles, bool) or not isinstance(cycles, int) or not 1 <= cycles <= max_epochs:
        raise InputError(f"cycles is {cycles!r} but max_epochs is {max_epochs}; give 1 to {max_epochs} cycles.")
    return math.ceil(max_epochs / cycles)

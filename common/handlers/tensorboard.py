"""Every metric of an epoch to TensorBoard."""

from __future__ import annotations

from ignite.engine import Engine, Events
from torch.utils.tensorboard import SummaryWriter

from ..errors import InputError
from ..parallel import rank


class TensorBoardLog:
    """Write ``state.metrics`` after each epoch; a resumed run replaces the epochs that it repeats.

    MONAI's TensorBoardStatsHandler would open its file when the config is read, before anything is checked.

    Args:
        log_dir: the folder that TensorBoard reads.
    """

    def __init__(self, log_dir: str) -> None:
        self.log_dir, self.writer = log_dir, None

    def attach(self, engine: Engine) -> None:
        """Follow ``engine``, on the process that writes."""
        if rank() == 0:
            engine.add_event_handler(Events.EPOCH_COMPLETED, self._write)
            engine.add_event_handler(Events.COMPLETED, self._close)

    def _write(self, engine: Engine) -> None:
        epoch = engine.state.epoch
        try:
            if self.writer is None:
                self.writer = SummaryWriter(self.log_dir, purge_step=epoch)
            for name, value in engine.state.metrics.items():
                self.writer.add_scalar(name, value, epoch)
            self.writer.flush()
        except OSError as error:
            raise InputError(f"{self.log_dir}: cannot be written ({error.strerror or error}).") from error

    def _close(self, engine: Engine) -> None:
        if self.writer is not None:
            self.writer.close()

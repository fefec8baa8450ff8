"""Every metric of an epoch to TensorBoard."""

from __future__ import annotations

from ignite.engine import Engine
from monai.handlers import TensorBoardStatsHandler

from ..parallel import rank


class TensorBoardLog(TensorBoardStatsHandler):
    """Write ``state.metrics`` after each epoch.

    Args:
        log_dir: the folder that TensorBoard reads.
    """

    def __init__(self, log_dir: str) -> None:
        if rank() == 0:
            super().__init__(log_dir=log_dir, iteration_log=False)

    def attach(self, engine: Engine) -> None:
        """Follow ``engine``, on the process that writes."""
        if rank() == 0:
            super().attach(engine)

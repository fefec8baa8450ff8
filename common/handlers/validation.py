"""Validate after an epoch, keep the best weights, stop when they stop improving."""

from __future__ import annotations

import math
from pathlib import Path

from ignite.engine import Engine, Events
from torch import nn

from ..data.loader import PairLoader
from ..engines.validation import quick_metrics
from ..io.weights import save_weights
from ..parallel import broadcast_object, rank


class Validation:
    """Put ``val/<metric>`` into ``state.metrics`` and save the weights of the best epoch.

    The best epoch has the highest Dice of the standard protocol or, for pairs without labels, the lowest
    mean squared error.

    Args:
        estimator: the displacement estimator.
        network: what is saved, a ``RegistrationNetwork``.
        loader: the validation pairs.
        path: file of the best weights.
        interval: epochs from one validation to the next; the last epoch is always validated.
        patience: stop after so many validations without a better one; None never stops.
        precision: of the network.
    """

    def __init__(
        self,
        estimator: nn.Module,
        network: nn.Module,
        loader: PairLoader,
        path: str | Path,
        interval: int = 1,
        patience: int | None = None,
        precision: str = "bfloat16",
    ) -> None:
        self.estimator, self.network, self.loader, self.path = estimator, network, loader, Path(path)
        self.interval, self.patience, self.precision = interval, patience, precision
        self.best, self.since_best = -math.inf, 0

    def attach(self, engine: Engine) -> None:
        """Follow ``engine``."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._validate)

    def state_dict(self) -> dict[str, float]:
        """What a checkpoint keeps."""
        return {"best": self.best, "since_best": self.since_best}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Go on from a checkpoint."""
        self.best, self.since_best = state["best"], int(state["since_best"])

    def _validate(self, engine: Engine) -> None:
        if not engine.phase.displacement:
            return  # the displacement estimator has not changed
        if engine.state.epoch % self.interval and engine.state.epoch != engine.state.max_epochs:
            return
        metrics = broadcast_object(quick_metrics(self.estimator, self.loader, self.precision) if rank() == 0 else None)
        engine.state.metrics.update({f"val/{name}": value for name, value in metrics.items()})
        score = metrics.get("standard/dsc", -metrics["mse"])
        self.since_best = 0 if score > self.best else self.since_best + 1
        if score > self.best:
            self.best = score
            if rank() == 0:
                save_weights(self.network, self.path)
        if self.patience is not None and self.since_best >= self.patience:
            engine.terminate()

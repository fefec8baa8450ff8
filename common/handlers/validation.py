"""Validate after an epoch, keep the last weights or the best, stop when they stop improving."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from torch import nn

from ..data.loader import PairLoader
from ..engines.validation import quick_metrics
from ..errors import InputError
from ..io.weights import save_weights
from ..parallel import rank

KEPT = ("last", "best")


class Validation:
    """Put ``val/<metric>`` into ``state.metrics`` and save the weights of the last epoch, or of the best.

    Figures of the best epoch on the very pairs that chose it are a little too good; those of the last are not. The best
    epoch has the highest Dice of the network's own label map or, without one, of the standard protocol or,
    for pairs without labels, the lowest mean squared error. A warm-up's best gives way to the first epoch in which
    both networks train: before that, the companion is not trained.

    Args:
        network: what is judged and saved, a ``RegistrationNetwork``.
        loader: the validation pairs.
        path: file of the weights.
        interval: epochs from one validation to the next; the last epoch is always validated.
        patience: stop after so many validations without a better one, though not in a warm-up; None never stops.
        precision: of the network.
        keep: "last" saves at every validation, "best" at one that is better than all before.

    Raises:
        InputError: for something else to keep.
    """

    def __init__(
        self,
        network: nn.Module,
        loader: PairLoader,
        path: str | Path,
        interval: int = 1,
        patience: int | None = None,
        precision: str = "bfloat16",
        keep: str = "last",
    ) -> None:
        if keep not in KEPT:
            raise InputError(f"keep is {keep!r}: it must be one of {', '.join(KEPT)}.")
        self.network, self.loader, self.path = network, loader, Path(path)
        self.interval, self.patience, self.precision, self.keep = interval, patience, precision, keep
        self.phase, self.best, self.since_best, self.best_epoch = "", -math.inf, 0, 0

    def attach(self, engine: Engine) -> None:
        """Follow ``engine``."""
        self.engine = engine
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._validate)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        best = {"best": self.best, "since_best": self.since_best, "best_epoch": self.best_epoch}
        return {"phase": self.phase, **best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint; if that run had stopped for want of a better epoch, so does this one."""
        self.phase, self.best, self.since_best = str(state["phase"]), float(state["best"]), int(state["since_best"])
        self.best_epoch = int(state.get("best_epoch", 0))  # 0 of a run of version 0.3, which did not keep it
        self._stop_if_over()

    def _validate(self, engine: Engine) -> None:
        if not engine.phase.displacement:
            return  # the displacement estimator has not changed
        if engine.state.epoch % self.interval and engine.state.epoch != engine.state.max_epochs:
            return
        metrics = quick_metrics(self.network, self.loader, self.precision)
        engine.state.metrics.update({f"val/{name}": value for name, value in metrics.items()})
        if engine.phase.name != self.phase:
            self.phase, self.best, self.since_best = engine.phase.name, -math.inf, 0
        is_best = self._is_best(score_of(metrics), engine.state.epoch)
        if rank() == 0 and (is_best or self.keep == "last"):
            save_weights(self.network, self.path)
        self._stop_if_over()

    def _is_best(self, score: float, epoch: int) -> bool:
        is_best, self.since_best = score > self.best, self.since_best + 1
        if is_best:
            self.best, self.since_best, self.best_epoch = score, 0, epoch
        return is_best

    def _stop_if_over(self) -> None:
        last_phase = self.engine.phase_of(self.engine.state.max_epochs).name
        if self.patience is not None and self.since_best >= self.patience and self.phase == last_phase:
            self.engine.terminate()


def score_of(metrics: Mapping[str, float]) -> float:
    """What is to be as high as possible: Dice in percent, else, where no pair has a label, the negative error."""
    dice = metrics.get("label/dsc", metrics.get("standard/dsc", math.nan))
    return -metrics["mse"] if math.isnan(dice) else dice

"""The mean of every loss term over an epoch, by name, in ``state.metrics`` where every logger looks."""

from __future__ import annotations

import torch
from ignite.engine import Engine, Events
from torch import Tensor

from ..parallel import mean_over_processes, world_size


class LossMeans:
    """Put the means of ``state.output[0]["terms"]`` into ``state.metrics`` as ``train/<estimator>/<term>``."""

    def attach(self, engine: Engine) -> None:
        """Follow ``engine``."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._report)

    def _start(self, engine: Engine) -> None:
        self._sums: dict[str, Tensor] = {}
        engine.state.metrics = {"lr": engine.optimizer.param_groups[0]["lr"]}

    def _collect(self, engine: Engine) -> None:
        output = engine.state.output[0]
        for name, value in output["terms"].items():
            self._sums[name] = self._sums.get(name, 0.0) + output["share"] * value

    def _report(self, engine: Engine) -> None:
        for name, total in self._sums.items():
            mean = mean_over_processes(torch.as_tensor(total)) * world_size() / engine.state.epoch_length
            engine.state.metrics[f"train/{name}"] = mean.item()

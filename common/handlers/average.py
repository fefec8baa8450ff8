"""An average of the weights: it lies nearer to where a training is going than any of its noisy steps."""

from __future__ import annotations

from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from ..errors import InputError


class WeightAverage:
    """Average a network's weights over its last steps, exponentially (Polyak and Juditsky, SIAM J. Control, 1992).

    After step t the average moves by ``max(1 / t, 1 / T)`` of its distance to the weights: the plain mean of all steps
    at first, then a memory of T steps. It never sees the weights that a network begins with.

    Args:
        network: what is trained.
        epochs: the memory T, in epochs; 0 averages nothing.

    Attributes:
        network: the average, to be validated and saved; without one, the network itself.

    Raises:
        InputError: for a memory below 0.
    """

    def __init__(self, network: nn.Module, epochs: float = 0.0) -> None:
        if epochs < 0:
            raise InputError(f"averaging is {epochs}: it must be a number of epochs, or 0 for no average.")
        self.epochs, self.trained, self.steps = epochs, network, 1.0
        self.average = AveragedModel(network, multi_avg_fn=self._move) if epochs else None
        self.network: nn.Module = network if self.average is None else self.average.module

    def attach(self, engine: Engine) -> None:
        """Follow ``engine``."""
        if self.average is not None:
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._update)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {} if self.average is None else self.average.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        if self.average is not None:
            self.average.load_state_dict(state)

    def _update(self, engine: Engine) -> None:
        assert self.average is not None
        self.steps = self.epochs * engine.state.epoch_length
        self.average.update_parameters(self.trained)

    def _move(self, average: list[Tensor], weights: list[Tensor], count: Tensor | int) -> None:
        torch._foreach_lerp_(average, weights, max(1 / (int(count) + 1), 1 / self.steps))

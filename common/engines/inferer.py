"""Run a registration network over any number of pairs, a few at a time, and time it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from monai.inferers import Inferer
from torch import Tensor, nn

from ..errors import InputError


class BatchInferer(Inferer):
    """Register the pairs of a tensor (B, 2, *spatial) at most ``batch_size`` at a time.

    A stack of slices may come as (1, B, 2, *spatial), the batch of one that MONAI Label makes of it.

    ``seconds`` is what the network took for the last call, transfers and all else excluded; the very first call is
    preceded by a run that is not counted, since it loads kernels and picks algorithms.

    Args:
        batch_size: pairs that go through the network at once.
        clock: what tells the seconds, on a loaded machine `time.thread_time`.
    """

    def __init__(self, batch_size: int = 16, clock: Callable[[], float] = time.perf_counter) -> None:
        super().__init__()
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}; give 1 or more.")
        self.batch_size, self.clock = batch_size, clock
        self.seconds = 0.0
        self._warm = False

    def __call__(self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        """Return ``network(inputs)``: (B, C, *spatial), or (1, B, C, *spatial) of ``inputs`` (1, B, ...)."""
        if inputs.dim() - 3 == getattr(network, "spatial_dims", None):
            self._warm = True  # a server makes an inferer a request, and times nothing by it
            return self(inputs[0], network, *args, **kwargs)[None]
        parts = inputs.split(self.batch_size)
        if not self._warm:
            network(parts[0], *args, **kwargs)
            self._warm = True
        _wait(inputs)
        start = self.clock()
        outputs = [network(part, *args, **kwargs) for part in parts]
        _wait(inputs)
        self.seconds = self.clock() - start
        return torch.cat(outputs)


def _wait(tensor: Tensor) -> None:
    """A GPU is still at work when its call returns."""
    if tensor.is_cuda:
        torch.cuda.synchronize(tensor.device)

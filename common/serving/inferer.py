"""The stack of a request through a 2D network."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..engines.inferer import BatchInferer


class StackInferer(BatchInferer):
    """A `BatchInferer` that also takes what MONAI Label makes of a stack: a batch of one in front of its slices."""

    def __call__(self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        """Return ``network(inputs)``: (B, C, *spatial), or (1, B, C, *spatial) where ``inputs`` is (1, B, ...)."""
        if inputs.dim() != network.spatial_dims + 3:
            return super().__call__(inputs, network, *args, **kwargs)
        self._warm = True  # a server makes an inferer a request, and times nothing by it
        return super().__call__(inputs[0], network, *args, **kwargs)[None]

"""Refine the frames of a cine: each from where the frame before ended, if that is better than the network's answer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .interfaces import Deformation, Pair
from .refinement import Refinement


class Following(Refinement):
    """A `Refinement` of one moving image to many fixed ones, one call a frame, in their order in time.

    A call begins where the last one with the same moving image ended, if the loss is lower there than where the
    network's answer is. A batch is judged as one.

    Args:
        refinement: what is done in each call.

    Attributes:
        starts: for each call that had one before it, whether it began there.
    """

    def __init__(self, refinement: Refinement) -> None:
        super().__init__(refinement.objective, refinement.steps, refinement.rate, refinement.smooth_weight)
        self.starts: list[bool] = []
        self._last: dict[bytes, tuple[Tensor, Tensor | None]] = {}

    def __call__(
        self, moving: Tensor, fixed: Tensor, found: Deformation, estimator: nn.Module, companion: nn.Module | None
    ) -> Deformation:
        """As of `Refinement`, from the better of two beginnings."""
        key = moving.cpu().numpy().tobytes()
        if key in self._last:
            found = self._better(Pair(moving.float(), fixed.float()), found, self._last[key], companion)
        refined = super().__call__(moving, fixed, found, estimator, companion)
        self._last[key] = refined.ddf, refined.dvf
        return refined

    def _better(
        self, pair: Pair, found: Deformation, last: tuple[Tensor, Tensor | None], companion: nn.Module | None
    ) -> Deformation:
        before = found._replace(ddf=last[0], dvf=last[1])
        self.starts.append(self._start(pair, before, companion) < self._start(pair, found, companion))
        return before if self.starts[-1] else found

    @torch.no_grad()
    def _start(self, pair: Pair, deformation: Deformation, companion: nn.Module | None) -> float:
        """The loss at the start of a refinement of ``deformation``."""
        with torch.autocast(pair.fixed.device.type, enabled=False):
            observed = self.objective.observe(pair, deformation)
            return float(self.loss(pair, observed, self._map(pair, observed, companion)))

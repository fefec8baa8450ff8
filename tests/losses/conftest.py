"""What tests of objectives share: pairs, and deformations that were observed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from common.interfaces import Deformation, Pair
from common.losses import Objective

Observed = Callable[..., tuple[Pair, Deformation]]


@pytest.fixture
def observed() -> Observed:
    """``observed(objective, size, batch=2, mask=None)``: a random pair and its small deformation, observed."""

    def make(
        objective: Objective, size: tuple[int, ...] = (10, 12), batch: int = 2, mask: Tensor | None = None
    ) -> tuple[Pair, Deformation]:
        generator = torch.Generator().manual_seed(0)
        moving, fixed = (torch.rand(batch, 1, *size, generator=generator) for _ in range(2))
        ddf = 0.5 * torch.randn(batch, len(size), *size, generator=generator)
        pair = Pair(moving, fixed, mask=mask)
        return pair, objective.observe(pair, Deformation(ddf.requires_grad_()))

    return make

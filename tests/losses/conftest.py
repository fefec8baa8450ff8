"""What tests of objectives share: pairs, and deformations that were observed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from common.interfaces import Deformation, Pair
from common.losses import Objective

Observed = Callable[..., tuple[Pair, Deformation]]
Row = Callable[..., tuple[Pair, Deformation]]
Finite = Callable[..., None]


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


@pytest.fixture
def row() -> Row:
    """``row(fixed, warped, ddf=None, mask=None)``: images of one row of voxels, moving as the warped one."""

    def make(
        fixed: list[float], warped: list[float], ddf: list[float] | None = None, mask: list[float] | None = None
    ) -> tuple[Pair, Deformation]:
        target, image = (torch.tensor(values).view(1, 1, 1, -1) for values in (fixed, warped))
        inside = None if mask is None else torch.tensor(mask).view_as(target)
        along = torch.zeros_like(target) if ddf is None else torch.tensor(ddf).view_as(target)
        field = torch.cat([torch.zeros_like(along), along], dim=1)
        return Pair(image, target, mask=inside), Deformation(field, warped=image.clone().requires_grad_())

    return make


@pytest.fixture
def check_finite() -> Finite:
    """``check_finite(objective, size)``: values and gradients, of black, white, half flat and bfloat16 images."""

    def check(objective: Objective, size: tuple[int, ...] = (12, 13)) -> None:
        image, black = torch.rand(2, 1, *size), torch.zeros(2, 1, *size)
        flat = torch.where(torch.arange(size[-1]) < size[-1] // 2, torch.tensor(0.4), image)
        padded = image * (torch.arange(size[-1]) < size[-1] // 2)
        images = [black, black + 1, black + 0.4, image, flat, padded]
        for moving, fixed in [(a, b) for a in images for b in images]:
            for dtype in (torch.float32, torch.bfloat16):
                pair = Pair(moving.to(dtype), fixed.to(dtype))
                ddf = torch.zeros(2, len(size), *size, requires_grad=True)
                loss = objective.displacement_loss(pair, objective.observe(pair, Deformation(ddf)))["loss"]
                loss.backward()
                assert loss.isfinite()
                assert ddf.grad.isfinite().all()

    return check

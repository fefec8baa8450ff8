"""Every architecture that there is a recipe of, as its recipe builds it, with weights of some size."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from common.networks.tracing import example_image
from tools import render

ARCHITECTURES = {recipe["name"]: recipe for recipe in render.recipes("architectures")}
# whole windows, odd, not square, below divisor and window, lone voxels; none of them what a trace is made with
SIZES = {2: [(64, 64), (31, 17), (6, 33), (70, 1), (1, 1)], 3: [(16, 16, 32), (23, 18, 9), (12, 20, 1), (2, 3, 17)]}


def new(name: str, dims: int = 2, **settings: Any) -> nn.Module:
    """A new network of an architecture; the same in every call."""
    recipe = ARCHITECTURES[name]
    torch.manual_seed(0)
    return render.class_of("networks", recipe["network"])(dims, **render.estimator_defaults(recipe), **settings)


def lively(network: nn.Module) -> nn.Module:
    """``network`` with weights in place of its zeros and near zeros: a field of some voxels, and maps with detail."""
    random = torch.Generator().manual_seed(1)
    for weights in network.parameters():
        if weights.abs().max() < 1e-3:
            weights.data += 0.02 * torch.randn(weights.shape, generator=random)
    return network.eval()


def images(size: tuple[int, ...], batch: int = 1) -> tuple[Tensor, Tensor]:
    """Moving and fixed image (batch, 1, *size); the same in every call."""
    random = torch.Generator().manual_seed(2)
    moving, fixed = torch.rand(2, batch, 1, *size, generator=random)
    return moving, fixed


def saved_and_loaded(script: torch.jit.ScriptModule) -> torch.jit.ScriptModule:
    """``script`` as another process would have it."""
    buffer = io.BytesIO()
    torch.jit.save(script, buffer)
    buffer.seek(0)
    return torch.jit.load(buffer)


@torch.no_grad()
def assert_same(
    found: Callable[[Tensor], Tensor], network: nn.Module, size: tuple[int, ...], batch: int, tolerance: float = 1e-5
) -> None:
    """``found`` gives what ``network`` gives, which is not nothing."""
    image = example_image(network, batch, size)
    expected = network(image)
    assert expected[:, 0].abs().max() > 1e-4 or max(size) == 1
    torch.testing.assert_close(found(image), expected, rtol=0, atol=tolerance)

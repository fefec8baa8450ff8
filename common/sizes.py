"""Arithmetic on sizes that also holds while a network is traced (`torch.jit.trace`, the export to ONNX).

A trace records what is computed with tensors, and sizes are tensors in it. Python's ``min``, ``max`` and ``if`` settle
them for good, by the example that is traced, and a device that is named is the device for ever. What depends on sizes
is therefore written with these, or takes the general branch ``if is_tracing()``; without a trace they cost nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

is_tracing = torch.jit.is_tracing


def is_exporting() -> bool:
    """Whether the trace is for ONNX, which knows neither layouts in memory nor lists of unknown length."""
    return is_tracing() and torch.onnx.is_in_onnx_export()


def larger(a: int, b: int) -> int:
    """``max(a, b)``; in a trace ``a`` is a tensor."""
    if not torch.jit.is_scripting() and is_tracing():  # TorchScript's compiler leaves this out
        return cast(int, torch.clamp(cast(Tensor, a), min=b))
    return max(a, b)


def smaller(a: int, b: int) -> int:
    """``min(a, b)``; in a trace ``a`` is a tensor."""
    if not torch.jit.is_scripting() and is_tracing():
        return cast(int, torch.clamp(cast(Tensor, a), max=b))
    return min(a, b)


def settled(n: int) -> int:
    """``n`` as a plain number: for what the network's layers settle and no image changes, such as channels."""
    if not is_tracing():
        return n
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # that it is settled
        return int(n)


def any_moves(voxels: Sequence[int]) -> bool:
    """Whether one of ``voxels`` is not 0; in a trace, whether one might not be."""
    return any(isinstance(n, Tensor) or n for n in voxels)


@torch.jit.script_if_tracing
def count_up(n: Tensor, like: Tensor) -> Tensor:
    """0, 1, ... below ``n``, a number, on the device of ``like``."""
    return torch.arange(int(n), device=like.device)


@torch.jit.script_if_tracing
def positions(like: Tensor, axis: int) -> Tensor:
    """From -1 to 1 in as many steps as ``like`` has voxels along ``axis``, on its device."""
    return torch.linspace(-1, 1, like.shape[axis], device=like.device)

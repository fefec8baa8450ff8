"""Dropout that can stay on at inference, and then repeats itself (Monte Carlo dropout)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..errors import InputError


class Dropout(nn.Dropout):
    """``nn.Dropout``, but within ``sampling`` it draws one sample of the network, in evaluation too.

    A sample is a mask (C, *spatial) that all images of a batch share: what an image gets then depends neither on the
    images beside it nor on the device. There are no weights, so state dicts with and without it are the same.

    Args:
        p: chance of each element to become 0.

    Raises:
        InputError: for a chance outside [0, 1).
    """

    def __init__(self, p: float = 0.0) -> None:
        super().__init__(checked(p))
        self.sampled: tuple[float, torch.Generator] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """``x`` (B, C, *spatial) with elements set to 0, the others enlarged so that the mean stays."""
        if self.sampled is None:
            return super().forward(x)
        p, generator = self.sampled
        kept = torch.rand(x.shape[1:], generator=generator) >= p
        return x * (kept / (1 - p)).to(x)


def checked(p: float) -> float:
    """``p`` if it is a chance of dropout.

    Raises:
        InputError: if it is not.
    """
    if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p < 1:
        raise InputError(f"dropout is {p!r}: it must be at least 0 and below 1.")
    return p


def dropouts(network: nn.Module) -> list[Dropout]:
    """The dropout layers of ``network``; the drop-path of a transformer is none of them."""
    return [module for module in network.modules() if isinstance(module, Dropout)]


def with_dropout(network: nn.Module, p: float) -> nn.Module:
    """``network`` with its dropout layers dropping with chance ``p`` in training; 0 leaves it as it is.

    Raises:
        InputError: for a chance outside [0, 1), or one above 0 for a network without dropout.
    """
    layers = dropouts(network)
    if checked(p) and not layers:
        raise InputError(f"dropout is {p}, but {type(network).__name__} has no dropout layer; leave it at 0.")
    for layer in layers if p else []:
        layer.p = p
    return network


@contextmanager
def sampling(layers: Sequence[Dropout], p: float, seed: int) -> Iterator[None]:
    """Let ``layers`` drop with chance ``p``, as ``seed`` says; no other random state changes."""
    generator = torch.Generator().manual_seed(seed)
    for layer in layers:
        layer.sampled = p, generator
    try:
        yield
    finally:
        for layer in layers:
            layer.sampled = None

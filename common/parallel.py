"""Several processes that train as one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from .errors import InputError

Anything = TypeVar("Anything")


def is_parallel() -> bool:
    """Whether several processes take part."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def rank() -> int:
    """This process's number, 0 for the one that writes files."""
    return dist.get_rank() if is_parallel() else 0


def world_size() -> int:
    """How many processes take part."""
    return dist.get_world_size() if is_parallel() else 1


def mean_over_processes(value: Tensor) -> Tensor:
    """The mean of a scalar over all processes, the same on each."""
    if not is_parallel():
        return value
    total = value.detach().clone()
    with _together():
        dist.all_reduce(total)
    return total / world_size()


def sum_gradients(parameters: Iterable[Tensor]) -> None:
    """Add up every process's gradients, in one message."""
    if not is_parallel():
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:  # all of them are frozen
        return
    flat = torch.cat([g.reshape(-1) for g in gradients])
    with _together():
        dist.all_reduce(flat)
    for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients])):
        gradient.copy_(part.view_as(gradient))


def gather_objects(value: Anything) -> list[Anything]:
    """What every process holds, in order, on every process."""
    if not is_parallel():
        return [value]
    values: list[Anything] = [value] * world_size()
    with _together():
        dist.all_gather_object(values, value)
    return values


@contextmanager
def _together() -> Iterator[None]:
    """For the length of a message: if another process is gone, say so rather than show a broken connection."""
    try:
        yield
    except RuntimeError as error:
        raise InputError(f"process {rank()}: another process has stopped: see its message.") from error

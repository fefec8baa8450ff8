"""The way from the moving to the warped image, for networks that have one between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ..errors import InputError


@runtime_checkable
class Continuous(Protocol):
    """An estimator that has such a way."""

    def path(self, moving: Tensor, fixed: Tensor, etas: Sequence[float]) -> Tensor:
        """The fields (len(etas), B, D, *spatial) at ``etas`` in [0, 1]."""
        ...


def check_path(network: nn.Module, steps: int) -> None:
    """Refuse a number of steps that is no path, or a network whose estimator has none.

    Raises:
        InputError: naming the setting.
    """
    if steps == 0:
        return
    if not isinstance(steps, int) or steps < 2:
        raise InputError(f"path_steps is {steps!r}; give 2 or more images, or 0 for none.")
    _continuous(network, steps)


def _continuous(network: nn.Module, steps: int) -> Continuous:
    estimator = getattr(network, "estimator", network)
    if isinstance(estimator, Continuous):
        return estimator
    kind = type(estimator).__name__
    raise InputError(f"path_steps is {steps}, but {kind} has no path; give 0, or a network such as DiffuseMorph.")


def path_fields(network: nn.Module, image: Tensor, steps: int, batch_size: int = 16) -> Tensor:
    """The fields (steps, S, D, *spatial) at eta from 0 to 1 in equal steps, of images (S, 2, *spatial), on the CPU."""
    etas, estimator = torch.linspace(0, 1, steps).tolist(), _continuous(network, steps)
    from monai.networks.utils import eval_mode  # all of MONAI, which a network without a path does not need

    with eval_mode(network):
        parts = [estimator.path(part[:, :1], part[:, 1:], etas) for part in image.split(batch_size)]
    return torch.cat(parts, dim=1).float().cpu()

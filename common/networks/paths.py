"""The way from the moving to the warped image, for networks that have one between them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import InputError


def check_path(network: nn.Module, steps: int) -> None:
    """Refuse a number of steps that is no path, or a network whose estimator has none.

    Raises:
        InputError: naming the setting.
    """
    if steps == 0:
        return
    if not isinstance(steps, int) or steps < 2:
        raise InputError(f"path_steps is {steps!r}; give 2 or more images, or 0 for none.")
    estimator = getattr(network, "estimator", network)
    if not hasattr(estimator, "path"):
        kind = type(estimator).__name__
        raise InputError(f"path_steps is {steps}, but {kind} has no path; give 0, or a network such as DiffuseMorph.")


def path_fields(network: nn.Module, image: Tensor, steps: int, batch_size: int = 16) -> Tensor:
    """The fields (steps, S, D, *spatial) at eta from 0 to 1 in equal steps, of images (S, 2, *spatial), on the CPU."""
    etas = torch.linspace(0, 1, steps).tolist()
    from monai.networks.utils import eval_mode  # all of MONAI, which a network without a path does not need

    with eval_mode(network):
        parts = [network.estimator.path(part[:, :1], part[:, 1:], etas) for part in image.split(batch_size)]
    return torch.cat(parts, dim=1).float().cpu()

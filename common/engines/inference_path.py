"""The way from the moving to the warped image, for networks that have one between them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from monai.networks.utils import eval_mode
from torch import Tensor, nn

from ..errors import InputError
from ..files import save_image
from .inference_cases import Case
from .inference_output import file_of, warped_image


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
    with eval_mode(network):
        parts = [network.estimator.path(part[:, :1], part[:, 1:], etas) for part in image.split(batch_size)]
    return torch.cat(parts, dim=1).float().cpu()


def write_path(case: Case, fields: Tensor, output_dir: str | Path) -> Path:
    """Write the moving image under each of ``fields`` as ``<name>_path.nii.gz``; return the file.

    A 4D NIfTI image (i, j, k, steps) on the native grid, k = 1 for a 2D image: the layout of a series in time. Its
    first image need not be the moving one (see `DiffuseMorph.path`); its last is the warped image.

    Args:
        fields: (steps, S, D, *region.shape).

    Raises:
        InputError: the file cannot be written.
    """
    grid = case.moving.shape[: case.spatial_dims]
    moving = case.moving.astype(np.float32)
    images = [warped_image(moving, case.region.place_field(ddf, grid), case) for ddf in fields]
    series = np.stack([image if image.ndim == 3 else image[..., None] for image in images], axis=-1)
    file = file_of(case, "path", output_dir)
    save_image(file, series, case.affine)
    return file

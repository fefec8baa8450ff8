"""Displacement fields and what is done with them.

One convention, everywhere: a displacement field ``ddf`` lives on the fixed image's grid and

    warped(x) = moving(x + ddf(x))

in voxels, shape (B, D, *spatial) for D spatial dimensions; channel k moves along array axis k, and
voxel centres are integers (``align_corners=True``). Fields stay float32: a half-precision sampling grid
is rounded, which by itself changes the image (by up to 0.3 of its range in bfloat16).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def warp(image: Tensor, ddf: Tensor, mode: str = "bilinear", padding_mode: str = "zeros") -> Tensor:
    """Sample ``image`` (B, C, *spatial) where ``ddf`` (B, D, *spatial) points: ``image(x + ddf(x))``.

    Raises:
        ValueError: if the shapes do not belong together.
    """
    if image.shape[2:] != ddf.shape[2:] or ddf.shape[1] != image.dim() - 2:
        raise ValueError(f"A ddf of shape {ddf.shape} does not fit an image of shape {image.shape}.")
    grid = sampling_grid(ddf.float())
    sampled = F.grid_sample(image.float(), grid, mode=mode, padding_mode=padding_mode, align_corners=True)
    return sampled.to(image.dtype)


def sampling_grid(ddf: Tensor) -> Tensor:
    """``x + ddf(x)`` in the coordinates of ``grid_sample``: (B, *spatial, D), last axis first, in [-1, 1]."""
    spatial = ddf.shape[2:]
    # a lone voxel spans no distance: it maps to the centre, not to infinity
    scale = torch.tensor([2.0 / max(n - 1, 1) for n in spatial[::-1]], device=ddf.device)
    return torch.addcmul(identity_grid(spatial, ddf.device), ddf.movedim(1, -1).flip(-1), scale)


def identity_grid(spatial: list[int], device: torch.device) -> Tensor:
    """The grid that moves nothing: (1, *spatial, D), last axis first, in [-1, 1]."""
    axes = [torch.linspace(-1, 1, n, device=device) if n > 1 else torch.zeros(1, device=device) for n in spatial]
    return torch.stack(torch.meshgrid(axes, indexing="ij")[::-1], dim=-1)[None]


def compose(first: Tensor, then: Tensor) -> Tensor:
    """The field of two warps in a row: ``warp(warp(image, first), then) == warp(image, compose(first, then))``."""
    return then + warp(first, then, padding_mode="border")


def integrate(dvf: Tensor, steps: int = 7) -> Tensor:
    """Flow of the stationary velocity ``dvf`` at time 1, by scaling and squaring (Arsigny et al., 2006)."""
    ddf = dvf.float() / 2**steps
    for _ in range(steps):
        ddf = compose(ddf, ddf)
    return ddf


def invert(ddf: Tensor, iterations: int = 20) -> Tensor:
    """The field with ``compose(ddf, inverse) = 0``, by the fixed point ``inverse(x) = -ddf(x + inverse(x))``.

    It converges where ``ddf`` neither folds nor stretches by more than its own distance (Chen et al., 2008).
    """
    inverse = torch.zeros_like(ddf)
    for _ in range(iterations):
        inverse = -warp(ddf, inverse, padding_mode="border")
    return inverse


def resize_field(field: Tensor, size: list[int]) -> Tensor:
    """The same motion on a grid of another ``size``: interpolated, and its voxels rescaled axis by axis."""
    mode = "bilinear" if len(size) == 2 else "trilinear"
    ratio = torch.tensor([(new - 1) / max(old - 1, 1) for new, old in zip(size, field.shape[2:])], device=field.device)
    resized = F.interpolate(field.float(), size, mode=mode, align_corners=True)
    return resized * ratio.view([1, -1] + [1] * len(size))


def jacobian_determinant(ddf: Tensor) -> Tensor:
    """det of d(x + ddf)/dx by forward differences, (B, *(spatial - 1)); at or below 0 the map folds."""
    spatial_dims = ddf.shape[1]
    columns = []
    for axis in range(2, ddf.dim()):
        column = ddf.float().diff(dim=axis)
        for other in range(2, ddf.dim()):
            if other != axis:
                column = column.narrow(other, 0, ddf.shape[other] - 1)
        columns.append(column)
    jacobian = torch.stack(columns, dim=-1).movedim(1, -2)  # (B, *, component, axis)
    return torch.linalg.det(jacobian + torch.eye(spatial_dims, device=ddf.device))

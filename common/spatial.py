"""Displacement fields and what is done with them.

One convention, everywhere: a displacement field ``ddf`` lives on the fixed image's grid and

    warped(x) = moving(x + ddf(x))

in voxels, shape (B, D, *spatial) for D spatial dimensions; channel k moves along array axis k, and
voxel centres are integers (``align_corners=True``). Fields stay float32: a half-precision sampling grid
is rounded, which by itself changes the image (by up to 0.3 of its range in bfloat16).
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from .sizes import is_tracing, larger, positions, settled


def warp(image: Tensor, ddf: Tensor, mode: str = "bilinear", padding_mode: str = "zeros") -> Tensor:
    """Sample ``image`` (B, C, *spatial) where ``ddf`` (B, D, *spatial) points: ``image(x + ddf(x))``.

    Raises:
        ValueError: if the shapes do not belong together.
    """
    if not is_tracing() and (image.shape[2:] != ddf.shape[2:] or ddf.shape[1] != image.dim() - 2):
        raise ValueError(f"A ddf of shape {list(ddf.shape)} does not fit an image of shape {list(image.shape)}.")
    grid = sampling_grid(ddf)
    sampled = F.grid_sample(image.float(), grid, mode=mode, padding_mode=padding_mode, align_corners=True)
    return sampled.to(image.dtype)


def sampling_grid(ddf: Tensor) -> Tensor:
    """``x + ddf(x)`` in the coordinates of ``grid_sample``: (B, *spatial, D), last axis first, in [-1, 1]."""
    moved = normalised(ddf)
    return (moved + identity_like(ddf)).movedim(1, -1)


def normalised(ddf: Tensor) -> Tensor:
    """``ddf`` in ``grid_sample``'s units and order of axes: (B, D, *spatial), last axis first."""
    # a lone voxel spans no distance: any position along it is its centre
    return scaled(ddf.float(), [2.0 / larger(n - 1, 1) for n in ddf.shape[2:]]).flip(1)


def scaled(field: Tensor, factors: list[float]) -> Tensor:
    """``field`` (B, D, *spatial) with channel k times ``factors[k]``; plain numbers, so that no device waits."""
    if not is_tracing() and min(factors) == max(factors):
        return field * factors[0]
    return torch.stack([channel * factor for channel, factor in zip(field.unbind(1), factors)], dim=1)


def identity_grid(spatial: list[int], device: torch.device) -> Tensor:
    """The positions that move nothing: (1, D, *spatial), last axis first, in [-1, 1]."""
    return _grid([torch.linspace(-1, 1, n, device=device) for n in spatial])


def identity_like(field: Tensor) -> Tensor:
    """``identity_grid`` of the grid of ``field`` (B, C, *spatial), on its device."""
    return _grid([positions(field, axis) for axis in range(2, field.dim())])


def _grid(axes: list[Tensor]) -> Tensor:
    return torch.stack(torch.meshgrid(axes, indexing="ij"), dim=0).flip(0)[None]


def compose(first: Tensor, then: Tensor) -> Tensor:
    """The field of two warps in a row: ``warp(warp(image, first), then) == warp(image, compose(first, then))``."""
    return then + warp(first, then, padding_mode="border")


def integrate(dvf: Tensor, steps: int = 7) -> Tensor:
    """Flow of the stationary velocity ``dvf`` at time 1, by scaling and squaring (Arsigny et al., 2006).

    Each squaring is ``compose(ddf, ddf)``; in ``grid_sample``'s units it is a sampling and a sum.
    """
    identity = identity_like(dvf)
    moved = normalised(dvf) / 2.0**steps
    for _ in range(steps):
        grid = (moved + identity).movedim(1, -1)
        moved = moved + F.grid_sample(moved, grid, mode="bilinear", padding_mode="border", align_corners=True)
    return scaled(moved.flip(1), [larger(n - 1, 1) / 2.0 for n in dvf.shape[2:]])


def flow(dvf: Tensor, size: list[int], steps: int = 7) -> Tensor:
    """The displacement on a grid of ``size`` that the velocity ``dvf``, on a grid of any size, comes to at time 1."""
    return resize_field(integrate(dvf, steps), size)


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
    old = field.shape[2:]
    if not is_tracing() and list(old) == list(size):
        return field.float()
    factors = [(size[axis] - 1.0) / larger(old[axis] - 1, 1) for axis in range(len(size))]
    if not torch.jit.is_scripting() and is_tracing():  # TorchScript's compiler leaves this out
        same = torch.stack(cast("list[Tensor]", [old[axis] == size[axis] for axis in range(len(size))])).all()
        factors = cast("list[float]", [torch.where(same, 1.0, factor) for factor in factors])
    return scaled(resize_map(field, size), factors)


def with_axes(field: Tensor, spatial_dims: int) -> Tensor:
    """A field (B, C, *spatial) of motion along the first C axes as one (B, ``spatial_dims``, *spatial) along all."""
    missing = spatial_dims - settled(field.shape[1])
    return F.pad(field, [0, 0] * spatial_dims + [0, missing]) if missing else field


def resize_map(image: Tensor, size: list[int]) -> Tensor:
    """``image`` (B, C, *spatial) interpolated to another ``size``; its values stay what they are."""
    if not is_tracing() and list(image.shape[2:]) == list(size):
        return image
    mode = "bilinear" if len(size) == 2 else "trilinear"
    # contiguous: interpolation of two or three channels that lie last is several times slower
    return F.interpolate(image.float().contiguous(), size, mode=mode, align_corners=True)


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

"""Random affine and elastic motion of a pair: images, labels and masks alike, on whatever device they are."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InputError
from ..interfaces import Pair
from ..parallel import rank, world_size
from ..spatial import identity_grid, normalised, resize_map

POOL = {2: F.avg_pool2d, 3: F.avg_pool3d}
CONTROL = 8  # voxels from one control point of the elastic motion to the next


class RandomDeformation:
    """Rotate, scale, shift and bend both images of a pair (predictive, Sec. 4.1; ranges of Zhu et al., NeurReg).

    What a batch becomes depends on its number and ``seed`` alone, so that a resumed run goes on as it would have.
    Images are sampled linearly, labels and masks at the nearest voxel, each with its image; outside is 0.

    Args:
        seed: of the motion.
        affine: "pair" gives both images one affine motion, "image" each its own, which the network then has to undo;
            "in_plane" gives both of two volumes one motion within slices, which lie along the last axis, and bends
            them in plane only: for slices so thick that turning a volume in voxels tears it apart.
        rotation: largest angle in degrees, about an axis drawn anew.
        scale: least and largest factor, one for all axes.
        translation: largest shift along each axis, as a share of its length.
        elastic: standard deviation in voxels of the smooth motion that each image has of its own.

    Raises:
        InputError: for an ``affine`` that is not known.
    """

    def __init__(
        self,
        seed: int = 0,
        affine: str = "pair",
        rotation: float = 30.0,
        scale: tuple[float, float] = (0.75, 1.25),
        translation: float = 0.02,
        elastic: float = 1.0,
    ) -> None:
        if affine not in ("pair", "image", "in_plane"):
            raise InputError(f"augmentation is {affine!r}: it must be null, pair, image or in_plane.")
        self.seed, self.affine, self.rotation = seed, affine, rotation
        self.scale, self.translation, self.elastic = scale, translation, elastic

    def __call__(self, pair: Pair, number: int, total: int | None = None) -> Pair:
        """The pair of batch ``number``, deformed; of several processes each does so to its share of ``total`` pairs."""
        batch, size = total or len(pair.fixed), pair.fixed.shape[2:]
        mine = list(range(batch))[rank() :: world_size()] or [0]
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        affines = [self._affine(batch, size, generator)] * 2
        if self.affine == "image":
            affines[1] = self._affine(batch, size, generator)
        moving, fixed = (self._grid(affine, size, generator, pair.fixed.device)[mine] for affine in affines)
        return Pair(
            moving=sample(pair.moving, moving, "bilinear"),
            fixed=sample(pair.fixed, fixed, "bilinear"),
            moving_label=nearest(pair.moving_label, moving),
            fixed_label=nearest(pair.fixed_label, fixed),
            mask=nearest(pair.mask, fixed),
            moving_mask=nearest(pair.moving_mask, moving),
        )

    def _within_slices(self, size: torch.Size) -> bool:
        return self.affine == "in_plane" and len(size) == 3

    def _affine(self, batch: int, size: torch.Size, generator: torch.Generator) -> Tensor:
        """(B, D, D + 1) from output to input positions in ``grid_sample``'s coordinates, drawn on the CPU."""
        if self._within_slices(size):  # the last axis is the first coordinate
            still = torch.eye(3, 4).repeat(batch, 1, 1)
            still[:, 1:, 1:] = self._affine(batch, size[:2], generator)
            return still
        dims = len(size)
        low, high = (math.log(factor) for factor in self.scale)
        factors = torch.exp(low + (high - low) * torch.rand(batch, 1, 1, generator=generator))
        turns = rotations(batch, dims, math.radians(self.rotation), generator)
        extent = torch.tensor([n - 1.0 for n in reversed(size)]).clamp(min=1)  # coordinates run from -1 to 1 over it
        linear = turns * factors * extent / extent[:, None]
        shift = 2 * self.translation * (2 * torch.rand(batch, dims, 1, generator=generator) - 1)
        return torch.cat([linear, shift], dim=2)

    def _grid(self, affine: Tensor, size: torch.Size, generator: torch.Generator, device: torch.device) -> Tensor:
        """Sampling positions (B, *size, D)."""
        affine = affine.to(device)
        points = identity_grid(list(size), device).flatten(2)
        moved = (affine[:, :, :-1] @ points + affine[:, :, -1:]).unflatten(2, size)
        return (moved + normalised(self._bend(len(affine), size, generator, device))).movedim(1, -1)

    def _bend(self, batch: int, size: torch.Size, generator: torch.Generator, device: torch.device) -> Tensor:
        coarse = [max(-(-n // CONTROL), 2) for n in size]
        noise = torch.randn(batch, len(size), *coarse, generator=generator)
        smooth = POOL[len(size)](F.pad(noise, [1] * 2 * len(size), mode="replicate"), 3, stride=1)
        spread = smooth.std(correction=0).clamp(min=1e-6)
        if self._within_slices(size):
            smooth[:, -1] = 0
        return resize_map((smooth * (self.elastic / spread)).to(device), list(size))


def rotations(batch: int, dims: int, largest: float, generator: torch.Generator) -> Tensor:
    """(B, dims, dims) rotations by an angle uniform from 0 to ``largest`` radians, about a uniform axis."""
    angle = largest * torch.rand(batch, generator=generator)
    skew = torch.zeros(batch, dims, dims)
    if dims == 2:
        angle = angle * (2 * torch.randint(0, 2, (batch,), generator=generator) - 1)
        skew[:, 0, 1], skew[:, 1, 0] = -angle, angle
    else:
        x, y, z = (F.normalize(torch.randn(batch, 3, generator=generator)) * angle[:, None]).unbind(1)
        skew[:, 0, 1], skew[:, 0, 2], skew[:, 1, 2] = -z, y, -x
        skew = skew - skew.transpose(1, 2)
    return torch.linalg.matrix_exp(skew)


def nearest(labels: Tensor | None, grid: Tensor) -> Tensor | None:
    """Labels, or a mask, at ``grid``, each from the nearest voxel; None if there are none."""
    return None if labels is None else sample(labels, grid, "nearest")


def sample(image: Tensor, grid: Tensor, mode: str) -> Tensor:
    """``image`` (B, 1, *spatial) at ``grid`` (B, *spatial, D), in its own kind of number."""
    return F.grid_sample(image.float(), grid, mode=mode, align_corners=True).to(image.dtype)

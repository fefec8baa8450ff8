"""The atlas of an image: the labelled image of another subject that is most like it (predictive, Sec. 4.2.1).

Likeness is the normalised local cross-correlation NLCC (predictive, Eq. 1): the squared correlation in the window
around each voxel, averaged over the voxels where the image is real.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InputError
from ..similarity import FLAT
from . import prepared
from .sides import Side, pair_of, sides_of

AT_ONCE = 2**21  # voxels of candidates that are correlated together: what a processor's caches hold


@dataclass(frozen=True)
class Atlases:
    """Candidates on one grid, with what does not depend on the image that they are compared with.

    Attributes:
        images: (N, 1, *spatial) in [0, 1]; mean, square: of each voxel's window, the mean and the summed squares
            about it.
        window: edge of the windows, voxels.
    """

    images: Tensor
    mean: Tensor
    square: Tensor
    window: int

    @classmethod
    def of(cls, images: Tensor, window: int = 5) -> Atlases:
        """Filter ``images`` (N, 1, *spatial) once; raise InputError for a window that is not odd and above 1."""
        if window < 3 or window % 2 == 0:
            raise InputError(f"window is {window}: it must be an odd number of voxels from 3 on.")
        parts = [_mean_and_square(image[None].float(), window) for image in images]
        mean, square = (torch.cat(maps) for maps in zip(*parts))
        return cls(images.float(), mean, square, window)


def best_atlas(
    image: Tensor, mask: Tensor | None, atlases: Atlases, allowed: Sequence[bool] | None = None
) -> tuple[int, float]:
    """Return which atlas is most like ``image``, and its NLCC.

    Args:
        image: (1, 1, *spatial) in [0, 1].
        mask: alike, above 0 where the image is real; None is everywhere.
        allowed: of each atlas whether it may be taken; None is all.

    Raises:
        InputError: none may be taken, the grids differ, or the mask is empty.
    """
    nlcc = similarities(image, mask, atlases)
    if allowed is not None:
        nlcc = nlcc.masked_fill(~torch.tensor(list(allowed), device=nlcc.device), -1)
    index = int(nlcc.argmax())
    if nlcc[index] < 0:
        raise InputError("no atlas is of another subject than the image; choose another atlas_dir.")
    return index, float(nlcc[index])


def similarities(image: Tensor, mask: Tensor | None, atlases: Atlases) -> Tensor:
    """NLCC (N,) of ``image`` (1, 1, *spatial) with every atlas, over the voxels of ``mask``; see `best_atlas`."""
    if image.shape[2:] != atlases.images.shape[2:]:
        sizes = [list(tensor.shape[2:]) for tensor in (image, atlases.images)]
        raise InputError(f"the image is of size {sizes[0]}, but the atlases are of {sizes[1]}; prepare them alike.")
    inside = torch.ones_like(image, dtype=torch.bool) if mask is None else mask > 0
    if not inside.any():
        raise InputError("the mask of the image is empty: it is padding only; check the file.")
    box = _box_around(inside[0, 0], atlases.window // 2)
    fixed, inside = image[box].float(), inside[box]
    mean, square = _mean_and_square(fixed, atlases.window)
    step = max(1, AT_ONCE // fixed.numel())
    parts = []
    for first in range(0, len(atlases.images), step):
        some = slice(first, first + step)
        moving, moving_mean, moving_square = (
            maps[some][box] for maps in (atlases.images, atlases.mean, atlases.square)
        )
        cross = _box_mean(moving * fixed, atlases.window).addcmul_(moving_mean, mean, value=-1)
        cross *= atlases.window ** (fixed.dim() - 2)
        correlation = (cross.square_() / (moving_square * square + FLAT)).clamp_(max=1)
        parts.append((correlation * inside).flatten(1).sum(1))
    return torch.cat(parts) / inside.sum()


def atlas_pairs(
    dataset: prepared.Dataset, split: str, atlas_split: str = "train", window: int = 5
) -> list[dict[str, Any]]:
    """Pair every fixed image of ``split`` with its atlas among the labelled images of ``atlas_split``.

    Returns:
        Pairs as prepared ones (id "<moving>_to_<fixed>", subject, moving_subject, files, native), and their "nlcc".

    Raises:
        InputError: no such split, pairs that are not of two subjects, no labelled image, grids that differ.
    """
    sides = [side for side in sides_of(dataset, split) if side["is_fixed"]]
    candidates, atlases = load_atlases(dataset, atlas_split, window)
    pairs = []
    for side in sides:
        image, mask = load_side(dataset, side)
        allowed = [candidate["subject"] != side["subject"] for candidate in candidates]
        index, nlcc = best_atlas(image, mask, atlases, allowed)
        pairs.append({**pair_of(candidates[index], side), "nlcc": nlcc})
    return pairs


def load_atlases(dataset: prepared.Dataset, split: str = "train", window: int = 5) -> tuple[list[Side], Atlases]:
    """Load the labelled images of a split as candidates; raise InputError as `atlas_pairs` does."""
    sides = [side for side in sides_of(dataset, split) if "label" in side]
    if not sides:
        raise InputError(f"{dataset.root / 'dataset.json'}: no image of split {split!r} has a label; name another.")
    images = [load_side(dataset, side)[0] for side in sides]
    for side, image in zip(sides, images):
        if image.shape != images[0].shape:
            sizes = [list(tensor.shape[2:]) for tensor in (image, images[0])]
            raise InputError(
                f"{dataset.root / side['image']}: size {sizes[0]}, but {sides[0]['image']} has {sizes[1]}; "
                "prepare the data set again with one --size."
            )
    return sides, Atlases.of(torch.cat(images), window)


def load_side(dataset: prepared.Dataset, side: Side) -> tuple[Tensor, Tensor | None]:
    """Load an image of `sides_of` and its mask if it has one, (1, 1, *spatial) each."""
    pair = {"id": side["subject"], "fixed": side["image"], "fixed_mask": side.get("mask")}
    arrays = prepared.load_arrays(dataset, pair, ("fixed", "fixed_mask"))
    tensors = {key: torch.from_numpy(array)[None, None] for key, array in arrays.items()}
    return tensors["fixed"], tensors.get("fixed_mask")


def _box_around(inside: Tensor, margin: int) -> tuple[slice, ...]:
    """The part of (B, C, *spatial) that windows of the voxels ``inside`` (*spatial) reach."""
    ends = [(int(at.min()), int(at.max())) for at in inside.nonzero(as_tuple=True)]
    return (slice(None), slice(None), *(slice(max(low - margin, 0), high + margin + 1) for low, high in ends))


def _mean_and_square(image: Tensor, window: int) -> tuple[Tensor, Tensor]:
    mean = _box_mean(image, window)
    square = (_box_mean(image * image, window) - mean.square()).clamp_(min=0)
    return mean, square.mul_(window ** (image.dim() - 2))


def _box_mean(image: Tensor, window: int) -> Tensor:
    """Mean of the window around every voxel, zeros beyond the image; no gradient, and 5x as fast as by pooling."""
    for axis in range(2, image.dim()):
        margins = [0] * 2 * (image.dim() - 1 - axis) + [window // 2] * 2
        padded, size = F.pad(image, margins), image.shape[axis]
        image = padded.narrow(axis, 0, size) + padded.narrow(axis, 1, size)
        for shift in range(2, window):
            image += padded.narrow(axis, shift, size)
        image /= window
    return image

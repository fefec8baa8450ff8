"""How alike two images are, as losses, metrics and atlases share it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

POOL = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
FLAT = 1e-5  # of the product of two windows' summed squares: a window without structure correlates with nothing


def masked_mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """The mean of ``values``, where ``mask`` (same shape, 0 or 1) says so."""
    if mask is None:
        return values.mean()
    return (values * mask).sum() / mask.sum().clamp(min=1)


def squared_correlation(first: Tensor, second: Tensor, window: int) -> Tensor:
    """Squared correlation (B, 1, *spatial) in [0, 1] of two images in the window around each voxel, in float32.

    Zeros continue the images; a window in which one of them is constant has 0.
    """
    a, b = first.float(), second.float()
    count = window ** (a.dim() - 2)
    mean_a, mean_b = box_mean(a, window), box_mean(b, window)
    cross = count * (box_mean(a * b, window) - mean_a * mean_b)
    square_a = count * (box_mean(a * a, window) - mean_a.square()).clamp(min=0)
    square_b = count * (box_mean(b * b, window) - mean_b.square()).clamp(min=0)
    return (cross.square() / (square_a * square_b + FLAT)).clamp(max=1)


def box_mean(image: Tensor, window: int) -> Tensor:
    """Mean of the window around every voxel, axis after axis."""
    dims = image.dim() - 2
    for axis in range(dims):
        kernel = [window if other == axis else 1 for other in range(dims)]
        margins = [k // 2 for k in reversed(kernel) for _ in range(2)]  # pooling's own fail on volumes below a window
        image = POOL[dims](F.pad(image, margins), kernel, stride=1)
    return image

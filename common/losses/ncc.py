"""Local normalised cross-correlation, a baseline that does not mind a change of contrast."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ..errors import InputError
from ..interfaces import Deformation, Pair
from .base import Objective, masked_mean

POOL = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
FLAT = 1e-5  # of the product of two windows' summed squares: a window without structure correlates with nothing


class NCCObjective(Objective):
    """``-mean(ncc^2) + lambda * smoothness`` over windows (Balakrishnan et al., 2019, Eq. 6).

    Args:
        smooth_weight: lambda; this data term is some ten times as large as a squared residual.
        window: edge of the windows in voxels, odd.

    Raises:
        InputError: for a window that is not odd and above 1.
    """

    def __init__(self, smooth_weight: float = 1.0, window: int = 9) -> None:
        super().__init__(smooth_weight)
        if window < 3 or window % 2 == 0:
            raise InputError(f"window is {window}: it must be an odd number of voxels from 3 on.")
        self.window = window

    def data(self, pair: Pair, deformation: Deformation, companion_map: Tensor | None) -> Tensor:
        """From -1, where every window of one image is a multiple of the other's, to 0."""
        return -masked_mean(squared_correlation(deformation.warped, pair.fixed, self.window), pair.mask)


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

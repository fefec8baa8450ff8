"""Local normalised cross-correlation, a baseline that does not mind a change of contrast."""

from __future__ import annotations

from torch import Tensor

from ..errors import InputError
from ..interfaces import Deformation, Pair
from ..similarity import masked_mean, squared_correlation
from .base import Objective, Spacing


class NCCObjective(Objective):
    """``-mean(ncc^2) + lambda * smoothness`` over windows (Balakrishnan et al., 2019, Eq. 6).

    Args:
        smooth_weight: lambda; this data term is some ten times as large as a squared residual.
        window: edge of the windows in voxels, odd.
        smooth_spacing: edges of a voxel, mm, see ``Objective``.

    Raises:
        InputError: for a window that is not odd and above 1.
    """

    def __init__(self, smooth_weight: float = 1.0, window: int = 9, smooth_spacing: Spacing = None) -> None:
        super().__init__(smooth_weight, smooth_spacing)
        if window < 3 or window % 2 == 0:
            raise InputError(f"window is {window}: it must be an odd number of voxels from 3 on.")
        self.window = window

    def data(self, pair: Pair, deformation: Deformation, predicted: Tensor | None) -> Tensor:
        """From -1, where every window of one image is a multiple of the other's, to 0."""
        return -masked_mean(squared_correlation(deformation.observed, pair.fixed, self.window), pair.mask)

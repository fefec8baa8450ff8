"""Does the uncertainty find where the registration is wrong? Judged by labels, which no method here is trained on."""

from __future__ import annotations

from math import nan

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from .arrays import as_array, as_mask, same_shape
from .ranks import auroc
from .surface import bounding_box

BAND = 3.0
"""Reach of the band around the structures' borders, in voxels."""


def border_band(label: ArrayLike, reach: float = BAND, mask: ArrayLike | None = None) -> NDArray[np.bool_]:
    """Mark the voxels at most ``reach`` voxels (Euclidean, of whatever size in mm) from a border voxel.

    A border voxel has a face neighbour (4 in 2D, 6 in 3D) of another value, so a border runs along both its sides,
    between two structures as between a structure and the background; the edge of the image is none.

    Args:
        label: (*spatial) integer map.
        reach: in voxels, 0 or more; 0 marks the border voxels alone.
        mask: (*spatial), where the image is real; its edge is no border, and nothing beyond it is marked.

    Returns:
        (*spatial); all False for a label map of one value.

    Raises:
        InputError: if ``reach`` is below 0 or the shapes differ.
    """
    values = as_array(label)
    kept = np.ones(values.shape, dtype=bool) if mask is None else as_mask(mask)
    same_shape(label=values, mask=kept)
    if not reach >= 0:
        raise InputError(f"metrics: the band around borders reaches {reach} voxels; give 0 or more")
    from scipy.ndimage import distance_transform_edt  # slow to import

    border = np.zeros(values.shape, dtype=bool)
    for axis in range(values.ndim):
        low = (slice(None),) * axis + (slice(None, -1),)
        high = (slice(None),) * axis + (slice(1, None),)
        changes = (values[low] != values[high]) & kept[low] & kept[high]
        border[low] |= changes
        border[high] |= changes
    band = np.zeros(values.shape, dtype=bool)
    if border.any():
        margin = int(reach)  # nothing further out can be in the band
        box = tuple(slice(max(each.start - margin, 0), each.stop + margin) for each in bounding_box(border))
        band[box] = distance_transform_edt(~border[box]) <= reach
    return band & kept


def error_auroc(
    uncertainty: ArrayLike, warped_label: ArrayLike, fixed_label: ArrayLike, mask: ArrayLike | None = None
) -> float:
    """AUROC of finding the voxels whose warped label is not the fixed one where ``uncertainty`` is high.

    Every value of the maps counts, background included. Background far from any structure is easy to tell from a
    structure's border, so a figure over the whole image is high for any map that is high near edges;
    :func:`error_auroc_band` asks the harder question.

    Args:
        uncertainty: (*spatial), grows with the expected error (log variance, 1 - score).
        warped_label: (*spatial) integer map, the moving label under the field, nearest neighbour.
        fixed_label: (*spatial) integer map.
        mask: (*spatial), the voxels that count; None for all.

    Returns:
        0 to 1, 0.5 for chance; NaN where no voxel or every voxel is wrong, or a value is not finite.

    Raises:
        InputError: if the shapes differ.
    """
    return _auroc(uncertainty, warped_label, fixed_label, None if mask is None else as_mask(mask))


def error_auroc_band(
    uncertainty: ArrayLike,
    warped_label: ArrayLike,
    fixed_label: ArrayLike,
    reach: float = BAND,
    mask: ArrayLike | None = None,
) -> float:
    """Compute :func:`error_auroc` over the :func:`border_band` of the fixed label only; NaN where that is empty."""
    return _auroc(uncertainty, warped_label, fixed_label, border_band(fixed_label, reach, mask))


def _auroc(uncertainty: ArrayLike, warped: ArrayLike, fixed: ArrayLike, where: NDArray | None = None) -> float:
    values, ours, true = as_array(uncertainty), as_array(warped), as_array(fixed)
    same_shape(uncertainty=values, warped_label=ours, fixed_label=true)
    wrong = ours != true
    if where is not None:
        same_shape(mask=where, fixed_label=true)
        values, wrong = values[where], wrong[where]
    return auroc(values, wrong) if values.size else nan

"""Evaluate one registered pair by the published and by the standard protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import isnan, nan

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from .arrays import as_array, as_mask, same_shape
from .overlap import Overlap, Spacing, overlap
from .surface import bounding_box

Mask = NDArray[np.bool_]


def warp_mask(mask: ArrayLike, ddf: ArrayLike) -> NDArray[np.float64]:
    """Sample a binary mask (*spatial) linearly at ``x + ddf(x)``, 0 outside the image.

    The same map as ``spatial.warp``, but exact where the sampling point is a voxel: there ``grid_sample``
    leaves weights of about 1e-6 on the neighbours, which a threshold at > 0 would count.

    Args:
        mask: (*spatial), what is not zero belongs to it.
        ddf: (D, *spatial) in voxels.

    Returns:
        (*spatial), from 0 to 1.

    Raises:
        InputError: if the field does not fit the mask.
    """
    from scipy.ndimage import map_coordinates  # slow to import

    source, field = as_mask(mask), as_array(ddf)
    if field.shape != (source.ndim, *source.shape):
        raise InputError(f"metrics: a ddf of shape {list(field.shape)} does not fit a mask {list(source.shape)}")
    warped = np.zeros(source.shape)
    if not source.any():
        return warped
    box = bounding_box(source)
    axes = np.ogrid[tuple(slice(size) for size in source.shape)]
    where = [axis.astype(np.float32) + shift - limit.start for axis, shift, limit in zip(axes, field, box, strict=True)]
    # Only what samples within a voxel of the mask can be anything but 0.
    near = np.ones(source.shape, dtype=bool)
    for position, limit in zip(where, box, strict=True):
        near &= (position > -1) & (position < limit.stop - limit.start)
    points = np.array([position[near] for position in where])
    warped[near] = map_coordinates(source[box], points, output=float, order=1, mode="grid-constant", prefilter=False)
    return warped


def published(moving: Mask, fixed: Mask, warped: NDArray, spacing: Spacing) -> dict[str, float]:
    """Score a pair as the papers do (hetero, Zhang et al., MICCAI 2024; adacs, Zhang et al., ECCV 2024).

    The warped mask is what is > 0 of the linear interpolation, so it is dilated; HD is the larger direction in
    pixels, ASD runs from the fixed border to the warped one, and a pair with an empty mask on either side is NaN.
    """
    result = overlap(fixed, warped > 0)
    if isnan(result.hd):
        result = Overlap(nan)
    return {"dsc": 100 * result.dice, "hd": result.hd, "hd95": result.hd95, "asd": result.asd_directed}


def standard(moving: Mask, fixed: Mask, warped: NDArray, spacing: Spacing) -> dict[str, float]:
    """Score a pair by the warped mask at >= 0.5, with symmetric ASD, in voxels and in the unit of the spacing.

    A label that the moving or the fixed image lacks is NaN throughout: no registration could match it. One that both
    have and that the field removed from the image has Dice 0 and NaN distances.
    """
    result = overlap(fixed, warped >= 0.5, spacing) if moving.any() and fixed.any() else Overlap(nan)
    in_voxels = {"dsc": 100 * result.dice, "hd": result.hd, "hd95": result.hd95, "asd": result.asd}
    return in_voxels | {"hd_mm": result.hd_mm, "hd95_mm": result.hd95_mm, "asd_mm": result.asd_mm}


PROTOCOLS: dict[str, Callable[[Mask, Mask, NDArray, Spacing], dict[str, float]]] = {
    "published": published,
    "standard": standard,
}
"""Name -> protocol(moving mask, fixed mask, linearly warped mask, spacing) -> metrics by name."""


def evaluate_labels(
    moving_label: ArrayLike,
    fixed_label: ArrayLike,
    ddf: ArrayLike | None,
    labels: Iterable[int],
    spacing: Spacing = None,
    mask: ArrayLike | None = None,
) -> dict[int, dict[str, float]]:
    """Score each label of a pair: ``{label: {"published/dsc": ..., "standard/asd_mm": ...}}``.

    Args:
        moving_label: (*spatial) integer map.
        fixed_label: (*spatial) integer map.
        ddf: (D, *spatial) in voxels on the fixed grid; None scores the pair without registration.
        labels: the labels to score.
        spacing: size of a voxel along each array axis in mm; without it the ``_mm`` metrics are NaN.
        mask: (*spatial), where the fixed image is real; what lies in its padding belongs to no label.

    Returns:
        Dice in percent, distances in voxels or mm; all NaN where the field is not finite.

    Raises:
        InputError: if shapes or spacing do not fit, or no label is given.
    """
    moving, fixed = as_array(moving_label), as_array(fixed_label)
    same_shape(moving_label=moving, fixed_label=fixed)
    field = None if ddf is None else as_array(ddf)
    wanted = list(labels)
    if not wanted:
        raise InputError("metrics: no label to evaluate; name at least one in evaluated_labels")
    kept = None if mask is None else as_mask(mask)
    if kept is not None:
        same_shape(fixed_label=fixed, mask=kept)
    scores = {label: _score(moving == label, fixed == label, field, spacing, kept) for label in wanted}
    if field is not None and not np.isfinite(field).all():
        return {label: dict.fromkeys(score, nan) for label, score in scores.items()}
    return scores


def _score(moving: Mask, fixed: Mask, field: NDArray | None, spacing: Spacing, kept: Mask | None) -> dict[str, float]:
    warped = moving.astype(float) if field is None else warp_mask(moving, field)
    if kept is not None:
        fixed, warped = fixed & kept, np.where(kept, warped, 0.0)
    return {
        f"{name}/{metric}": value
        for name, protocol in PROTOCOLS.items()
        for metric, value in protocol(moving, fixed, warped, spacing).items()
    }


def evaluate_pair(
    moving_label: ArrayLike,
    fixed_label: ArrayLike,
    ddf: ArrayLike | None,
    labels: Iterable[int],
    spacing: Spacing = None,
    mask: ArrayLike | None = None,
) -> dict[str, float]:
    """Average :func:`evaluate_labels` over the labels: ``{"published/dsc": ..., ..., "standard/asd_mm": ...}``.

    A metric that one label lacks is averaged over the others, and is NaN if all lack it; to count such labels one by
    one use ``evaluate_labels``. Arguments and errors as there.
    """
    return average_labels(evaluate_labels(moving_label, fixed_label, ddf, labels, spacing, mask))


def average_labels(scores: dict[int, dict[str, float]]) -> dict[str, float]:
    """Average each metric over the labels that have it; NaN if none does."""
    names = next(iter(scores.values()))
    return {name: mean_of_known(score[name] for score in scores.values()) for name in names}


def mean_of_known(values: Iterable[float]) -> float:
    """The mean of those that are not NaN; NaN if there are none."""
    known = [value for value in values if not isnan(value)]
    return sum(known) / len(known) if known else nan

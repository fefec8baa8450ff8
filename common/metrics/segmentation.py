"""Overlap of a predicted label map with the true one, class by class."""

from __future__ import annotations

from numpy.typing import ArrayLike

from .arrays import as_array, as_mask, same_shape
from .overlap import dice


def class_dice(
    predicted_label: ArrayLike, fixed_label: ArrayLike, num_classes: int, mask: ArrayLike | None = None
) -> dict[int, float]:
    """Dice in percent of every foreground class: ``{1: ..., num_classes - 1: ...}``.

    Args:
        predicted_label: (*spatial) integer map.
        fixed_label: (*spatial) integer map.
        num_classes: the classes, background (0) included.
        mask: (*spatial), the voxels that count; None for all.

    Returns:
        0 to 100; NaN for a class that both maps lack.

    Raises:
        InputError: if the shapes differ.
    """
    ours, true = as_array(predicted_label), as_array(fixed_label)
    same_shape(predicted_label=ours, fixed_label=true)
    if mask is not None:
        kept = as_mask(mask)
        same_shape(predicted_label=ours, mask=kept)
        ours, true = ours[kept], true[kept]
    return {c: 100 * dice(ours == c, true == c) for c in range(1, num_classes)}

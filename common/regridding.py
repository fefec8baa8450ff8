"""Put an image on another grid, where both lie in space: the one resampler of all programs.

Nothing is warped here, but for a motion that is known already. An image ends half a voxel beyond its outer voxel
centres, to which their values go on (as in ITK), so that headers that differ in their last digits, or axes that are
stored the other way round, lose no voxel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from .chain import move
from .errors import InputError
from .fields import Transform
from .grids import apart, resample, same_grid, spacing_of
from .io.images import MedicalImage
from .physical import background, beyond, grid_points, held


def on_grid(
    array: np.ndarray,
    affine: np.ndarray,
    shape: Sequence[int],
    grid: np.ndarray,
    order: int = 1,
    initial: Transform | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return ``array`` (i, j[, k]) on a grid of ``shape`` and affine ``grid``, and where it is seen there (bool).

    What is not seen has the nearest value for linear sampling (see `filled`), and 0 for the nearest voxel.

    Args:
        affine: (4, 4) voxel to RAS mm of the array.
        order: 1 linear (float32), averaged where the array's voxels are much smaller than the grid's; 0 the nearest
            voxel (the array's own type).
        initial: where a point of the grid lies in the array's space; None is where it is.
    """
    if order:
        array, affine = _coarsened(array, affine, shape, grid)
    points = grid_points(shape, grid).reshape(-1, len(shape))
    points = points if initial is None else move(points, initial)
    seen = ~beyond(points, affine, array.shape).reshape(shape)
    values = held(points, torch.from_numpy(array.astype(np.float64))[None], affine, order).reshape(shape)
    return (values.astype(np.float32), seen) if order else (np.where(seen, values, 0).astype(array.dtype), seen)


def _coarsened(
    array: np.ndarray, affine: np.ndarray, shape: Sequence[int], grid: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Average voxels that are much smaller than those of ``grid``, so that sampling them leaves out none."""
    own, steps = spacing_of(affine)[: array.ndim], np.array(spacing_of(grid)[: len(shape)])
    ours = grid[:3, : len(shape)] / steps
    along = [float(steps[np.abs(affine[:3, axis] @ ours).argmax()]) for axis in range(array.ndim)]
    wanted = [step if step > 1.5 * size else size for step, size in zip(along, own, strict=True)]
    return (array, affine) if wanted == list(own) else resample(array, affine, wanted)


def filled(values: np.ndarray, seen: np.ndarray, dims: int, given: float | None = None) -> np.ndarray:
    """Give what is not seen of an image the smallest value that is, so that it changes no range, or the one ``given``.

    With ``dims`` 2 slice by slice. So too what is as small but for rounding: a slice of nothing else would be scaled
    to [0, 1] like any other.
    """
    if given is not None:
        return np.where(seen, values, given).astype(np.float32)
    low = np.min(values, axis=tuple(range(dims)), keepdims=True, where=seen, initial=np.inf)
    low = np.where(np.isfinite(low), low, background(values))
    rounding = 1e-6 * float(np.ptp(values))
    return np.where(seen & (values > low + rounding), values, low).astype(np.float32)


def matched_label(label: MedicalImage, image: MedicalImage) -> tuple[np.ndarray, str]:
    """Return a label map on its image's grid, and a remark where their headers disagree ("" where they do not).

    Headers that differ by less than a thousandth of a voxel are the same. Others are taken at their word: the labels
    are matched in space, to the nearest voxel.

    Raises:
        InputError: no label lies in the image.
    """
    if same_grid(label.affine, image.affine, image.array.shape) and label.array.shape == image.array.shape:
        return label.array, ""
    array, _ = on_grid(label.array, label.affine, image.array.shape, image.affine, order=0)
    if label.array.any() and not array.any():
        raise InputError(
            f"{label.path}: by its header no label of it lies in {image.path.name}; give the image's own map, or "
            "copy the image's header to it."
        )
    return array, f"{label.path}: {_difference(label, image)}; its labels were matched in space"


def _difference(label: MedicalImage, image: MedicalImage) -> str:
    if label.array.shape != image.array.shape:
        return f"has another grid ({list(label.array.shape)}) than {image.path.name} ({list(image.array.shape)})"
    away = apart(label.affine, image.affine, image.array.shape)
    return f"by its header its voxels lie up to {away:.3g} voxels from those of {image.path.name}"

"""Where a voxel lies in space: crop, pad and resample an array together with its affine, and read that of a file.

Arrays are indexed as nibabel gives them, spatial axes first; an affine maps voxel indices to millimetres
(RAS+). Pure functions: nothing is changed in place.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Array = np.ndarray


def spacing_of(affine: Array) -> tuple[float, float, float]:
    """Return the voxel size (mm) along i, j, k of a (4, 4) affine."""
    i, j, k = np.linalg.norm(np.asarray(affine)[:3, :3], axis=0)
    return float(i), float(j), float(k)


def with_spacing(affine: Array, spacing: Sequence[float]) -> Array:
    """Return ``affine`` with its columns scaled to ``spacing`` (mm); direction and origin stay.

    Some files (all of ACDC) carry a unit affine beside the true voxel size; ITK reads them in this way too.
    """
    scaled = np.array(affine, dtype=float)
    scaled[:3, : len(spacing)] *= np.asarray(spacing, dtype=float) / spacing_of(affine)[: len(spacing)]
    return scaled


def centre_start(shape: Sequence[int], size: Sequence[int]) -> tuple[int, ...]:
    """Return where a box of ``size`` starts (negative: it pads) to share its centre with ``shape``."""
    return tuple((n - m) // 2 for n, m in zip(shape, size, strict=True))


def start_around(centre: Sequence[float], size: Sequence[int]) -> tuple[int, ...]:
    """Return where a box of ``size`` starts to have the voxel nearest to ``centre`` in its middle."""
    return tuple(int(np.floor(c + 0.5)) - m // 2 for c, m in zip(centre, size, strict=True))


def crop_or_pad(array: Array, start: Sequence[int], size: Sequence[int], fill: float = 0) -> Array:
    """Return the box ``array[start : start + size]``, ``fill`` where it leaves the array.

    Args:
        array: (*spatial, ...); axes after the first ``len(start)`` are kept whole.
        start: first index of the box along each axis; may be negative.
        size: shape of the box.
    """
    box = np.full((*size, *array.shape[len(start) :]), fill, array.dtype)
    source, target = [], []
    for first, length, available in zip(start, size, array.shape, strict=False):
        low, high = max(first, 0), max(min(first + length, available), 0)
        source.append(slice(low, max(low, high)))
        target.append(slice(low - first, max(low, high) - first))
    if all(s.stop > s.start for s in source):
        box[tuple(target)] = array[tuple(source)]
    return box


def crop_affine(affine: Array, start: Sequence[int]) -> Array:
    """Return the (4, 4) affine of a box that starts at voxel ``start`` (2 or 3 indices)."""
    moved = np.array(affine, dtype=float)
    moved[:3, 3] += moved[:3, : len(start)] @ np.asarray(start, dtype=float)
    return moved


def resize(array: Array, size: Sequence[int], order: int = 1) -> Array:
    """Resample the first ``len(size)`` axes to ``size`` voxels over the same extent.

    Args:
        array: (*spatial, ...).
        size: the new shape of the spatial axes.
        order: 1 = linear, averaging what a larger voxel covers (float32); 0 = nearest, for labels.
    """
    for axis, (old, new) in enumerate(zip(array.shape, size, strict=False)):
        array = _resample_axis(array, axis, new, old / new, order)
    return array if order == 0 else array.astype(np.float32)


def resize_affine(affine: Array, old: Sequence[int], new: Sequence[int]) -> Array:
    """Return the (4, 4) affine after :func:`resize` from shape ``old`` to shape ``new``."""
    return _scaled_affine(affine, old, new, [o / n for o, n in zip(old, new, strict=True)])


def resampled_shape(shape: Sequence[int], old: Sequence[float], new: Sequence[float]) -> tuple[int, ...]:
    """Return how many voxels of spacing ``new`` cover ``shape`` voxels of spacing ``old``, at least one."""
    return tuple(max(1, round(n * o / s)) for n, o, s in zip(shape, old, new, strict=True))


def resample(array: Array, affine: Array, spacing: Sequence[float], order: int = 1) -> tuple[Array, Array]:
    """Resample an (X, Y, Z) volume to ``spacing`` (mm) about its centre; return it and its affine."""
    old = spacing_of(affine)
    shape = array.shape[: len(spacing)]
    size = resampled_shape(shape, old[: len(spacing)], spacing)
    scale = [s / o for s, o in zip(spacing, old, strict=False)]
    resampled = array
    for axis, (new, factor) in enumerate(zip(size, scale, strict=True)):
        resampled = _resample_axis(resampled, axis, new, factor, order)
    resampled = resampled if order == 0 else resampled.astype(np.float32)
    return resampled, _scaled_affine(affine, shape, size, scale)


def min_max(array: Array, percentiles: Sequence[float] = (0.0, 100.0), inside: Array | None = None) -> Array:
    """Scale intensities to [0, 1] as float32 by the extremes (or percentiles) of the voxels ``inside``.

    A constant image becomes zero; so does what is not inside (padding).
    """
    values = (array if inside is None else array[inside]).astype(np.float64, copy=False)
    if values.size == 0:
        return np.zeros(array.shape, np.float32)
    low, high = np.percentile(values, percentiles)
    scaled = np.zeros(array.shape, np.float64) if high <= low else np.clip((array - low) / (high - low), 0, 1)
    return (scaled if inside is None else scaled * inside).astype(np.float32)


def _scaled_affine(affine: Array, old: Sequence[int], new: Sequence[int], scale: Sequence[float]) -> Array:
    change = np.eye(4)
    for axis, (before, after, factor) in enumerate(zip(old, new, scale, strict=True)):
        change[axis, axis] = factor
        change[axis, 3] = (before - 1) / 2 - (after - 1) / 2 * factor
    return np.asarray(affine, dtype=float) @ change


def _resample_axis(array: Array, axis: int, size: int, scale: float, order: int) -> Array:
    """Sample ``size`` points, ``scale`` old voxels apart and centred on the axis."""
    old = array.shape[axis]
    if old == size and scale == 1:
        return array
    position = (old - 1) / 2 + (np.arange(size) - (size - 1) / 2) * scale
    if order == 0:
        return np.take(array, np.clip(np.floor(position + 0.5), 0, old - 1).astype(int), axis=axis)
    weights = _weights(position, old, scale).astype(np.float32)
    resampled = np.tensordot(weights, array.astype(np.float32, copy=False), axes=(1, axis))
    return np.moveaxis(resampled, 0, axis)


def _weights(position: Array, old: int, scale: float) -> Array:
    """Return the (new, old) weights of each sample: the mean of the linear interpolant over ``scale - 1`` voxels.

    Plain linear interpolation where voxels do not grow; without aliasing, and exact for linear ramps, where
    they do. Positions beyond the axis take its end.
    """
    width = min(max(scale - 1, 0), old - 1)
    offset = np.clip(position, width / 2, old - 1 - width / 2)[:, None] - np.arange(old)
    if width < 1e-6:
        return np.clip(1 - np.abs(offset), 0, None)
    return (_hat_integral(offset + width / 2) - _hat_integral(offset - width / 2)) / width


def _hat_integral(t: Array) -> Array:
    """Integrate ``max(0, 1 - |x|)`` up to ``t``."""
    t = np.clip(t, -1, 1)
    return np.where(t < 0, (t + 1) ** 2 / 2, 1 - (1 - t) ** 2 / 2)


def same_grid(first: Array, second: Array, shape: Sequence[int] | None = None, tolerance: float = 1e-3) -> bool:
    """Tell whether two affines agree but for rounding: every voxel to ``tolerance`` of the smallest voxel side.

    Args:
        shape: of the grid; None compares only what a single voxel tells of it.
    """
    return apart(first, second, shape or (2, 2, 2)) < tolerance


def apart(first: Array, second: Array, shape: Sequence[int]) -> float:
    """Return how far the same voxel of two grids of ``shape`` can lie apart, in smallest voxel sides of the second."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in (*shape, 1, 1)[:3]])).reshape(3, -1)
    change = np.asarray(first, dtype=float)[:3] - np.asarray(second, dtype=float)[:3]
    return float(np.linalg.norm(change[:, :3] @ corners + change[:, 3:], axis=0).max() / min(spacing_of(second)))

"""Slices of a stack that lie shifted in their plane, each taken in a breath hold of its own: by how much, and back.

The shift s_k of slice k says where its content lies:

    shifted(volume, s)[x, k] = volume[x + s_k, k]

All images of one acquisition (the phases of a cine) share it, and so do their labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .errors import InputError
from .slice_offsets import likenesses

LIMIT = 12.0
"""Mm: no slice is shifted further."""
SHIFT, BEND, ERROR = 3.0, 0.3, 0.7
"""Mm, along an axis: how far a slice is expected to be off, how much the way of the anatomy from slice to slice is
expected to turn, and how wrong an offset between two slices is expected to be. See `_settled`."""
AROUND = 6.0
"""Mm: how far the surroundings of the region count, a Gaussian's standard deviation."""
PASSES = 3
LEAST = 3
"""Slices below which no shift can be told from the way of the anatomy."""
STACK = 1.5
"""How many times the largest spacing is that of the others, at least, in a stack of slices."""


def slice_shifts(
    images: Sequence[np.ndarray],
    spacing: Sequence[float],
    slice_axis: int = 2,
    region: np.ndarray | None = None,
    limit: float = LIMIT,
) -> np.ndarray:
    """Estimate the shifts (slices, 2) of a stack, in voxels along its two axes in the plane.

    Each slice is compared with the two behind it, in all images at once. What is smooth in the way that the content
    takes from slice to slice is the anatomy's and stays: an oblique heart stays oblique. So a shift that all slices
    share, or that grows evenly, cannot be told, and fewer than three slices are not shifted; nor is a slice without
    structure.

    Args:
        images: of one shape (i, j, k), which share their shifts.
        spacing: of their three axes, mm.
        region: (i, j, k) bool, what to look at; None is where the images differ, or everything if they do not.
        limit: mm; no slice is shifted further.

    Raises:
        InputError: images of other than three axes, of several shapes, or NaN or infinite; an axis, a spacing or a
            limit that there cannot be.
    """
    _check(images, spacing, slice_axis, region, limit)
    stacks = [np.moveaxis(np.asarray(image, float), slice_axis, 0) for image in images]
    shifts, plane = np.zeros((len(stacks[0]), 2)), np.delete(np.asarray(spacing, float), slice_axis)
    if len(shifts) < LEAST:
        return shifts
    looked = _moving(stacks) if region is None or not region.any() else np.moveaxis(region, slice_axis, 0)
    found = likenesses(stacks, plane, _weights(looked, plane), limit)
    for _ in range(PASSES):
        peaks = [(each.first, each.second, *each.peak(shifts[each.second] - shifts[each.first])) for each in found]
        shifts = _settled(peaks, len(shifts))
    length = np.linalg.norm(shifts, axis=1, keepdims=True)
    return shifts * np.minimum(1, limit / np.maximum(length, 1e-12)) / plane


def shifted(volume: np.ndarray, shifts: np.ndarray, slice_axis: int = 2, order: int = 1) -> np.ndarray:
    """Return ``volume`` (i, j, k) with slice k sampled at ``x + shifts[k]``; beyond its border it goes on as there.

    Args:
        shifts: (slices, 2) in voxels along the two axes in the plane.
        order: 1 linear (float32), 0 the nearest voxel, for labels (the array's own type).
    """
    slices = np.moveaxis(volume, slice_axis, 0)
    if np.shape(shifts) != (len(slices), 2):
        raise ValueError(f"Shifts of shape {list(np.shape(shifts))} for {len(slices)} slices; give (slices, 2).")
    moved = [_slid(_slid(each, 0, s[0], order), 1, s[1], order) for each, s in zip(slices, shifts, strict=True)]
    return np.ascontiguousarray(np.moveaxis(np.stack(moved), 0, slice_axis))


def stack_axis(spacing: Sequence[float]) -> int | None:
    """The axis across the slices, by far that of the largest spacing; None where voxels are too even for a stack."""
    order = np.argsort(spacing)
    return int(order[-1]) if len(spacing) == 3 and spacing[order[-1]] >= STACK * spacing[order[-2]] else None


def _slid(image: np.ndarray, axis: int, shift: float, order: int) -> np.ndarray:
    last = image.shape[axis] - 1
    low = int(np.floor(shift if order else shift + 0.5))
    places = np.arange(last + 1) + low
    below, above = (np.take(image, np.clip(at, 0, last), axis) for at in (places, places + 1))
    return below if order == 0 else (below + np.float32(shift - low) * (above - below)).astype(np.float32)


def _settled(peaks: Sequence[tuple[int, int, np.ndarray, float]], count: int) -> np.ndarray:
    """The shifts (count, 2) in mm that explain the offsets between slices best.

    Where slice k lies is p_k = s_k + g_k, its shift and the way of the anatomy. The least sum, along each axis, of

        a_kl ((p_l - p_k - d_kl) / ERROR)^2 + (s_k / SHIFT)^2 + ((g_k-1 - 2 g_k + g_k+1) / BEND)^2

    a_kl being how alike two slices are, squared; slices two apart count a quarter, and outliers less (Huber's weights).
    """
    size = 2 * count  # unknowns: s, g
    eye, bends = np.eye(count), np.diff(np.eye(count), 2, axis=0)
    prior = [np.hstack([eye / SHIFT, 0 * eye]), np.hstack([0 * bends, bends / BEND]), np.hstack([0 * eye, 1e-3 * eye])]
    first, second = (np.array([peak[end] for peak in peaks], int) for end in (0, 1))
    differences = np.tile(eye[second] - eye[first], 2).reshape(-1, size)
    offsets = np.array([peak[2] for peak in peaks]).reshape(-1, 2)
    trust = np.array([peak[3] for peak in peaks]) / ERROR / (second - first)
    shifts = np.zeros((count, 2))
    for axis in range(2):
        weight = np.ones(len(peaks))
        for _ in range(8):
            rows = np.vstack([(np.sqrt(weight) * trust)[:, None] * differences, *prior])
            wanted = np.zeros(len(rows))
            wanted[: len(peaks)] = np.sqrt(weight) * trust * offsets[:, axis]
            solved = np.linalg.lstsq(rows, wanted, rcond=None)[0]
            weight = 1 / np.maximum(1, np.abs(differences @ solved - offsets[:, axis]) / (1.5 * ERROR))
        shifts[:, axis] = solved[:count]
    return shifts


def _moving(stacks: Sequence[np.ndarray]) -> np.ndarray:
    """Where the stacks (k, i, j) differ, near the middle of their plane, as a heart does: bool, alike in all slices."""
    from scipy.ndimage import gaussian_filter  # slow to import

    shape = stacks[0].shape
    energy = np.ptp(np.stack(stacks), axis=0).mean(axis=0)
    energy = gaussian_filter(energy, [0.03 * n for n in energy.shape])
    for axis, n in enumerate(energy.shape):
        middle = np.exp(-0.5 * ((np.arange(n) - (n - 1) / 2) / (0.25 * n)) ** 2)
        energy = energy * (middle[:, None] if axis == 0 else middle)
    return np.broadcast_to(energy >= energy.max() / 2, shape)  # everything, where all of it is 0


def _weights(region: np.ndarray, plane: np.ndarray) -> np.ndarray:
    """How much each place of the slices counts: ``region`` (k, i, j) and around it; of a slice without any, all's."""
    from scipy.ndimage import gaussian_filter  # slow to import

    own = region.any(axis=(1, 2), keepdims=True)
    looked = np.where(own, region, region.any(axis=0)).astype(float)
    return gaussian_filter(looked, (0, *(AROUND / plane)))


def _check(
    images: Sequence[np.ndarray], spacing: Sequence[float], slice_axis: int, region: np.ndarray | None, limit: float
) -> None:
    shapes = {np.shape(image) for image in (*images, *([] if region is None else [region]))}
    if len(shapes) != 1 or len(next(iter(shapes))) != 3:
        told = " and ".join(str(list(shape)) for shape in sorted(shapes)) or "no images"
        raise InputError(f"{told}: slices are aligned in stacks (i, j, k) of one shape; give such.")
    if slice_axis not in range(3):
        raise InputError(f"slice_axis is {slice_axis!r}; give 0, 1 or 2.")
    if len(spacing) != 3 or not all(0 < each < np.inf for each in spacing):
        raise InputError(f"spacing is {list(spacing)!r}; give three lengths in mm.")
    if not 0 < limit < np.inf:
        raise InputError(f"limit is {limit!r}; give a length in mm.")
    if not all(np.isfinite(image).all() for image in images):
        raise InputError("the images hold NaN or infinite values; replace them, for instance by 0.")

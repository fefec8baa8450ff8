"""Borders of binary masks, and the distance from each border point of one mask to the other's border."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Up to this many point pairs the whole distance matrix is cheaper than two trees (measured in 2D and 3D).
MATRIX_LIMIT = 2**20


def bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """Find the smallest box around a mask that is not empty; each axis is searched inside the box so far."""
    box = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        hit = np.flatnonzero(mask.any(axis=others))
        box.append(slice(int(hit[0]), int(hit[-1]) + 1))
        mask = mask[(slice(None),) * axis + (box[-1],)]
    return tuple(box)


def border_points(fixed: NDArray[np.bool_], warped: NDArray[np.bool_]) -> tuple[NDArray, NDArray]:
    """Find the border points of two masks of one shape, as float32 coordinates (D, N) in voxels.

    A border point is a voxel of the mask with a face neighbour (4 in 2D, 6 in 3D) outside the mask; outside the
    image counts as outside the mask, so a mask that touches the edge of the image has a border there. This equals
    ``mask ^ scipy.ndimage.binary_erosion(mask)``. The coordinates are relative to one origin common to both masks.
    """
    inner = (slice(1, -1),) * fixed.ndim
    masks = np.zeros((2, *(size + 2 for size in fixed.shape)), dtype=bool)
    masks[(0, *inner)], masks[(1, *inner)] = fixed, warped
    # The margin keeps the two masks and the rows apart, so a neighbour is a shift of the flat array.
    flat = masks.ravel()
    border = flat.copy()
    for stride in masks.strides[1:]:
        border[stride:] &= flat[:-stride]
        border[:-stride] &= flat[stride:]
    border ^= flat
    first, second = (_coordinates(mask, masks.shape[1:]) for mask in border.reshape(2, -1))
    return first, second


def _coordinates(flat_mask: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.array(np.unravel_index(np.flatnonzero(flat_mask), shape), dtype=np.float32)


def nearest_distances(first: NDArray, second: NDArray) -> tuple[NDArray, NDArray]:
    """Measure the distance from each point of ``first`` (D, N) to ``second`` (D, M), and the reverse: (N,), (M,)."""
    if first.shape[1] * second.shape[1] > MATRIX_LIMIT:
        return _by_tree(first, second), _by_tree(second, first)
    squared = np.subtract.outer(first[0], second[0])
    squared *= squared
    for a, b in zip(first[1:], second[1:], strict=True):
        along_axis = np.subtract.outer(a, b)
        along_axis *= along_axis
        squared += along_axis
    return np.sqrt(squared.min(axis=1)), np.sqrt(squared.min(axis=0))


def _by_tree(points: NDArray, targets: NDArray) -> NDArray:
    from scipy.spatial import KDTree  # rarely needed, and slow to import

    tree = KDTree(targets.T, balanced_tree=False, compact_nodes=False)
    return tree.query(points.T)[0]

"""Warp images, points and fields in physical space, whatever the grids.

A `Field` lives on the fixed image's grid and maps a point p of the fixed to ``p + u(p)`` of the moving image, in LPS
mm. An image is pulled by it: ``warped(p) = moving(p + u(p))``. A point of the moving image goes the other way, by the
inverse. A 2D image or field has points of two components, in the plane of `io.geometry.plane_of`.

Beyond its outer voxel centres a warped image fades into ``fill`` within one voxel, as in `spatial.warp` (ITK repeats
the border for half a voxel and then stops); a field goes on as its nearest vector (ITK: zero). Along an axis of a
single voxel an image reaches half a voxel to both sides. What is not warped but only put on another grid ends as in
ITK, see `regridding`. What lies outside of an image is its `background`, everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F

from .fields import Field, lps_frame
from .outliers import usual_range

CHUNK = 2**20  # points at a time, which bounds the memory
ITERATIONS = 200
CONVERGED = 1e-4  # of the smallest voxel side
SMALLEST_STEP = 1e-3
HALF = 0.5 + 1e-3  # voxels: how far an image reaches beyond its outer centres, headers being rounded


def sample(
    array: np.ndarray, affine: np.ndarray, points_lps: np.ndarray, order: int = 1, fill: float = 0.0
) -> np.ndarray:
    """Return the values of ``array`` (i, j) or (i, j, k) at ``points_lps`` (..., D), in LPS mm, as (...).

    Args:
        affine: (4, 4) voxel to RAS mm.
        order: 1 linear (float32), 0 the nearest voxel (the array's own type).
        fill: the value outside.

    Raises:
        ValueError: another order, or points of another dimension.
        InputError: an affine without an inverse.
    """
    points = np.asarray(points_lps, dtype=float)
    if order not in (0, 1):
        raise ValueError(f"order is {order}; it is 0 (nearest) or 1 (linear).")
    if array.ndim not in (2, 3) or points.shape[-1] != array.ndim:
        raise ValueError(f"Points of shape {list(points.shape)} do not lie in an array of shape {list(array.shape)}.")
    values = _image(array, fill)
    flat = points.reshape(-1, array.ndim)
    sampled = np.empty(len(flat), np.float32 if order else array.dtype)
    for part in _chunks(len(flat)):
        index = _indices(flat[part], affine, array.shape)
        index[_beyond_lone_axes(index, array.shape)] = -2.0  # outside
        sampled[part] = _interpolate(values, index, order)[0] + fill
    return sampled.reshape(points.shape[:-1])


def _image(array: np.ndarray, fill: float) -> torch.Tensor:
    # grid_sample fills with zero
    return torch.from_numpy(array.astype(np.float64) - fill)[None]


def _chunks(count: int) -> Iterator[slice]:
    return (slice(start, start + CHUNK) for start in range(0, count, CHUNK))


def _indices(points: np.ndarray, affine: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    matrix, origin = lps_frame(affine, len(shape))
    return (points - origin) @ np.linalg.inv(matrix).T


def _beyond_lone_axes(index: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Which points lie off a single slice; those on it are moved to its centre, in place."""
    beyond = np.zeros(len(index), bool)
    for axis in (a for a, n in enumerate(shape) if n == 1):
        beyond |= np.abs(index[:, axis]) > HALF
        index[:, axis] = 0
    return beyond


def _interpolate(values: torch.Tensor, index: np.ndarray, order: int = 1, padding: str = "zeros") -> np.ndarray:
    """Values (C, N) of ``values`` (C, *spatial) float64 at voxel positions (N, D)."""
    shape = np.array(values.shape[1:])
    grid = torch.from_numpy(((2 * index + 1) / shape - 1)[:, ::-1].copy())
    grid = grid.reshape(*[1] * len(shape), -1, len(shape))
    mode = "bilinear" if order else "nearest"
    found = F.grid_sample(values[None], grid, mode=mode, padding_mode=padding, align_corners=False)
    return found.reshape(len(values), -1).numpy()


def grid_points(shape: Sequence[int], affine: np.ndarray) -> np.ndarray:
    """Return where the voxels of a grid lie: (*shape, D) in LPS mm."""
    matrix, origin = lps_frame(affine, len(shape))
    index = np.stack(np.meshgrid(*[np.arange(n, dtype=float) for n in shape], indexing="ij"), axis=-1)
    return index @ matrix.T + origin


def warp_image(array: np.ndarray, affine: np.ndarray, field: Field, order: int = 1, fill: float = 0.0) -> np.ndarray:
    """Pull a moving image (i, j[, k]) of ``affine`` onto the field's grid: ``moving(p + u(p))``; see `sample`."""
    return sample(array, affine, grid_points(field.shape, field.affine) + field.vectors, order, fill)


def background(array: np.ndarray, given: float | None = None) -> float:
    """What lies outside of an image: its smallest value but for outliers: 0, the air of a CT, or an offset.

    So an image less a constant gives the same results, less that constant.

    Args:
        given: the value that a user asked for instead.
    """
    return usual_range(array).low if given is None else given


def transform_points(points_lps: np.ndarray, field: Field) -> np.ndarray:
    """Return ``p + u(p)`` of points (..., D) in LPS mm of the fixed image: where they lie in the moving one.

    Linear between voxels; outside, u is that of the nearest point of the grid.

    Raises:
        ValueError: points of another dimension than the field's.
    """
    points = np.asarray(points_lps, dtype=float)
    if points.shape[-1] != field.dims:
        raise ValueError(f"Points of shape {list(points.shape)} do not lie in a {field.dims}D field.")
    return points + _vectors_at(points.reshape(-1, field.dims), field, _values(field)).reshape(points.shape)


def _values(field: Field) -> torch.Tensor:
    """The vectors as `_interpolate` takes them, (D, *spatial) float64."""
    return torch.from_numpy(np.moveaxis(field.vectors, -1, 0).astype(np.float64))


def _vectors_at(points: np.ndarray, field: Field, values: torch.Tensor) -> np.ndarray:
    return held(points, values, field.affine)


def held(points: np.ndarray, values: torch.Tensor, affine: np.ndarray, order: int = 1) -> np.ndarray:
    """Values (N, C) of ``values`` (C, *spatial) float64 at points (N, D); outside, of the nearest point of the grid."""
    shape = values.shape[1:]
    found = np.empty((len(points), len(values)))
    for part in _chunks(len(points)):
        index = np.clip(_indices(points[part], affine, shape), 0, np.array(shape) - 1.0)
        found[part] = _interpolate(values, index, order, padding="border").T
    return found


def outside(points_lps: np.ndarray, field: Field) -> np.ndarray:
    """Tell which points (..., D), in LPS mm, lie more than half a voxel off the field's grid, as (...)."""
    return beyond(np.asarray(points_lps, dtype=float), field.affine, field.shape)


def beyond(points: np.ndarray, affine: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Which points (..., D) lie more than half a voxel (and what is rounded) off a grid, as (...)."""
    index = _indices(points, affine, shape)
    return np.asarray(((index < -HALF) | (index > np.array(shape) - 1 + HALF)).any(-1))


def invert_points(points_lps: np.ndarray, field: Field) -> tuple[np.ndarray, np.ndarray]:
    """Return q with ``q + u(q) = p`` for points p (..., D) in LPS mm of the moving image, and the error left, in mm.

    Where p of the moving image lies in the fixed one: it moves with the image that the field pulls. Each point takes
    fixed-point steps that are halved where they do not help, so that stretching by more than its own distance, at which
    the plain iteration diverges, is inverted too. Where the field folds, p has several such q: one is found, or none,
    and then the error, ``|q + u(q) - p|``, stays large.
    """
    points = np.asarray(points_lps, dtype=float)
    target, values = points.reshape(-1, field.dims), _values(field)
    found = target - _vectors_at(target, field, values)
    error = found + _vectors_at(found, field, values) - target
    size, step = np.linalg.norm(error, axis=1), np.ones(len(target))
    limit = CONVERGED * min(np.linalg.norm(lps_frame(field.affine, field.dims)[0], axis=0))
    active = np.arange(len(target))
    for _ in range(ITERATIONS):
        active = active[(size[active] > limit) & (step[active] > SMALLEST_STEP)]
        if not len(active):
            break
        trial = found[active] - step[active, None] * error[active]
        left = trial + _vectors_at(trial, field, values) - target[active]
        left_size = np.linalg.norm(left, axis=1)
        better = left_size < size[active]
        step[active] *= np.where(better, np.minimum(1.5, 1 / step[active]), 0.5)
        kept = active[better]
        found[kept], error[kept], size[kept] = trial[better], left[better], left_size[better]
    return found.reshape(points.shape), size.reshape(points.shape[:-1])


def invert_field(field: Field, shape: Sequence[int], affine: np.ndarray) -> tuple[Field, np.ndarray]:
    """Return v with ``v(p) = -u(p + v(p))`` on a grid (the moving image's), and what is left of it, in mm a voxel.

    The residual ``|u(p + v(p)) + v(p)|`` is large only where the field folds, see `invert_points`.
    """
    points = grid_points(shape, affine)
    found, residual = invert_points(points, field)
    return Field(found - points, affine), residual.astype(np.float32)


def jacobian_determinant(field: Field) -> np.ndarray:
    """Return det d(p + u)/dp, (*spatial) float32, by central differences (one-sided at the border, as numpy's).

    1 keeps the volume; at or below 0 the field folds. Along an axis of a single voxel nothing changes.
    """
    inverse = np.linalg.inv(lps_frame(field.affine, field.dims)[0])
    vectors = field.vectors.astype(np.float64)
    by_index = np.stack(
        [np.gradient(vectors, axis=a) if n > 1 else np.zeros_like(vectors) for a, n in enumerate(field.shape)], axis=-1
    )
    return np.linalg.det(by_index @ inverse + np.eye(field.dims)).astype(np.float32)


def resample_field(field: Field, shape: Sequence[int], affine: np.ndarray) -> Field:
    """Return the same motion on another grid: its vectors, interpolated; outside, the nearest ones."""
    points = grid_points(shape, affine)
    return Field(_vectors_at(points.reshape(-1, field.dims), field, _values(field)).reshape(points.shape), affine)

"""Sizes and strains of structures that a displacement field carries from a reference frame to another one.

A field ``ddf`` (D, *spatial), in voxels of frame t, leads from a point x of frame t to its point in the reference
frame, X = x + ddf(x): an image is pulled. So its derivative is the inverse of the deformation gradient, and in mm

    F = dx/dX = (I + du/dx)^-1,   E = (F^T F - I) / 2,   E_d = e_d . E e_d = (stretch along e_d ^2 - 1) / 2

E is the Green-Lagrange strain (Holzapfel, Nonlinear Solid Mechanics, 2000, chapter 2): that of a material point X,
along directions e_d in the reference frame at X, known at the voxel x where X is at time t. A rotation or a shift gives
none. What many programs report is the relative change of length itself, sqrt(1 + 2 E_d) - 1.

D = 2 with three spatial axes is a stack, whose slices (the last axis) move in their planes: its strain is that in them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

STRAINS = ("radial", "circumferential", "longitudinal")


class Strain(NamedTuple):
    """Green-Lagrange strain at the voxels of frame t, and how much of the reference frame each of them takes.

    Attributes:
        tensor: E (*spatial, D, D), along the axes of `plane_matrix`; NaN where the map folds.
        determinant: det dX/dx (*spatial): reference volume per volume in frame t; at or below 0 the map folds.
    """

    tensor: NDArray
    determinant: NDArray


def plane_matrix(affine: NDArray, dims: int) -> NDArray:
    """Return (dims, dims), voxels to mm along orthonormal axes: the first two span the slices, the third is normal."""
    directions, matrix = np.linalg.qr(np.asarray(affine, dtype=float)[:3, :dims])
    return matrix * np.sign(np.diag(matrix))[:, None]


def voxel_size(affine: NDArray, axes: int) -> float:
    """Return the mm^2 (mm^3) of a voxel of an image with 2 (3) axes."""
    return float(np.prod(np.diag(plane_matrix(affine, axes))))


def reference_points(ddf: NDArray) -> NDArray:
    """Return X = x + ddf(x) in voxels, (axes, *spatial); a stack's third axis stays."""
    points = np.stack(np.meshgrid(*[np.arange(n, dtype=float) for n in ddf.shape[1:]], indexing="ij"))
    points[: len(ddf)] += ddf
    return points


def carried(structure: NDArray, points: NDArray) -> NDArray:
    """Return the share (*spatial) of each voxel of frame t that ``structure`` fills: interpolated linearly.

    Args:
        structure: (*spatial) mask, or shares from 0 to 1, in the reference frame.
        points: from `reference_points`; outside of the reference frame is none of it.
    """
    from scipy.ndimage import map_coordinates  # slow to import

    share = np.zeros(points.shape[1:], np.float32)
    if not structure.any():
        return share
    ends = [(place.min(), place.max()) for place in np.nonzero(structure)]
    near = np.logical_and.reduce([(p > low - 1) & (p < high + 1) for p, (low, high) in zip(points, ends, strict=True)])
    share[near] = map_coordinates(structure.astype(np.float32), points[:, near], order=1, mode="grid-constant")
    return share


def carried_size(structure: NDArray, ddf: NDArray, affine: NDArray) -> float:
    """Return the area (mm^2) or volume (mm^3) that a structure of the reference frame has in frame t."""
    _check(structure, ddf)
    return float(carried(structure, reference_points(ddf)).sum()) * voxel_size(affine, structure.ndim)


def strain(ddf: NDArray, affine: NDArray, where: NDArray | None = None) -> Strain:
    """Compute the strain of ``ddf`` (D, *spatial), with central differences of one voxel; see the module.

    Args:
        where: (*spatial) bool; the result has these voxels only, (n, ...) instead of (*spatial, ...).
    """
    dims = len(ddf)
    matrix = plane_matrix(affine, dims)
    slopes = [np.gradient(component, axis=tuple(range(dims))) for component in ddf]
    kept = [[slope if where is None else slope[where] for slope in row] for row in slopes]
    gradient = np.stack([np.stack(row, axis=-1) for row in kept], axis=-2)
    back = np.eye(dims) + matrix @ gradient @ np.linalg.inv(matrix)  # dX/dx
    determinant = np.linalg.det(back)
    folded = determinant <= 0
    forward = np.linalg.inv(np.where(folded[..., None, None], np.eye(dims), back))
    tensor = (np.swapaxes(forward, -1, -2) @ forward - np.eye(dims)) / 2
    tensor[folded] = np.nan
    return Strain(tensor, determinant)


def centres(structure: NDArray) -> NDArray:
    """Return the centroid (slices, 2), in voxels, of each slice of a mask; (1, 2) of a 2D one.

    A slice without the structure takes what lies between its neighbours' (beyond the last one, that one's).

    Raises:
        InputError: for an empty mask.
    """
    planes = structure.reshape(*structure.shape[:2], -1).astype(float)
    weight = planes.sum((0, 1))
    known = np.flatnonzero(weight)
    if not len(known):
        raise InputError("metrics: the structure to find the centre of is empty; check the label's values")
    first, second = np.ogrid[: planes.shape[0], : planes.shape[1]]
    sums = [(planes * axis[..., None]).sum((0, 1))[known] / weight[known] for axis in (first, second)]
    return np.stack([np.interp(np.arange(len(weight)), known, values) for values in sums], axis=-1)


def directions(points: NDArray, centre: NDArray, affine: NDArray, dims: int) -> dict[str, NDArray]:
    """Return unit vectors (*spatial, dims) by the names of `STRAINS`, at the reference points, about ``centre``.

    Radial points away from the centre within the slice, circumferential along it, and longitudinal (``dims`` 3) across
    the slices. At the centre itself there are none: zeros.

    Args:
        points: from `reference_points`.
        centre: (slices, 2), from `centres`.
    """
    slices = np.arange(len(centre))
    level = points[2] if len(points) == 3 else np.zeros(points.shape[1:])
    away = np.stack([points[axis] - np.interp(level, slices, centre[:, axis]) for axis in (0, 1)], axis=-1)
    away = away @ plane_matrix(affine, dims)[:2, :2].T
    length = np.linalg.norm(away, axis=-1, keepdims=True)
    unit = np.divide(away, length, out=np.zeros_like(away), where=length > 0)
    across = np.stack([-unit[..., 1], unit[..., 0]], axis=-1)
    if dims == 2:
        return {"radial": unit, "circumferential": across}
    rest = np.zeros_like(length)
    normal = np.broadcast_to([0.0, 0.0, 1.0], (*length.shape[:-1], 3))
    found = [np.concatenate([unit, rest], -1), np.concatenate([across, rest], -1), normal]
    return dict(zip(STRAINS, found, strict=True))


def wall_strain(wall: NDArray, centre: NDArray, ddf: NDArray, affine: NDArray) -> dict[str, float]:
    """Return the mean strains of a wall, by the names of `STRAINS`; a stack or an image has no longitudinal one.

    The mean is over the wall as it is in the reference frame, so a part counts the same at every time: the voxels of
    frame t are weighted by the share that is wall, times the reference volume that they take.

    Args:
        wall: (*spatial) mask in the reference frame.
        centre: (slices, 2), from `centres` of what the directions are about.
        ddf: (D, *spatial) in voxels, on the wall's grid.

    Returns:
        numbers, 0 for no change; NaN if none of the wall is left where the map does not fold.
    """
    _check(wall, ddf)
    points = reference_points(ddf)
    share = carried(wall, points)
    there = share > 0
    found = strain(ddf, affine, there)
    weight = np.clip(share[there] * found.determinant, 0, None)
    kept = weight > 0
    along = directions(points[:, there][:, kept], centre, affine, len(ddf))
    if not kept.any():
        return dict.fromkeys(along, np.nan)
    values = {name: np.einsum("ni,nij,nj->n", e, found.tensor[kept], e) for name, e in along.items()}
    return {name: float(np.average(value, weights=weight[kept])) for name, value in values.items()}


def _check(structure: NDArray, ddf: NDArray) -> None:
    if structure.shape != ddf.shape[1:] or len(ddf) not in (2, structure.ndim):
        raise InputError(
            f"metrics: a structure of {list(structure.shape)} does not fit a ddf of {list(ddf.shape)}; use one grid"
        )

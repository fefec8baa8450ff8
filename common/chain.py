"""Fields and linear transforms in a row: where they lead, and the one field that they are together.

With T the first motion of an image and u the field that comes after it, on the grid of the fixed image,

    compose(T, u) = T(p + u(p)) - p        warp(warp(image, T), u) == warp(image, compose(T, u))

but for the one interpolation of the image instead of two. ITK's ``CompositeTransform`` of [T, u] is the same map. ITK
moves nothing outside of a field's grid; here a field goes on as its nearest vector.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .fields import Affine, Field, Transform, chain_of
from .physical import grid_points, invert_points, outside, transform_points


def move(points_lps: np.ndarray, transform: Transform) -> np.ndarray:
    """Where points (..., D) of the fixed image, LPS mm, lie in the moving image.

    Raises:
        ValueError: points of another dimension than the transform's.
    """
    points = np.asarray(points_lps, dtype=float)
    for part in chain_of(transform).parts:
        points = points @ part.matrix.T + part.offset if isinstance(part, Affine) else transform_points(points, part)
    return points


def move_back(points_lps: np.ndarray, transform: Transform) -> tuple[np.ndarray, np.ndarray]:
    """Where points (..., D) of the moving image, LPS mm, lie in the fixed one, and the error left, (...) in mm.

    Raises:
        ValueError: as `move`.
    """
    chain, points = chain_of(transform), np.asarray(points_lps, dtype=float)
    found = points
    for part in reversed(chain.parts):
        if isinstance(part, Affine):
            found = (found - part.offset) @ np.linalg.inv(part.matrix).T
        else:
            found = invert_points(found, part)[0]
    return found, np.linalg.norm(move(found, chain) - points, axis=-1)


def beyond(points_lps: np.ndarray, transform: Transform) -> np.ndarray:
    """Tell which points (..., D) of the fixed image leave the grid of a field on their way, as (...)."""
    points = np.asarray(points_lps, dtype=float)
    left = np.zeros(points.shape[:-1], bool)
    for part in chain_of(transform).parts:
        if isinstance(part, Field):
            left |= outside(points, part)
        points = move(points, part)
    return left


def on_grid(transform: Transform, shape: Sequence[int], affine: np.ndarray) -> Field:
    """The one field that ``transform`` is on a grid.

    Raises:
        ValueError: a grid of another dimension.
    """
    points = grid_points(shape, affine)
    return Field(move(points, transform) - points, affine)


def compose(first: Transform, then: Field) -> Field:
    """The one field, on the grid of ``then``, of an image that is moved by ``first`` and after that by ``then``.

    Raises:
        InputError: transforms of different dimensions.
    """
    return on_grid(chain_of(then, first), then.shape, then.affine)

"""A displacement field in physical space: LPS vectors in mm on the fixed image's grid, and the same in its voxels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .errors import InputError
from .forms import RAS_TO_LPS
from .grids import spacing_of


@dataclass(frozen=True, eq=False)
class Field:
    """A motion: a point p of the fixed image lies at ``p + u(p)`` in the moving image.

    Attributes:
        vectors: (i, j, 2) or (i, j, k, 3) float32, u in LPS mm. A stack of slices is (i, j, k, 3).
        affine: (4, 4) voxel to RAS mm of the grid, which is the fixed image's. A 2D field lies in the plane of
            `geometry.plane_of`.

    Raises:
        InputError: vectors of another shape, NaN or infinite, or an affine that has no inverse.
    """

    vectors: np.ndarray
    affine: np.ndarray

    def __post_init__(self) -> None:
        vectors = np.ascontiguousarray(self.vectors, dtype=np.float32)
        dims = vectors.ndim - 1
        if dims not in (2, 3) or vectors.shape[-1] != dims or not vectors.size:
            raise InputError(f"vectors of shape {list(vectors.shape)} are no field; give (i, j, 2) or (i, j, k, 3).")
        if not np.isfinite(vectors).all():
            raise InputError(f"{int((~np.isfinite(vectors)).any(-1).sum())} vectors of the field are NaN or infinite.")
        object.__setattr__(self, "vectors", vectors)
        object.__setattr__(self, "affine", np.asarray(self.affine, dtype=float))
        lps_frame(self.affine, dims)

    @property
    def dims(self) -> int:
        """2 or 3: the components of a vector."""
        return self.vectors.shape[-1]

    @property
    def shape(self) -> tuple[int, ...]:
        """The grid's shape, (i, j) or (i, j, k)."""
        return self.vectors.shape[:-1]


@dataclass(frozen=True, eq=False)
class Affine:
    """A linear motion: a point p of the fixed image lies at ``matrix @ p + offset`` in the moving image, LPS mm.

    Raises:
        InputError: of other than 2 or 3 dimensions, NaN or infinite, or without an inverse.
    """

    matrix: np.ndarray
    offset: np.ndarray

    def __post_init__(self) -> None:
        matrix, offset = np.asarray(self.matrix, dtype=float), np.asarray(self.offset, dtype=float)
        if len(offset) not in (2, 3) or matrix.shape != 2 * offset.shape:
            raise InputError(f"a matrix of shape {list(matrix.shape)} moves nothing; give one of 2 or 3 dimensions.")
        if not (np.isfinite(matrix).all() and np.isfinite(offset).all()):
            raise InputError(f"the matrix {matrix.tolist()}, offset {offset.tolist()}, is NaN or infinite.")
        if not np.linalg.cond(matrix) < 1e8:
            raise InputError(f"the matrix {matrix.tolist()} has no inverse; give one that has.")
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "offset", offset)

    @property
    def dims(self) -> int:
        """2 or 3."""
        return len(self.offset)


@dataclass(frozen=True, eq=False)
class Chain:
    """Motions in a row: a point of the fixed image goes through ``parts`` in their order, into the moving image.

    An image goes the other way: the last part is the first that is applied to it, as in a list of ANTs' ``-t`` options.
    ITK's ``CompositeTransform`` lists its parts from the last to the first.

    Raises:
        InputError: no parts, or parts of different dimensions.
    """

    parts: tuple[Field | Affine, ...]

    def __post_init__(self) -> None:
        dims = {part.dims for part in self.parts}
        if len(dims) != 1:
            told = " and ".join(f"{n}D" for n in sorted(dims)) or "none"
            raise InputError(f"{told} transforms in a row; give some of one dimension.")

    @property
    def dims(self) -> int:
        """2 or 3."""
        return self.parts[0].dims

    @property
    def fields(self) -> tuple[Field, ...]:
        """Its parts that are fields."""
        return tuple(part for part in self.parts if isinstance(part, Field))


Transform = Field | Affine | Chain


def chain_of(*transforms: Transform) -> Chain:
    """``transforms`` as one, a point going through the first of them first."""
    nested = [each.parts if isinstance(each, Chain) else (each,) for each in transforms]
    return Chain(tuple(part for parts in nested for part in parts))


def lps_frame(affine: np.ndarray, dims: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the voxel-to-LPS matrix (D, D) and the origin (D,), in mm, of a grid of ``dims`` axes.

    Raises:
        InputError: the affine has no inverse; of a 2D grid, in the plane that ITK sees (the first two axes of space).
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        matrix = plane_of(affine) if dims == 2 else np.asarray(affine, dtype=float)[:3, :3]
        sine = abs(np.linalg.det(matrix / np.linalg.norm(matrix, axis=0)))  # of the angle between the axes
    if not sine > 1e-4:  # NaN too
        way_out = "give it as a stack of one slice, (i, j, 1)" if dims == 2 else "give one that has"
        raise InputError(f"the affine {np.asarray(affine).round(4).tolist()} has no inverse in {dims}D; {way_out}.")
    flip = RAS_TO_LPS[:dims, :dims]
    return flip @ matrix, flip @ np.asarray(affine, dtype=float)[:dims, 3]


def plane_of(affine: np.ndarray) -> np.ndarray:
    """Return the voxel-to-RAS matrix (2, 2) of a 2D file: ITK keeps the first two components of its two directions."""
    directions = affine[:2, :2]
    return directions / np.linalg.norm(directions, axis=0) * np.array(spacing_of(affine)[:2])


def affine_of(matrix: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Return the voxel-to-RAS affine (4, 4) of an LPS frame: the inverse of `lps_frame`."""
    dims, affine = len(origin), np.eye(4)
    affine[:dims, :dims], affine[:dims, 3] = matrix, origin
    return RAS_TO_LPS @ affine


def to_physical(ddf: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Turn ``ddf`` (D, *spatial) in voxels into LPS vectors in mm, (*spatial, 3), or (i, j, 2) for a 2D image.

    D = 2 with three spatial axes is a stack of slices: nothing moves through the plane.

    Raises:
        InputError: the affine has no inverse.
    """
    matrix, _ = lps_frame(affine, ddf.ndim - 1)
    return np.moveaxis(np.tensordot(matrix[:, : ddf.shape[0]], ddf, axes=1), 0, -1)


def to_voxels(vectors: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Turn LPS vectors in mm, (*spatial, D), back into voxels (D, *spatial): the inverse of `to_physical`."""
    matrix, _ = lps_frame(affine, vectors.ndim - 1)
    return np.tensordot(np.linalg.inv(matrix), np.moveaxis(vectors, -1, 0), axes=1)

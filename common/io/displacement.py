"""Displacement fields in voxels, as the networks give them, and in files that ITK, 3D Slicer and ANTs apply.

In memory a field is ours: voxels, (D, *spatial), ``warped(x) = moving(x + ddf(x))``. In a file it is ITK's: at each
voxel of the fixed image a vector in mm, in LPS, from a point of the fixed to its point of the moving image. ITK reads
the components of a NIfTI vector image (intent 1007) as they stand, without turning RAS into LPS (tried with ITK 5.4;
intent 1006 would be turned), so they are stored in LPS under intent 1007.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..fields import Field, to_physical, to_voxels
from .fields import read_field, write_field


def write_displacement(path: str | Path, ddf: np.ndarray, affine: np.ndarray) -> None:
    """Write ``ddf`` (D, *spatial), in voxels of the grid of ``affine``, as a NIfTI vector image (i, j, k, 1, 3).

    A 2D image gives (i, j, 1, 1, 2). A volume of a single slice is written with that slice twice, see `write_field`.

    Raises:
        InputError: the file cannot be written, or a vector is NaN or infinite.
    """
    write_field(path, Field(to_physical(ddf, affine), affine))


def read_displacement(path: str | Path, slices: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Read a field written by `write_displacement` (or by ITK): voxels (D, *spatial) float32, and the affine.

    Args:
        slices: how many slices to keep; 1 where another program has doubled a volume's single slice.

    Raises:
        InputError: no such file, unreadable, or not a vector image.
    """
    field = read_field(path)
    vectors = field.vectors if field.dims == 2 else field.vectors[:, :, :slices]
    return to_voxels(vectors, field.affine).astype(np.float32), field.affine

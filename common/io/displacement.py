"""Displacement fields as files that ITK, 3D Slicer and ANTs apply.

In memory a field is ours: voxels, (D, *spatial), ``warped(x) = moving(x + ddf(x))``. In a file it is ITK's: at each
voxel of the fixed image a vector in mm, in LPS, from a point of the fixed to its point of the moving image. ITK reads
the components of a NIfTI vector image (intent 1007) as they stand, without turning RAS into LPS (tried with ITK 5.4;
intent 1006 would be turned), so they are stored in LPS under intent 1007.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np

from ..data.prepared import UNREADABLE, write_bytes
from ..errors import InputError
from .geometry import RAS_TO_LPS, nifti_affine, plane_of


def to_physical(ddf: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Turn ``ddf`` (D, *spatial) in voxels into LPS vectors in mm, (*spatial, 3), or (i, j, 2) for a 2D image.

    D = 2 with three spatial axes is a stack of slices: nothing moves through the plane.
    """
    matrix = _lps_matrix(affine, in_plane=ddf.ndim == 3)
    return np.moveaxis(np.tensordot(matrix[:, : ddf.shape[0]], ddf, axes=1), 0, -1)


def to_voxels(vectors: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Turn LPS vectors in mm, (*spatial, D), back into voxels (D, *spatial): the inverse of `to_physical`."""
    matrix = _lps_matrix(affine, in_plane=vectors.ndim == 3)
    return np.tensordot(np.linalg.inv(matrix), np.moveaxis(vectors, -1, 0), axes=1)


def _lps_matrix(affine: np.ndarray, in_plane: bool) -> np.ndarray:
    return RAS_TO_LPS[:2, :2] @ plane_of(affine) if in_plane else RAS_TO_LPS[:3, :3] @ affine[:3, :3]


def write_displacement(path: str | Path, ddf: np.ndarray, affine: np.ndarray) -> None:
    """Write ``ddf`` (D, *spatial), in voxels of the grid of ``affine``, as a NIfTI vector image (i, j, k, 1, 3).

    A 2D image gives (i, j, 1, 1, 2). A volume of a single slice is written with that slice twice: ITK drops an axis of
    one voxel from a vector image, and with it the place of the slice in space.

    Raises:
        InputError: the file cannot be written.
    """
    vectors = to_physical(ddf, affine).astype(np.float32)
    if vectors.ndim == 3:
        vectors = vectors[:, :, None]
    elif vectors.shape[2] == 1:
        vectors = np.repeat(vectors, 2, axis=2)
    image = nib.Nifti1Image(vectors[..., None, :], affine)
    image.header.set_xyzt_units("mm")
    image.header.set_intent("vector")
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    write_bytes(path, gzip.compress(image.to_bytes(), compresslevel=1, mtime=0))


def read_displacement(path: str | Path, slices: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Read a field written by `write_displacement` (or by ITK): voxels (D, *spatial) float32, and the affine.

    Args:
        slices: 1 drops the second copy of a volume's single slice.

    Raises:
        InputError: no such file, unreadable, or not a vector image.
    """
    try:
        image = nib.load(path)
        vectors = np.asarray(image.dataobj)
    except UNREADABLE as error:
        raise InputError(f"{path}: cannot be read ({error}); give a NIfTI displacement field.") from error
    if vectors.ndim != 5 or vectors.shape[3] != 1 or vectors.shape[4] not in (2, 3):
        raise InputError(
            f"{path}: shape {list(vectors.shape)} is not that of a displacement field, [i, j, k, 1, 3]; "
            "give a file *_displacement.nii.gz."
        )
    affine = nifti_affine(image.header)
    vectors = vectors[:, :, 0, 0] if vectors.shape[4] == 2 else vectors[:, :, :slices, 0]
    return to_voxels(vectors, affine).astype(np.float32), affine

"""Where a voxel lies in space: RAS affines, read the way ITK (and with it 3D Slicer and ANTs) reads them."""

from __future__ import annotations

import nibabel as nib
import numpy as np

from ..data.geometry import spacing_of, with_spacing

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def nifti_affine(header: nib.Nifti1Header) -> np.ndarray:
    """Return the voxel-to-RAS affine (4, 4) that ITK derives from a NIfTI header.

    nibabel differs from ITK in three cases that occur in public data sets: an sform whose columns do not have the
    length of the voxels (ACDC: unit columns, 1.5 mm voxels), where ITK keeps the directions and takes ``pixdim``; two
    different forms, where ITK prefers a qform over an sform that is not of the scanner; and no form at all, where ITK
    has the identity in LPS. A field in millimetres that ITK is to apply must follow ITK.
    """
    sform, sform_code = header.get_sform(coded=True)
    qform, qform_code = header.get_qform(coded=True)
    spacing = header.get_zooms()[:3]
    if sform_code > 0 and (sform_code == 1 or qform_code == 0):
        usable = min(spacing_of(sform)) > 0 and min(spacing) > 0
        return with_spacing(sform, spacing) if usable else sform
    if qform_code > 0:
        return qform
    return RAS_TO_LPS @ np.diag([*spacing, *np.ones(4 - len(spacing))])


def plane_of(affine: np.ndarray) -> np.ndarray:
    """Return the voxel-to-RAS matrix (2, 2) of a 2D file: ITK keeps the first two components of its two directions."""
    directions = affine[:2, :2]
    return directions / np.linalg.norm(directions, axis=0) * np.array(spacing_of(affine)[:2])


def same_grid(first: np.ndarray, second: np.ndarray, tolerance: float = 1e-3) -> bool:
    """Tell whether two affines agree: directions and origins to ``tolerance`` of the smallest voxel side."""
    return np.allclose(first, second, rtol=0, atol=tolerance * min(spacing_of(second)))

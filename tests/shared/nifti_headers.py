"""NIfTI files whose header is exactly what a test made of it, and what ITK reads of them."""

from __future__ import annotations

import gzip
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import nibabel as nib
import numpy as np

Change = Callable[[Any], None]


def put(path: Path, array: np.ndarray, affine: np.ndarray, change: Change | None = None) -> Path:
    """Write ``array`` with both forms of code 1 and what ``change`` then does to the header's fields."""
    image = nib.Nifti1Image(array, affine, dtype=array.dtype)
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    fields = image.header.structarr
    fields["vox_offset"], fields["magic"] = 352, b"n+1"
    if change:
        change(fields)
    raw = image.header.binaryblock + b"\0" * 4 + array.tobytes(order="F")
    path.write_bytes(gzip.compress(raw) if path.name.endswith(".gz") else raw)
    return path


def by_itk(itk: ModuleType, path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """The array (i, j, k) as double and the affine to RAS that ITK reads; None where it refuses the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        itk.Object.GlobalWarningDisplayOff()
        try:
            image = itk.imread(str(path), pixel_type=itk.D)
        except RuntimeError:
            return None
        affine = np.eye(4)
        affine[:3, :3] = itk.array_from_matrix(image.GetDirection()) * list(image.GetSpacing())
        affine[:3, 3] = list(image.GetOrigin())
        return itk.array_from_image(image).T, np.diag([-1, -1, 1, 1]) @ affine

"""NIfTI files, written whole or not at all."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from .files import write_bytes

UNREADABLE = (ImageFileError, HeaderDataError, OSError, EOFError, zlib.error, ValueError)
"""What nibabel raises for a file that is no image, or not a whole one."""


def load_nifti(path: str | Path) -> nib.Nifti1Pair:
    """Open a NIfTI file; its voxels are read when they are asked for.

    Raises:
        any of `UNREADABLE`: no such file, or none of NIfTI.
    """
    image = nib.load(path)
    if not isinstance(image, nib.Nifti1Pair):
        raise ImageFileError(f"{type(image).__name__}, not NIfTI")
    return image


def save_image(
    path: str | Path,
    array: np.ndarray,
    affine: np.ndarray,
    window: tuple[float, float] | None = None,
    note: str = "",
) -> None:
    """Write ``array`` as NIfTI in one step, see `stored` and `save_nifti`.

    Args:
        window: the values that a viewer shows from black to white; None leaves it to choose.
        note: what the image is, in at most 79 letters of ASCII.
    """
    image = nib.Nifti1Image(stored(array), affine)
    image.header.set_xyzt_units("mm")
    describe(image.header, window, note)
    save_nifti(path, image)


def describe(header: nib.Nifti1Header, window: tuple[float, float] | None, note: str) -> None:
    """Put ``window`` (the values from black to white) and ``note`` (79 letters at most) into a header."""
    if window is not None:
        header["cal_min"], header["cal_max"] = window
    header["descrip"] = note.encode("ascii", "replace")[:79]


def stored(array: np.ndarray) -> np.ndarray:
    """``array`` in the type of a file: floats as float32, whole numbers and masks as uint8, int32 if they need it."""
    whole = array.dtype.kind in "bui"
    small = whole and (not array.size or (array.min() >= 0 and array.max() <= 255))
    return np.ascontiguousarray(array, dtype=np.uint8 if small else np.int32 if whole else np.float32)


def save_nifti(path: str | Path, image: nib.Nifti1Image) -> None:
    """Write ``image`` in one step, both of its forms its affine; a name that ends with .gz is compressed."""
    image.set_sform(image.affine, code=1)
    image.set_qform(image.affine, code=1)
    content, is_compressed = image.to_bytes(), str(path).lower().endswith(".gz")
    write_bytes(path, gzip.compress(content, compresslevel=1, mtime=0) if is_compressed else content)

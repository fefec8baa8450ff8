"""FreeSurfer's volumes, .mgz and .mgh, whose header says where they lie in space."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from nibabel.freesurfer.mghformat import MGHError, MGHHeader
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from ..errors import InputError
from ..memory import check_size
from ..nifti import check_affine
from ..voxels import opened, read_voxels


def read_mgh(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the array (i, j, k) or (i, j, k, t) and the affine to RAS mm (4, 4).

    Raises:
        InputError: no such file, no volume of FreeSurfer, damaged or too large.
    """
    size = MGHHeader.template_dtype.itemsize
    with opened(path) as file:
        start = file.read(size)
    try:
        header = MGHHeader(start, check=False)
        shape, dtype = tuple(int(n) for n in header.get_data_shape()), header.get_data_dtype()
        affine, offset = header.get_affine(), header.get_data_offset()
    except (MGHError, HeaderDataError, WrapStructError, ValueError, KeyError) as error:
        raise InputError(f"{path}: cannot be read ({error}); is the file whole?") from error
    if header["version"] != 1 or not 1 <= len(shape) <= 4 or min(shape) < 1:
        raise InputError(f"{path}: cannot be read (version {header['version']}, shape {list(shape)}); is it of MGH?")
    check_affine(path, affine)
    check_size(path, shape, dtype.itemsize)
    array = read_voxels(path, shape, dtype, offset)
    return array.astype(dtype.newbyteorder("=")), affine

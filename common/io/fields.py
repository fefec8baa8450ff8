"""A displacement field in physical space, and the files that hold one.

In memory: LPS vectors in mm on the fixed image's grid, from a point of the fixed to its point of the moving image.

Formats to write (``FORMATS``), all of which `read_field` reads by ending and content:

- ``nifti``: a vector image (i, j, k, 1, 3) of intent 1007 with LPS mm, see `displacement`; ITK and 3D Slicer read it.
- ``ants``: the same file, which is what ``antsApplyTransforms`` and ``ants.apply_transforms`` take as a warp.
- ``itk``: a transform file, .h5 or .tfm, see `itk_transforms`.
- ``l2r``: as the Learn2Reg challenge has it, ``disp_*.nii.gz``: (i, j, k, 3), component c in voxels along array axis c,
  on the fixed image's grid, without the identity, so that ``moving(x + disp(x))`` is the warped image. The challenge
  evaluates it by indices alone, which is the motion in space only where moving and fixed share one grid. What it does
  not define is set here: the affine is that of the fixed image, the type is float32, and there is no 2D form.
"""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from ..errors import InputError
from ..fields import Field, affine_of, lps_frame
from ..grids import RAS_TO_LPS, nifti_affine
from ..nifti import UNREADABLE, load_nifti, save_nifti
from .formats import FORMATS, ITK, NIFTI, TRANSFORMS
from .itk_transforms import read_transform, read_vectors, write_transform

ONCE = b"one slice, stored twice"
RAS_INTENT = 1006  # ITK turns the vectors of this intent from RAS into LPS


def write_field(path: str | Path, field: Field, format: str = "nifti") -> Path:
    """Write ``field`` to ``path`` in one of `FORMATS`, atomically, and return the path.

    Raises:
        InputError: an unknown format, an ending that it does not have, a 2D field for l2r, or no right to write.
    """
    path = Path(path)
    if format not in FORMATS:
        raise InputError(f"format {format!r} is unknown; choose one of {', '.join(FORMATS)}.")
    if not path.name.lower().endswith(FORMATS[format]):
        raise InputError(f"{path}: format {format} has the ending {' or '.join(FORMATS[format])}; change the name.")
    if format == "itk":
        write_transform(path, field.vectors, *lps_frame(field.affine, field.dims))
    elif format == "l2r":
        _write_nifti(path, _as_indices(path, field), field.affine, intent="none")
    else:
        _write_vector_image(path, field)
    return path


def _write_vector_image(path: Path, field: Field) -> None:
    vectors, note = field.vectors, b""
    if field.dims == 2:
        vectors = vectors[:, :, None]
    elif vectors.shape[2] == 1:
        # ITK drops an axis of one voxel from a vector image, and with it the place of the slice in space
        vectors, note = np.repeat(vectors, 2, axis=2), ONCE
    _write_nifti(path, vectors[..., None, :], field.affine, intent="vector", note=note)


def _write_nifti(path: Path, array: np.ndarray, affine: np.ndarray, intent: str, note: bytes = b"") -> None:
    image = nib.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm")
    image.header.set_intent(intent)
    image.header["descrip"] = note
    save_nifti(path, image)


def _as_indices(path: Path, field: Field) -> np.ndarray:
    if field.dims == 2:
        raise InputError(f"{path}: Learn2Reg has no 2D fields; write another format.")
    inverse = np.linalg.inv(lps_frame(field.affine, 3)[0])
    return (field.vectors @ inverse.T).astype(np.float32)


def read_field(path: str | Path) -> Field:
    """Read the field at ``path``: a file of any of `FORMATS`, or a vector image of ITK (.mha, .mhd, .nrrd).

    Raises:
        InputError: no such file, unreadable, of another kind, or not finite.
    """
    path = Path(path)
    name = path.name.lower()
    if not path.is_file():
        raise InputError(f"{path}: cannot be read (no such file); check the name.")
    if not name.endswith((*NIFTI, *TRANSFORMS, *ITK)):
        raise InputError(f"{path}: unknown format; a field ends with {', '.join((*NIFTI, *TRANSFORMS, *ITK))}.")
    try:
        if name.endswith(NIFTI):
            return _read_nifti(path)
        vectors, matrix, origin = (read_transform if name.endswith(TRANSFORMS) else read_vectors)(path)
        return Field(vectors, affine_of(matrix, origin))
    except InputError as error:
        named = str(error).startswith(str(path))
        raise error if named else InputError(f"{path}: {error}") from error
    except UNREADABLE as error:
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise InputError(f"{path}: cannot be read ({reason}); is the file whole?") from error


def _read_nifti(path: Path) -> Field:
    image = load_nifti(path)
    vectors, affine = np.asarray(image.dataobj), nifti_affine(image.header)
    shape, kind = vectors.shape, vectors.dtype.kind
    if len(shape) == 4 and shape[3] == 3 and kind == "f":
        return Field(vectors.astype(np.float32) @ lps_frame(affine, 3)[0].T, affine)
    if len(shape) != 5 or shape[3] != 1 or shape[4] not in (2, 3) or kind != "f" or (shape[4] == 2 and shape[2] > 1):
        raise InputError(
            f"{path}: shape {list(shape)} is not that of a displacement field, [i, j, k, 1, 3]; "
            "give a file *_field.nii.gz or *_displacement.nii.gz."
        )
    vectors = vectors[:, :, 0, 0] if shape[4] == 2 else vectors[:, :, :, 0]
    if image.header["intent_code"] == RAS_INTENT:
        vectors = vectors * np.diag(RAS_TO_LPS)[: vectors.shape[-1]]
    if image.header["descrip"].item().rstrip(b"\0") == ONCE:
        vectors = vectors[:, :, :1]
    return Field(vectors, affine)

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

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel as nib
import numpy as np

from ..errors import InputError
from ..fields import Chain, Field, affine_of, lps_frame
from ..forms import RAS_TO_LPS
from ..nifti import UNREADABLE, load_nifti, save_nifti
from .foreign import (
    LEARN2REG,
    RAS_VECTOR,
    check_relative,
    check_writer,
    converted,
    other_program,
    says_learn2reg,
    says_vectors,
)
from .formats import FORMATS, ITK, LINEAR, NIFTI, TRANSFORMS
from .itk_transforms import read_chain, read_vectors, write_transform
from .transform_files import check_ending

READ = (*NIFTI, *TRANSFORMS, *LINEAR, *ITK)
ONCE = b"one slice, stored twice"


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
        _write_nifti(path, _as_indices(path, field), field.affine, intent="none", name=LEARN2REG)
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


def _write_nifti(
    path: Path, array: np.ndarray, affine: np.ndarray, intent: str, note: bytes = b"", name: str = ""
) -> None:
    image = nib.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm")
    image.header.set_intent(intent, name=name)
    image.header["descrip"] = note
    save_nifti(path, image)


def _as_indices(path: Path, field: Field) -> np.ndarray:
    if field.dims == 2:
        raise InputError(f"{path}: Learn2Reg has no 2D fields; write another format.")
    inverse = np.linalg.inv(lps_frame(field.affine, 3)[0])
    return (field.vectors @ inverse.T).astype(np.float32)


def read_field(path: str | Path, convert: bool = False) -> Field:
    """Read the field at ``path``: a file of any of `FORMATS`, or a vector image of ITK (.mha, .mhd, .nrrd).

    Args:
        convert: take those of NiftyReg and SPM too, which say otherwise what `foreign` turns into vectors of ours.

    Raises:
        InputError: no such file, unreadable or damaged, of another kind, of several frames, or not finite.
    """
    chain = read_transform(path, convert=convert)
    if len(chain.parts) != 1 or not isinstance(chain.parts[0], Field):
        told = " and ".join("a field" if isinstance(part, Field) else "a linear transform" for part in chain.parts)
        raise InputError(f"{path}: holds {told}; give a file of one displacement field.")
    return chain.parts[0]


def read_transform(path: str | Path, frame: int | None = None, convert: bool = True) -> Chain:
    """Read what moves points at ``path``: a field as `read_field` does, or a transform file of ITK, also a composite.

    Args:
        frame: of the motion of a cine, counted from 0; None refuses one.
        convert: as `read_field` has it.

    Raises:
        InputError: as `read_field`, or no such frame.
    """
    every = read_transforms(path, convert)
    if frame is None and len(every) > 1:
        raise InputError(f"{path}: holds the motion of {len(every)} frames; choose one (--frame N).")
    if not 0 <= (frame or 0) < len(every):
        raise InputError(f"{path}: holds the motion of frames 0 to {len(every) - 1}; there is no {frame}.")
    return every[frame or 0]


def read_transforms(path: str | Path, convert: bool = True) -> list[Chain]:
    """Read the motion of every frame of a cine, where a file holds several; of any other file the only one.

    Args:
        convert: as `read_field` has it.

    Raises:
        InputError: as `read_field`.
    """
    path = Path(path)
    name = path.name.lower()
    with _named(path):
        if name.endswith(NIFTI):
            return [Chain((field,)) for field in _read_nifti(path, convert)]
        chain = Chain((_of_itk(path),)) if name.endswith(ITK) else read_chain(path)
        for field in chain.fields:
            check_relative(field)
        return [chain]


def _of_itk(path: Path) -> Field:
    vectors, matrix, origin = read_vectors(path)
    return Field(vectors, affine_of(matrix, origin))


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Check that there is such a file, of an ending that we read, and name it in every error."""
    name = path.name.lower()
    if not path.is_file():
        raise InputError(f"{path}: cannot be read (no such file); check the name.")
    check_ending(path)
    if not name.endswith(READ):
        raise InputError(f"{path}: unknown format; a field ends with {', '.join(READ)}.")
    try:
        yield
    except InputError as error:
        named = str(error).startswith(str(path))
        raise error if named else InputError(f"{path}: {error}") from error
    except UNREADABLE as error:
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise InputError(f"{path}: cannot be read ({reason}); is the file whole?") from error


def _read_nifti(path: Path, convert: bool) -> list[Field]:
    image = load_nifti(path)
    shape, kind = image.shape, image.get_data_dtype().kind
    check_writer(path, image)
    if len(shape) == 4 and shape[3] == 3 and kind == "f":
        return [_of_learn2reg(path, image)]
    if len(shape) != 5 or shape[4] not in (2, 3) or kind != "f" or (shape[4] == 2 and shape[2] > 1):
        raise InputError(
            f"{path}: shape {list(shape)} is not that of a displacement field, [i, j, k, 1, 3]; "
            "give a file *_field.nii.gz or *_displacement.nii.gz."
        )
    if not says_vectors(path, image):
        raise InputError(f"{path}: does not say that it holds vectors: set its intent to 1007 (vector) if it does.")
    vectors = np.asarray(image.dataobj)
    vectors = vectors[:, :, 0] if shape[4] == 2 else vectors
    return [_field(path, image, frame, convert) for frame in np.moveaxis(vectors, -2, 0)]


def _of_learn2reg(path: Path, image: nib.Nifti1Pair) -> Field:
    if not says_learn2reg(path, image):
        raise InputError(
            f"{path}: three frames, or three components? A field of Learn2Reg (voxels) is named disp_*.nii.gz; "
            "one in mm is [i, j, k, 1, 3] with intent 1007 (vector)."
        )
    affine = image.affine
    field = Field(np.asarray(image.dataobj).astype(np.float32) @ lps_frame(affine, 3)[0].T, affine)
    check_relative(field)
    return field


def _field(path: Path, image: nib.Nifti1Pair, vectors: np.ndarray, convert: bool) -> Field:
    """The field of one frame, ``vectors`` (*spatial, D) as they are stored."""
    if writer := other_program(path, image, vectors):
        if not convert:
            raise InputError(
                f"{path}: is a field of {writer} (RAS mm); warpsure warp takes it, read_field with convert."
            )
        return converted(image, vectors, writer)
    if image.header["intent_code"] == RAS_VECTOR:
        vectors = vectors * np.diag(RAS_TO_LPS)[: vectors.shape[-1]]
    if image.header["descrip"].item().rstrip(b"\0") == ONCE:
        vectors = vectors[:, :, :1]
    field = Field(vectors, image.affine)
    check_relative(field)
    return field

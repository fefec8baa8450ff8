"""Who wrote a NIfTI file of vectors, and what they mean there.

| program | how it is told | what the vectors are | here |
|---|---|---|---|
| ITK, ANTs, 3D Slicer, ours | intent 1007 (1006: RAS) | displacement, LPS mm | read |
| Learn2Reg, ours | (i, j, k, 3), named ``disp_*``, or marked | displacement, voxels | read |
| NiftyReg | name of the intent NREG_TRANS, kind in p1 | RAS mm: p1 0 places, 1 displacements | read; else refused |
| SPM ``y_``, ``iy_`` | name of the intent Mapping | places, RAS mm | read; flows and velocities refused |
| FSL | intents 2006 to 2009, 2016 to 2018 | its own mm, which need the moving image; coefficients | refused |
| AFNI | its extension of the header | volumes, or a warp | refused |

A place is absolute: where a point of the grid lies in the moving image. What says nothing of itself is refused: three
frames of a cine look like three components.
"""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from ..errors import InputError
from ..fields import Field, lps_frame
from ..forms import RAS_TO_LPS
from ..nifti import extension_codes

VECTOR, RAS_VECTOR = 1007, 1006
LEARN2REG = "learn2reg"  # the name of the intent in ours; the challenge's own files have none
NAMES = ("field", "warp", "disp", "ddf")  # what a file without an intent calls itself
FNIRT = "wb_command -convert-warpfield -from-fnirt FIELD MOVING -to-itk OUT makes it one of ITK"
COEFFICIENTS = "fnirtfileutils --out=FIELD makes it a field, then " + FNIRT
FSL = {
    2006: ("a displacement field of FSL, whose millimetres need the moving image", FNIRT),
    2007: ("spline coefficients of FSL", COEFFICIENTS),
    2008: ("cosine coefficients of FSL", COEFFICIENTS),
    2009: ("spline coefficients of FSL", COEFFICIENTS),
    2016: ("spline coefficients of FSL's topup", "take the image that applytopup corrected"),
    2017: ("spline coefficients of FSL's topup", "take the image that applytopup corrected"),
    2018: ("a field of FSL's topup", "take the image that applytopup corrected"),
}
NIFTYREG = {
    2: "a cubic spline grid", 3: "a velocity field", 4: "a velocity field", 5: "a spline velocity grid",
    6: "a linear spline grid",
}  # fmt: skip
AFNI_EXTENSION = 4
SAMPLES = 24  # along an axis, which are enough to tell
SCATTER = 0.4  # of places around those of the grid, as a share of the latter's


def check_writer(path: Path, image: nib.Nifti1Pair) -> None:
    """Refuse what other programs mean otherwise and what we do not convert.

    Raises:
        InputError: by the name of the program, with the way out.
    """
    header = image.header
    code, name, description = int(header["intent_code"]), _text(header, "intent_name"), _text(header, "descrip")
    if code in FSL:
        what, way = FSL[code]
        raise InputError(f"{path}: holds {what}; {way}.")
    if name.startswith("NREG") and (name != "NREG_TRANS" or _kind(header) not in (0, 1)):
        known = NIFTYREG.get(int(_kind(header)) if np.isfinite(_kind(header)) else -1)
        what = known if known and name == "NREG_TRANS" else f"{name}, kind {_kind(header):g},"
        raise InputError(f"{path}: holds {what} of NiftyReg; reg_transform -ref FIXED -def FILE OUT makes it a field.")
    if any(word in f"{name} {description}".lower() for word in ("flow", "velocity")):
        raise InputError(f"{path}: holds a velocity ({name or description}), as SPM's u_ and v_; give its y_ file.")
    if AFNI_EXTENSION in extension_codes(path):
        raise InputError(f"{path}: is of AFNI, whose warps are not read; convert it to a displacement field of ITK.")
    if code not in (0, VECTOR, RAS_VECTOR):
        raise InputError(f"{path}: has the intent {code}, which is no displacement; one has {VECTOR} (vector).")


def _text(header: nib.Nifti1Header, key: str) -> str:
    return bytes(header[key].item()).rstrip(b"\0 ").decode("latin-1")


def _kind(header: nib.Nifti1Header) -> float:
    return float(header["intent_p1"])


def says_vectors(path: Path, image: nib.Nifti1Pair) -> bool:
    """Whether a file (i, j, k, t, D) says, by its intent or its name, that it holds vectors."""
    named = any(word in path.name.lower() for word in NAMES)
    return int(image.header["intent_code"]) in (VECTOR, RAS_VECTOR) or (named and image.shape[3] == 1)


def says_learn2reg(path: Path, image: nib.Nifti1Pair) -> bool:
    """Whether a file (i, j, k, 3) says that it holds displacements in voxels: a mark of ours, or its name."""
    name = path.name.lower()
    marked = _text(image.header, "intent_name") == LEARN2REG
    has_time = image.header.get_xyzt_units()[1] != "unknown"
    ours = name.startswith("disp") or "_field.nii" in name or "_displacement.nii" in name  # the last up to version 0.3
    return marked or (ours and not has_time and int(image.header["intent_code"]) in (0, VECTOR))


def other_program(path: Path, image: nib.Nifti1Pair, vectors: np.ndarray) -> str | None:
    """Whose field we can convert ``vectors`` (*spatial, D), in RAS mm, are; None: neither NiftyReg's nor SPM's."""
    name = _text(image.header, "intent_name")
    by_name = path.name.lower().startswith(("y_", "iy_")) and _absolute(vectors, image.affine) == "RAS mm"
    if name == "NREG_TRANS":
        return "NiftyReg"
    return "SPM" if name == "Mapping" or by_name else None


def converted(image: nib.Nifti1Pair, vectors: np.ndarray, writer: str) -> Field:
    """The field that ``vectors`` (*spatial, D) of one of `other_program` are.

    Both programs place a grid by the sform where there is one, whatever its code.
    """
    lps = vectors.astype(float) * np.diag(RAS_TO_LPS)[: vectors.shape[-1]]
    if writer == "NiftyReg" and _kind(image.header) == 1:
        return Field(lps, image.affine)
    return Field(lps - _places(vectors.shape[:-1], image.affine), image.affine)


def check_relative(field: Field) -> None:
    """Refuse a field whose vectors are places, which another program may mean by a vector.

    Raises:
        InputError: with what they are.
    """
    if kind := _absolute(field.vectors, field.affine):
        raise InputError(
            f"its vectors are places ({kind}), not the ways there; take the grid's own places off them (in LPS mm)."
        )


def _absolute(numbers: np.ndarray, affine: np.ndarray) -> str | None:
    """Whether ``numbers`` (*spatial, D) follow the places of their grid, and in which frame."""
    shape, dims = numbers.shape[:-1], numbers.shape[-1]
    coarse = tuple(slice(None, None, max(1, n // SAMPLES)) for n in shape)
    lps = _places(shape, affine, coarse)
    frames = {"RAS mm": lps * np.diag(RAS_TO_LPS)[:dims], "LPS mm": lps, "voxels": _index(shape, coarse)}
    for frame, places in frames.items():
        spread = places.reshape(-1, dims).var(0).sum()
        if (numbers[coarse] - places).reshape(-1, dims).var(0).sum() < SCATTER**2 * spread:
            return frame
    return None


def _places(shape: tuple[int, ...], affine: np.ndarray, part: tuple[slice, ...] = ()) -> np.ndarray:
    """Where the voxels of a grid, or of a part of it, lie, (..., D) LPS mm."""
    matrix, origin = lps_frame(affine, len(shape))
    return _index(shape, part) @ matrix.T + origin


def _index(shape: tuple[int, ...], part: tuple[slice, ...] = ()) -> np.ndarray:
    axes = [np.arange(n, dtype=float)[along] for n, along in zip(shape, part or (slice(None),) * len(shape))]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)

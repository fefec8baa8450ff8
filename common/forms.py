"""Where the voxels of a NIfTI file lie: one affine of two forms, the voxel size and the units, as ITK reads them.

A field in millimetres that ITK, ANTs and 3D Slicer are to apply must follow ITK, which differs from nibabel:

- An sform whose columns do not have the length of the voxels (ACDC: unit columns, 1.5 mm voxels) gives directions, and
  ``pixdim`` the lengths. What is 0 or no number in ``pixdim`` is 1.
- Of two different forms the qform counts, unless the sform is of the scanner (code 1).
- An sform of zeros, of NaN, singular or with axes that are not at right angles does not count.
- Without a form the grid is the identity in LPS.
- Metres and micrometres become millimetres.
"""

from __future__ import annotations

from typing import Any

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError

Form = tuple[np.ndarray, np.ndarray]  # directions (3, 3) as unit columns, offset (3,), RAS

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
SCANNER = 1
LENGTHS = {1: 1000.0, 3: 0.001}  # code of a unit -> mm
TIMES = {8: 1000.0, 16: 1.0, 24: 0.001}  # code of a unit -> ms
CLOSE = 1e-4  # ITK's tolerance, of directions and of offsets


def nifti_affine(header: nib.AnalyzeHeader) -> np.ndarray:
    """Return the voxel-to-RAS affine (4, 4) in mm that ITK derives from a header of NIfTI or Analyze.

    Raises:
        HeaderDataError: its only form is an sform of zeros or NaN, or a singular one.
    """
    directions, offset = _form(header)
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = directions * _voxel(header), offset
    affine[:3] *= LENGTHS.get(_units(header) & 7, 1.0)
    return affine


def is_sheared(affine: np.ndarray) -> bool:
    """Whether the axes of an affine (4, 4) are not at right angles, by the measure of ITK, which then refuses it."""
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return not _at_right_angles(directions)


def frame_time(header: nib.AnalyzeHeader) -> float | None:
    """Return the milliseconds from one frame to the next, None where the header does not say."""
    # by its text: the header is float32, in which 0.05 s is not 50 ms
    step = float(str(header["pixdim"][4])) * TIMES.get(_units(header) & 0x38, 0.0)
    return step if 0 < step < np.inf else None


def scaling(header: nib.AnalyzeHeader) -> tuple[float, float]:
    """Return slope and intercept of the stored numbers as ITK has them: no number is 0, and a slope of 0 is 1."""
    slope, intercept = (
        float(header[key]) if key in header.keys() and np.isfinite(header[key]) else 0.0  # noqa: SIM118
        for key in ("scl_slope", "scl_inter")
    )
    return (slope if abs(slope) > np.finfo(float).eps else 1.0), intercept


def set_forms(header: nib.Nifti1Header, affine: np.ndarray) -> None:
    """Write ``affine`` into both forms of ``header``; into the sform alone if a qform cannot hold it (`is_sheared`)."""
    header.set_sform(affine, code=SCANNER)
    header.set_qform(affine, code=0 if is_sheared(affine) else SCANNER)


def _form(header: nib.AnalyzeHeader) -> Form:
    sform, qform = _sform(header), _qform(header)
    counts = qform is None or header["sform_code"] == SCANNER
    if sform and _at_right_angles(sform[0]) and (counts or _alike(header, sform, qform)):
        return sform
    if qform:
        return qform
    if not _has(header, "sform_code"):
        return RAS_TO_LPS[:3, :3], np.zeros(3)
    if sform is None:
        raise HeaderDataError("its sform is of zeros, not finite or singular, and it has no qform: set one")
    return sform


def _has(header: nib.AnalyzeHeader, code: str) -> bool:
    return code in header.keys() and header[code] > 0  # noqa: SIM118  a header of Analyze has none


def _sform(header: nib.AnalyzeHeader) -> Form | None:
    """The sform, None where there is none or one without meaning."""
    if not _has(header, "sform_code"):
        return None
    rows = np.array([header[f"srow_{axis}"] for axis in "xyz"], dtype=float)
    lengths = np.linalg.norm(rows[:, :3], axis=0)
    if not np.isfinite(rows).all() or not lengths.all():
        return None
    directions = rows[:, :3] / lengths
    return (directions, rows[:, 3]) if abs(np.linalg.det(directions)) > 1e-6 else None


def _qform(header: nib.AnalyzeHeader) -> Form | None:
    """The qform, None where there is none; its quaternion is made one of length 1."""
    if not _has(header, "qform_code"):
        return None
    b, c, d = vector = _finite([header[f"quatern_{axis}"] for axis in "bcd"])
    rest = 1 - vector @ vector
    a = np.sqrt(max(rest, 0.0))
    if rest < 1e-7:
        a, (b, c, d) = 0.0, vector / np.linalg.norm(vector)
    directions = np.array([
        [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
        [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
        [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
    ])  # fmt: skip
    directions[:, 2] *= -1 if header["pixdim"][0] < 0 else 1
    return directions, _finite([header[f"qoffset_{axis}"] for axis in "xyz"])


def _alike(header: nib.AnalyzeHeader, sform: Form, qform: Form | None) -> bool:
    """Whether both forms say the same, where ITK takes the sform: it is stored with more digits."""
    if qform is None:
        return False
    rows = np.array([header[f"srow_{axis}"][:3] for axis in "xyz"], dtype=float)
    lengths = np.linalg.norm(rows, axis=0), np.abs(_voxel(header))
    return all(np.abs(a - b).max() < CLOSE for a, b in ((sform[0], qform[0]), (sform[1], qform[1]), lengths))


def _at_right_angles(directions: np.ndarray) -> bool:
    return bool(np.abs(directions @ directions.T - np.eye(3)).max() < CLOSE)


def _voxel(header: nib.AnalyzeHeader) -> np.ndarray:
    size = _finite(header["pixdim"][1:4])
    return np.where(size == 0, 1.0, size)


def _units(header: nib.AnalyzeHeader) -> int:
    return int(header["xyzt_units"]) if "xyzt_units" in header.keys() else 0  # noqa: SIM118


def _finite(values: Any) -> np.ndarray:
    array = np.array(values, dtype=float)
    return np.where(np.isfinite(array), array, 0.0)

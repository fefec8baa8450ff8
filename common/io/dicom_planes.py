"""The planes of DICOM files: every image of a file, single or one of many, with its own place, values and time.

A file of one image says these at its top; an enhanced one in functional groups, of each frame or shared by all. A plane
looks in its own groups first, then in the shared ones, then at the top.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from .dicom_headers import class_of, numbers, quiet_pydicom, quoted, refuse_expansion
from .dicom_times import moments

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

DEFLATED_OR_PLAIN = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2")
POSITIONS = ("ImagePositionPatient", "ImagePositionVolume")
ORIENTATIONS = ("ImageOrientationPatient", "ImageOrientationVolume")
KINDS = ("FrameType", "ImageType", "ComplexImageComponent", "EffectiveEchoTime", "EchoTime", "ReferencedSegmentNumber")
CENTIMETRES, TISSUE = 3, 1  # of a region of an ultrasound image: its unit, and that it is an image, no trace
WAY_OUT = "export the original series, or convert it to NIfTI with its true place and spacing"


@dataclass(frozen=True, eq=False)
class Plane:
    """One image of a file.

    Attributes:
        frame: which of the file's, from 0.
        name: what messages call it.
        size: columns, rows: the array's (i, j).
        matrix: (3, 3) voxel to LPS mm; the last column is the normal, as long as the slice is thick.
        origin: (3,) LPS mm.
        scale: slope and intercept of the stored values.
        kind: what tells images of a place apart that are not of one cine: magnitude and phase, echoes.
        moments: what may order planes in time, see `dicom_times`.
        uid: of the file.
    """

    path: Path
    frame: int
    name: str
    size: tuple[int, int]
    matrix: np.ndarray
    origin: np.ndarray
    scale: tuple[float, float]
    kind: tuple[str, ...]
    moments: dict[str, Any]
    uid: str


class _Groups:
    """What holds for a frame: its own functional groups, the shared ones, and the top of the file, in this order."""

    def __init__(self, layers: Sequence[Dataset]) -> None:
        self.layers = layers

    def get(self, *names: str) -> Any:
        """The first of ``names`` that says something; None if none does."""
        found = (layer.get(name) for name in names for layer in self.layers if name in layer)
        return next((value for value in found if value is not None and value != ""), None)


def planes_of(header: Dataset, path: Path) -> list[Plane]:
    """All planes of a file, in its own order.

    Raises:
        InputError: no image of one grey channel, no place, or numbers that cannot be.
    """
    with quiet_pydicom(path):
        count = _count(header, path)
        own = list(header.get("PerFrameFunctionalGroupsSequence") or [])
        if own and len(own) != count:
            raise InputError(f"{path}: {count} frames, but functional groups of {len(own)}; is the file whole?")
        shared = [layer for groups in header.get("SharedFunctionalGroupsSequence") or [] for layer in _macros(groups)]
        offsets = np.zeros(count) if own or count == 1 else _offsets(header, count, path)
        groups = [_Groups([*(_macros(own[n]) if own else ()), *shared, header]) for n in range(count)]
        return [_plane(found, n, offsets[n], header, path) for n, found in enumerate(groups)]


def _macros(groups: Dataset) -> list[Dataset]:
    return [element.value[0] for element in groups if element.VR == "SQ" and element.value]


def _count(header: Dataset, path: Path) -> int:
    """Of frames, whose pixels the file is long enough for."""
    samples, colours = (
        header.get("SamplesPerPixel") or 1,
        quoted(header.get("PhotometricInterpretation") or "MONOCHROME2"),
    )
    if samples != 1 or not colours.startswith("MONOCHROME"):
        values = f"{quoted(samples)} values a voxel" if samples != 1 else "colours"
        raise InputError(f"{path}: {values}; give one grey channel ({colours} is none).")
    if "MOSAIC" in (header.get("ImageType") or ()):
        raise InputError(f"{path}: a mosaic of many slices in one picture; convert it to NIfTI with dcm2niix.")
    if header.get("ModalityLUTSequence"):
        raise InputError(f"{path}: its values are by a table (ModalityLUTSequence); convert it to NIfTI.")
    given = [header.Rows, header.Columns, header.get("NumberOfFrames") or 1, header.get("BitsAllocated") or 0]
    rows, columns, count, bits = (int(v) for v in numbers(given, 4, "the size", path))
    needed, held = rows * columns * count * bits // 8, path.stat().st_size
    size = f"{columns} x {rows} pixels of {bits} bits in {count} frames"
    if min(rows, columns, count, bits) < 1:
        raise InputError(f"{path}: {size}; is the file whole?")
    plain = getattr(getattr(header, "file_meta", None), "TransferSyntaxUID", None) in (None, *DEFLATED_OR_PLAIN[:2])
    if count > 1032 * held or (plain and needed > held):
        raise InputError(f"{path}: {size} need {needed:.4g} bytes, but the file has {held}; is it whole?")
    refuse_expansion(path, needed)
    return count


def _offsets(header: Dataset, count: int, path: Path) -> np.ndarray:
    """How far frames without groups lie from the first, along the normal, in mm: doses, captures; 0 in a loop."""
    for name in ("GridFrameOffsetVector", "SliceLocationVector"):
        if name in header:
            offsets = numbers(header.get(name), count, name, path)
            return offsets - offsets[0]
    if header.get("FrameTime") is None and header.get("FrameTimeVector") is None:
        raise InputError(f"{path}: {count} frames, of which it says neither where nor when each is; {WAY_OUT}.")
    return np.zeros(count)


def _plane(groups: _Groups, frame: int, offset: float, header: Dataset, path: Path) -> Plane:
    origin, matrix = _geometry(groups, header, path)
    normal = matrix[:, 2] / np.linalg.norm(matrix[:, 2])
    kind = tuple(f"{name} {_short(value)}" for name in KINDS if (value := groups.get(name)) is not None)
    many = int(header.get("NumberOfFrames") or 1) > 1
    return Plane(
        path,
        frame,
        f"{path.name} frame {frame}" if many else path.name,
        (int(header.Columns), int(header.Rows)),
        matrix,
        origin + offset * normal,
        _scale(groups, path),
        kind,
        moments(groups, frame, many),
        str(header.get("SOPInstanceUID") or ""),
    )


def _short(value: Any) -> str:
    return quoted(round(value, 2) if isinstance(value, float) else value)


def _geometry(groups: _Groups, header: Dataset, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Origin (3,) and matrix (3, 3), voxel to LPS mm."""
    position, orientation = groups.get(*POSITIONS), groups.get(*ORIENTATIONS)
    spacing = groups.get("PixelSpacing")
    if position is None and (pixel := _ultrasound(header)) is not None:
        position, orientation, spacing = [0, 0, 0], [1, 0, 0, 0, 1, 0], pixel
    lacking = [
        name
        for name, value in ((POSITIONS[0], position), (ORIENTATIONS[0], orientation), ("PixelSpacing", spacing))
        if value is None
    ]
    if lacking:
        raise InputError(f"{path}: {class_of(header, path)} without geometry (no {', '.join(lacking)}); {WAY_OUT}.")
    matrix = _axes(numbers(orientation, 6, ORIENTATIONS[0], path), path)
    between, within = numbers(spacing, 2, "PixelSpacing", path)  # of rows, of columns
    if min(between, within) <= 0:
        raise InputError(f"{path}: PixelSpacing is {between:g}\\{within:g}; it must be above 0: repair it.")
    return numbers(position, 3, POSITIONS[0], path), matrix * [within, between, _thickness(groups, path)]


def _axes(cosines: np.ndarray, path: Path) -> np.ndarray:
    """Orthogonal unit columns (3, 3): along a row, along a column, the normal; as rounded cosines mean them."""
    row, column = cosines[:3], cosines[3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if not np.allclose(lengths, 1, atol=0.01) or abs(row @ column) > 0.01:
        shown = quoted([f"{v:g}" for v in cosines])
        raise InputError(f"{path}: {ORIENTATIONS[0]} is {shown}, not two directions at a right angle; repair it.")
    normal = np.cross(row, column)
    normal /= np.linalg.norm(normal)
    column = column / lengths[1]
    return np.stack([np.cross(column, normal), column, normal], axis=1)


def _thickness(groups: _Groups, path: Path) -> float:
    """In mm, for slices that no other one tells the distance of; 1 where the file does not say."""
    for name in ("SpacingBetweenSlices", "SliceThickness"):
        value = groups.get(name)
        if value is not None and (size := abs(numbers(value, 1, name, path)[0])) > 0:
            return float(size)
    return 1.0


def _ultrasound(header: Dataset) -> list[float] | None:
    """Height and width of a pixel in mm: ultrasound lies nowhere in the patient, but its image says its scale."""
    for region in header.get("SequenceOfUltrasoundRegions") or []:
        units = (region.get("PhysicalUnitsXDirection"), region.get("PhysicalUnitsYDirection"))
        if region.get("RegionSpatialFormat") == TISSUE and units == (CENTIMETRES, CENTIMETRES):
            return [10 * abs(float(region.PhysicalDeltaY)), 10 * abs(float(region.PhysicalDeltaX))]
    return None


def _scale(groups: _Groups, path: Path) -> tuple[float, float]:
    slope, intercept = groups.get("RescaleSlope", "DoseGridScaling"), groups.get("RescaleIntercept")
    slope = 1.0 if slope is None else float(numbers(slope, 1, "RescaleSlope", path)[0])
    intercept = 0.0 if intercept is None else float(numbers(intercept, 1, "RescaleIntercept", path)[0])
    if slope == 0:
        raise InputError(f"{path}: RescaleSlope is 0, so that every value is {intercept:g}; repair it.")
    return slope, intercept

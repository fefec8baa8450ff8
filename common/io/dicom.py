"""DICOM series, through ITK's GDCM: a folder, or one of its files, as a volume or as the frames of a cine.

Slices are stacked by their own positions, so that a missing one is noticed. Several files at each position are the
frames of a cine, by trigger time and then by instance number. A file of many frames is a volume if it is an enhanced
MR, CT or PET image, else frames of one slice. Intensities are rescaled as the header says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import InputError
from ..grids import RAS_TO_LPS
from .formats import DICOM
from .itk_transforms import quiet_itk

ENHANCED = tuple(f"1.2.840.10008.5.1.4.1.1.{n}" for n in ("2.1", "4.1", "4.3", "128.1", "130"))
EVEN = 0.02  # of the distance of two slices, by which another may differ


@dataclass(frozen=True, eq=False)
class _Slice:
    """One file: array (i, j, frames), matrix (3, 3) voxel to LPS, origin (3,), and what orders it in time."""

    path: Path
    array: np.ndarray
    matrix: np.ndarray
    origin: np.ndarray
    time: tuple[float, float]
    sop_class: str


def is_dicom(path: Path) -> bool:
    """Tell whether ``path`` is a folder or a file with DICOM's name or mark."""
    if path.is_dir() or path.name.lower().endswith(DICOM):
        return True
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def modality_of(path: Path) -> str | None:
    """What a DICOM file, or the first of a folder, says that it is, as "MR" or "CT"; None where nothing says it."""
    if not (path.exists() and is_dicom(path)):
        return None
    files = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
    with quiet_itk() as itk:
        for file in files:
            header = itk.GDCMImageIO.New()
            if header.CanReadFile(str(file)):
                header.SetFileName(str(file))
                header.ReadImageInformation()
                return _text(header.GetMetaDataDictionary(), "0008|0060") or None
    return None


def read_series(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the series that ``path`` is, or is a file of: (i, j, k) or (i, j, k, t), and the affine to RAS (4, 4).

    Raises:
        InputError: no series or several, colours, or slices that make up no grid. OSError: unreadable.
    """
    with quiet_itk() as itk:
        itk.Object.GlobalWarningDisplayOff()  # it would warn of an empty folder, which is said below
        files = _files(itk, path)
        slices = [_read(itk, file) for file in files]
    lps = np.eye(4)
    if len(slices) == 1:
        only = slices[0]
        lps[:3, :3], lps[:3, 3] = only.matrix, only.origin
        is_volume = only.array.shape[2] == 1 or only.sop_class in ENHANCED
        return only.array if is_volume else only.array[:, :, None], RAS_TO_LPS @ lps
    _check_alike(slices)
    places = _by_position(slices, path)
    lps[:3, :3], lps[:3, 3] = places[0][0].matrix, places[0][0].origin
    lps[:3, 2] *= _distance(places, path) / np.linalg.norm(lps[:3, 2])
    frames = [np.concatenate([place[t].array for place in places], axis=2) for t in range(len(places[0]))]
    return frames[0] if len(frames) == 1 else np.stack(frames, axis=-1), RAS_TO_LPS @ lps


def _files(itk: ModuleType, path: Path) -> list[Path]:
    finder = itk.GDCMSeriesFileNames.New()
    finder.SetUseSeriesDetails(False)
    finder.SetDirectory(str(path if path.is_dir() else path.parent))
    series = {uid: [Path(file) for file in finder.GetFileNames(uid)] for uid in finder.GetSeriesUIDs()}
    if path.is_file():
        whole = path.resolve()
        return next((files for files in series.values() if whole in [f.resolve() for f in files]), [path])
    if len(series) != 1:
        found = "; ".join(f"{files[0].name} and {len(files) - 1} more" for files in list(series.values())[:4])
        way_out = f"give a file of the one you mean: {found}" if series else "give a folder that has one"
        raise InputError(f"{path}: {len(series) or 'no'} DICOM series in this folder; {way_out}.")
    return next(iter(series.values()))


def _read(itk: ModuleType, path: Path) -> _Slice:
    header = itk.GDCMImageIO.New()
    image = itk.imread(str(path), imageio=header)
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError(f"{path}: {image.GetNumberOfComponentsPerPixel()} values a voxel; give one grey channel.")
    tags = header.GetMetaDataDictionary()
    array = itk.array_from_image(image).T
    n = array.ndim
    matrix, origin = np.eye(3), np.zeros(3)
    matrix[:n, :n] = itk.array_from_matrix(image.GetDirection()) * [image.GetSpacing()[a] for a in range(n)]
    origin[:n] = [image.GetOrigin()[a] for a in range(n)]
    time = _number(tags, "0018|1060"), _number(tags, "0020|0013")
    return _Slice(path, array.reshape(*array.shape[:2], -1), matrix, origin, time, _text(tags, "0008|0016"))


def _text(tags: Any, key: str) -> str:
    return tags[key].strip(" \0") if tags.HasKey(key) else ""


def _number(tags: Any, key: str) -> float:
    try:
        return float(_text(tags, key))
    except ValueError:
        return 0.0


def _check_alike(slices: Sequence[_Slice]) -> None:
    first = slices[0]
    for other in slices:
        same = other.array.shape == first.array.shape and other.array.shape[2] == 1
        if not same or not np.allclose(other.matrix[:, :2], first.matrix[:, :2], atol=1e-3):
            raise InputError(
                f"{other.path}: {list(other.array.shape)}, unlike {first.path.name} of the same series, "
                f"{list(first.array.shape)}, or turned or spaced otherwise; keep one kind of slice in the folder."
            )


def _by_position(slices: Sequence[_Slice], path: Path) -> list[list[_Slice]]:
    """The files of each position, in order along the normal; those of one position in order of time."""
    normal = slices[0].matrix[:, 2] / np.linalg.norm(slices[0].matrix[:, 2])
    places: dict[float, list[_Slice]] = {}
    for one in slices:
        places.setdefault(round(float(one.origin @ normal), 2), []).append(one)
    counts = {len(place) for place in places.values()}
    if len(counts) > 1:
        raise InputError(
            f"{path}: {min(counts)} to {max(counts)} DICOM files at a position, so neither a volume nor a whole cine; "
            "add what is missing or remove what is too much."
        )
    return [sorted(places[key], key=lambda one: one.time) for key in sorted(places)]


def _distance(places: Sequence[Sequence[_Slice]], path: Path) -> float:
    """Of two slices, in mm: the matrix' own for a single position."""
    origins, matrix = np.array([place[0].origin for place in places]), places[0][0].matrix
    if len(places) == 1:
        return float(np.linalg.norm(matrix[:, 2]))
    steps = np.diff(origins, axis=0)
    distance = float(np.median(np.linalg.norm(steps, axis=1)))
    normal = matrix[:, 2] / np.linalg.norm(matrix[:, 2])
    off = np.linalg.norm(steps - distance * normal, axis=1)
    if off.max() > EVEN * distance:
        worst = int(off.argmax())
        raise InputError(
            f"{path}: from {places[worst][0].path.name} to {places[worst + 1][0].path.name} it is "
            f"{np.linalg.norm(steps[worst]):.2f} mm, {distance:.2f} mm straight ahead elsewhere; "
            "a slice is missing or they are tilted: resample the series first."
        )
    return distance

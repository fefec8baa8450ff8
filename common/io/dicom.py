"""DICOM series, through pydicom: a folder, or one of its files, as a volume or as the frames of a cine.

A series is a set of planes, each with its own place, time and scale of values, whether a file holds one of them or many
(enhanced and legacy converted MR, CT, PET). How they are found, read and put in order is in the modules ``dicom_*``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..forms import RAS_TO_LPS
from .dicom_headers import is_marked, quiet_pydicom, series_of
from .dicom_pixels import read_values
from .dicom_planes import planes_of
from .dicom_stacks import Stack, stacked
from .formats import DICOM


def is_dicom(path: Path) -> bool:
    """Tell whether ``path`` is a folder or a file with DICOM's name or mark."""
    return path.is_dir() or path.name.lower().endswith(DICOM) or (path.is_file() and is_marked(path))


def modality_of(path: Path) -> str | None:
    """What a DICOM series says that it is, as "MR" or "CT"; None where it does not say, and of other files."""
    if not (path.exists() and is_dicom(path)):
        return None
    header = next(iter(series_of(path).values()))
    with quiet_pydicom(path):
        return str(header.get("Modality") or "") or None


def read_series(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the series that ``path`` is, or is a file of: (i, j, k) or (i, j, k, t), and the affine to RAS (4, 4).

    Raises:
        InputError: no series or several, colours, no geometry, or slices that make up no grid. OSError: unreadable.
    """
    stack = _stack(path)
    values = read_values([plane for place in stack.places for plane in place])
    frames = [np.stack([values[place[t]] for place in stack.places], axis=2) for t in range(len(stack.places[0]))]
    return frames[0] if len(frames) == 1 else np.stack(frames, axis=-1), RAS_TO_LPS @ stack.affine


def frame_times(path: Path) -> np.ndarray | None:
    """Times (T,) of the frames of the cine ``path``, in ms from the first; None where the series does not say.

    Raises:
        InputError, OSError: as `read_series`.
    """
    return _stack(path).times


def _stack(path: Path) -> Stack:
    headers = series_of(path)
    return stacked([plane for file, header in headers.items() for plane in planes_of(header, file)], path)

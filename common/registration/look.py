"""How an image of a registration opens in a viewer: what stands where nothing was seen, its window, what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import InputError
from .maps import OUTSIDE, UNKNOWN_LABEL

if TYPE_CHECKING:
    from .outcome import Registration

BEYOND = {"nan": np.nan, "0": 0.0}
"""What a map may be in files where nothing was seen."""
METHODS = (*OUTSIDE, "label_uncertainty", "uncertainty_mm")
NOTES = {
    "warped": "moving image on the fixed image's grid",
    "warped_label": "label map of the moving image on the fixed image's grid",
    "jacobian": "determinant of d(p + u)/dp; at or below 0 it folds",
    "seen": "1 where the network looked",
    "segmentation": "most probable class",
    "uncertainty_mm": "standard deviation of u along an axis, mm",
    "displacement_log_variance": "log variance of u, network's voxels squared",
    "ddf_variance": "variance between fields, network's voxels squared",
    "log_variance": "log variance of the intensity, images in [0, 1]",
    "score": "0 to 1, high: trusted",
    "label_uncertainty": "error of the classes' shares, summed; high: unsure",
}
RANGES = {"jacobian": (0.0, 2.0), "score": (0.0, 1.0), "label_uncertainty": (0.0, UNKNOWN_LABEL)}
FROM_ZERO = ("uncertainty_mm", "ddf_variance")


class Look(NamedTuple):
    """An array as it is written, the values from black to white, and what it is."""

    array: np.ndarray
    window: tuple[float, float] | None
    note: str


def check_outside(outside: object) -> str:
    """``outside`` as a word of `BEYOND`; raise InputError if it is none."""
    if str(outside).lower() not in BEYOND:
        raise InputError(f"outside is {outside!r}; give nan or 0.")
    return str(outside).lower()


def looks(found: Registration, outside: str = "nan") -> dict[str, Look]:
    """The images of a registration as they are written, by the ends of their files' names."""
    return {name: look(name, array, found.seen, outside) for name, array in found.images.items()}


def look(name: str, array: np.ndarray, seen: np.ndarray, outside: str = "nan") -> Look:
    """How the image ``name`` is written.

    Args:
        array: (..., *seen.shape).
        outside: of a method's map, what it is where nothing was seen: "nan" or "0".
    """
    note = NOTES.get(name, "")
    window = _window(name, array[..., seen], array)
    if name in METHODS:
        array = np.where(seen, array, np.array(BEYOND[outside], array.dtype))
        note += f"; {'NaN' if outside == 'nan' else 0} where not seen"
    return Look(array, window, note)


def _window(name: str, inside: np.ndarray, array: np.ndarray) -> tuple[float, float] | None:
    if array.dtype.kind in "bui":
        return (0.0, float(max(array.max(), 1)))
    if name in RANGES:
        return RANGES[name]
    inside = inside[np.isfinite(inside)]
    if not inside.size:
        return None
    low, high = (float(value) for value in np.percentile(inside, (1, 99)))
    low = min(0.0, low) if name in FROM_ZERO else low
    return (low, high) if high > low else None

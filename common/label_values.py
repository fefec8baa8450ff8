"""What may be a label: the one rule for every label map, 2D, 3D, 4D or prepared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .errors import InputError

SMALLEST, LARGEST = -(2**31), 2**32 - 1
OFF = 1e-4  # from a whole number: what scaling and float32 leave; 100000.4 is another thing
DIGITS = 4 * float(np.finfo(np.float32).eps)  # the same of large numbers, as a share of them
MOST = 0.1  # and at most


def label_values(array: np.ndarray, path: str | Path, smallest: int = SMALLEST, largest: int = LARGEST) -> np.ndarray:
    """Return the values of a label map as uint8, or as int32 or uint32 where they need it.

    Args:
        array: whole numbers up to the round-off of float32.
        smallest, largest: what is taken.

    Raises:
        InputError: naming ``path`` and a value that is NaN, infinite, no whole number or out of range.
    """
    if array.dtype == np.uint8 and smallest <= 0 and largest >= 255:
        return array
    if array.dtype.kind not in "biuf":
        raise InputError(f"{path}: {array.dtype} is no type of a label map; store whole numbers.")
    if array.dtype.kind == "f":
        array = _whole(array, path)
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    if low < 0 and high > 2**31 - 1:
        largest = 2**31 - 1  # no type of a file that ITK reads has both
    if low < smallest or high > largest:
        worst = high if high > largest else low
        raise InputError(f"{path}: label value {worst} is not in {smallest} to {largest}; renumber the labels.")
    return array.astype(whole_type(low, high))


def whole_type(low: int, high: int) -> type[np.integer[Any]]:
    """The type in which whole numbers from ``low`` to ``high`` are kept and written."""
    if low >= 0 and high <= 255:
        return np.uint8
    return np.uint32 if high > 2**31 - 1 else np.int32


def _whole(array: np.ndarray, path: str | Path) -> np.ndarray:
    if not (finite := np.isfinite(array)).all():
        count = int((~finite).sum())
        raise InputError(f"{path}: a label map has whole numbers only, not NaN or Inf ({count} voxels); make them 0.")
    rounded = np.round(array)
    off = np.abs(array - rounded) > np.clip(np.abs(array) * DIGITS, OFF, MOST)
    if off.any():
        raise InputError(
            f"{path}: a label map has whole numbers only, not {array[off].flat[0]:.9g}; "
            "was it interpolated, or is it an image?"
        )
    return rounded

"""Voxels so far from all others that scaling an image by its extremes would leave nothing of the rest."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SHARE = 0.1
"""Percent at either end of the values that do not tell what is usual."""
FAR = 10.0
"""Usual ranges beyond the usual range from which a value is an outlier."""
SAMPLES = 2**17
FEWEST = 100  # values that tell what is usual


class Usual(NamedTuple):
    """The range that all but ``far`` voxels of an image lie in."""

    low: float
    high: float
    far: int


def usual_range(array: np.ndarray) -> Usual:
    """Return the extremes of an image but for its outliers, of which nearly every image has none.

    What is usual is told by the voxels that differ from the smallest value, which most of an image may have.
    """
    flat = np.asarray(array).reshape(-1)
    low, high = float(flat.min()), float(flat.max())
    sample = flat[:: max(1, flat.size // SAMPLES)]
    sample = sample[sample != low]
    if len(sample) < FEWEST:
        return Usual(low, high, 0)
    share = max(SHARE, 200 / len(sample))  # of few, at least two at either end
    first, last = np.percentile(sample, (share, 100 - share)).astype(float)
    reach = FAR * (last - first)
    if not reach > 0 or (first - low <= reach and high - last <= reach):
        return Usual(low, high, 0)
    kept = flat[(flat >= first - reach) & (flat <= last + reach)]
    return Usual(float(kept.min()), float(kept.max()), len(flat) - len(kept))


def told_outliers(array: np.ndarray) -> str:
    """Say in words which outliers an image has, "" for none."""
    low, high, far = usual_range(array)
    if not far:
        return ""
    what = f"{far} voxels are far from all others" if far > 1 else "a voxel is far from all others"
    own = f"{float(array.min()):.3g} to {float(array.max()):.3g}"
    return f"{what} ({own}); taken for the network as {low:.3g} to {high:.3g}, the range of the rest"


def without_outliers(array: np.ndarray, of: np.ndarray | None = None) -> np.ndarray:
    """Return ``array`` with its outliers at the end of the usual range; itself if it has none.

    Args:
        of: the image that ``array`` was made from, which tells what is usual; None is itself.
    """
    low, high, far = usual_range(array if of is None else of)
    return np.clip(array, low, high) if far else array

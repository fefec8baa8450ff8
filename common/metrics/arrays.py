"""What every metric does to its inputs first: NumPy, one shape, one line of complaint."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError


def as_array(values: Any) -> NDArray:
    """View ``values`` (array, nested list or tensor on any device) as a NumPy array, copying only where needed."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    return np.asarray(values)


def as_mask(values: ArrayLike) -> NDArray[np.bool_]:
    """View ``values`` as a boolean mask: True where it is not zero."""
    mask = as_array(values)
    return mask if mask.dtype == bool else mask != 0


def same_shape(**arrays: NDArray) -> None:
    """Raise InputError, naming the arguments, unless all arrays have one shape."""
    if len({array.shape for array in arrays.values()}) > 1:
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items())
        raise InputError(f"metrics: the shapes differ ({shapes}); give arrays on one grid")

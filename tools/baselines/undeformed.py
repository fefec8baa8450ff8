"""No registration: the field that moves nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PACKAGE = "numpy"


@dataclass(frozen=True)
class Settings:
    """There is nothing to set."""


def load() -> None:
    """Import what the engine needs."""


def register(moving: NDArray[np.float32], fixed: NDArray[np.float32], settings: Settings) -> NDArray[np.float32]:
    """Return a field of zeros (D, *spatial)."""
    import numpy as np

    return np.zeros((fixed.ndim, *fixed.shape), np.float32)

"""A ring that contracts and relaxes, as an image by a formula."""

from __future__ import annotations

import numpy as np

SCALES = (1.0, 0.9, 0.8, 0.9)  # of the ring's radius in each frame


def centred(size: int) -> np.ndarray:
    """Offsets in voxels from the middle, (2, size, size)."""
    return np.stack(np.meshgrid(*[np.arange(size) - (size - 1) / 2] * 2, indexing="ij"))


def ring(size: int, scale: float, inner: float = 0.15, outer: float = 0.28) -> tuple[np.ndarray, np.ndarray]:
    """An image and its labels, 2 wall and 3 cavity, with radii relative to the size."""
    radius = np.hypot(*centred(size)) / (size * scale)
    body, cavity = (1 / (1 + np.exp((radius - edge) * size)) for edge in (outer, inner))
    image = 0.2 - 0.15 * (body - cavity) + 0.7 * cavity
    return image.astype(np.float32), np.where(radius < inner, 3, np.where(radius < outer, 2, 0)).astype(np.uint8)

"""What tissue looks like: smooth random textures that are bound to it, and a canvas to paint tissues on."""

from __future__ import annotations

import numpy as np
from numpy import ndarray
from scipy.ndimage import gaussian_filter, map_coordinates

from .geometry import Grid, Points


class Texture:
    """A smooth random field, mean 0 and variance 1, that can be asked for at any point in mm.

    It is made on nodes finer than the voxels and repeats beyond them, so that the texture at the places where
    tissue has moved is the tissue's own, not an interpolation of an image.
    """

    def __init__(self, rng: np.random.Generator, grid: Grid, scale: float, nodes_per_scale: float = 2.0) -> None:
        spacing = np.array(grid.spacing)
        step = np.maximum(scale, spacing) / nodes_per_scale
        self.step, self.origin = step.astype(np.float32), grid.origin
        shape = np.ceil((np.array(grid.shape) + 16) * spacing / step).astype(int)
        field = gaussian_filter(rng.standard_normal(shape, np.float32), scale / step, mode="wrap", truncate=3)
        self.field = (field - field.mean()) / field.std()

    def __call__(self, points: Points) -> ndarray:
        at = [(p - np.float32(o)) / h for p, o, h in zip(points, self.origin, self.step)]
        return map_coordinates(self.field, np.broadcast_arrays(*at), order=1, mode="grid-wrap")


class Canvas:
    """Brightness and strength of the texture at every point, painted from back to front."""

    def __init__(self, shape: tuple[int, ...], value: float, grain: float) -> None:
        self.value = np.full(shape, value, np.float32)
        self.grain = np.full(shape, grain, np.float32)

    def paint(self, share: ndarray, value: float | ndarray, grain: float = 0.1) -> None:
        """Cover ``share`` (0 to 1) of every point with a tissue of this ``value`` and relative ``grain``."""
        self.value += share * (value - self.value)
        self.grain += share * (np.float32(grain) - self.grain)

    def textured(self, texture: ndarray) -> ndarray:
        """Brightness with the texture (mean 0, variance 1) on it."""
        return self.value * np.clip(1 + self.grain * texture, 0.1, None)

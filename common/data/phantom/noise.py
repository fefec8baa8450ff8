"""Noise whose variance is known at every voxel: Rician for MR, saturating speckle for ultrasound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import ndarray
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.special import gamma, gammainc, i0e, i1e

from .geometry import Grid, Points

COMPRESSION = 0.4  # exponent from the echo's envelope to the brightness shown
WIDEST = 0.8  # angle in rad beyond which no sector reaches


def rician(rng: np.random.Generator, mean: ndarray, sigma: ndarray) -> ndarray:
    """Magnitude of ``mean`` with complex Gaussian noise of standard deviation ``sigma`` in both channels."""
    real, imaginary = rng.standard_normal((2, *mean.shape))
    return np.hypot(mean + sigma * real, sigma * imaginary).astype(np.float32)


def rician_variance(mean: ndarray, sigma: ndarray) -> ndarray:
    """Variance of ``rician`` (Gudbjartsson and Patz, 1995): sigma^2 where bright, 0.43 sigma^2 where dark."""
    signal, spread = mean.astype(np.float64), sigma.astype(np.float64)
    x = signal**2 / (2 * spread**2)
    expected = spread * np.sqrt(np.pi / 2) * ((1 + x) * i0e(x / 2) + x * i1e(x / 2))
    return (2 * spread**2 + signal**2 - expected**2).astype(np.float32)


@dataclass(frozen=True)
class Speckle:
    """Fully developed speckle of a sector probe at ``tip``, wider across the beam in depth; not so fine in 3D."""

    tip: tuple[float, float, float]
    along: float  # correlation length along the beam, mm
    across: float  # and across it, rad

    @classmethod
    def of_probe(cls, tip: tuple[float, float, float], spatial_dims: int) -> Speckle:
        """The speckle of a phased array (2D) or of a matrix probe (3D), which resolves less."""
        return cls(tip, 0.75, 0.018) if spatial_dims == 2 else cls(tip, 1.0, 0.03)

    def __call__(self, rng: np.random.Generator, mean: ndarray, points: Points) -> ndarray:
        """Brightness ``mean`` times speckle of mean 1, saturated at 1 as a display does."""
        real, imaginary = self._gaussian(rng, points), self._gaussian(rng, points)
        envelope = np.sqrt((real**2 + imaginary**2) / 2)  # its square is exponential with mean 1
        return np.minimum(mean * envelope**COMPRESSION / gamma(1 + COMPRESSION / 2), 1).astype(np.float32)

    @staticmethod
    def variance(mean: ndarray) -> ndarray:
        """Variance of what a call returns, from the incomplete gamma function.

        With e exponential, brightness is b = min(k e^(c/2), 1); E[b^p] = k^p g(1 + pc/2, t) + exp(-t), where
        g is the lower incomplete gamma function and t = k^(-2/c) is where the display saturates.
        """
        k = np.maximum(mean.astype(np.float64), 1e-6) / gamma(1 + COMPRESSION / 2)
        t = k ** (-2 / COMPRESSION)
        first, second = (
            k**p * gamma(1 + p * COMPRESSION / 2) * gammainc(1 + p * COMPRESSION / 2, t) + np.exp(-t) for p in (1, 2)
        )
        return np.where(mean > 0, second - first**2, 0).astype(np.float32)

    def _gaussian(self, rng: np.random.Generator, points: Points) -> ndarray:
        """A Gaussian field of mean 0 and variance 1 at every point, correlated along beam coordinates."""
        scale, at = 1.3, self._beam_coordinates(points)
        nodes = [a * scale for a in at if a.ndim]
        nodes = [a - a.min() + 1 for a in np.broadcast_arrays(*nodes)]
        shape = [int(a.max()) + 3 for a in nodes]
        white = rng.standard_normal(shape, np.float32)
        smooth = gaussian_filter(white, scale, mode="wrap", truncate=4)
        smooth /= _filter_gain(scale) ** len(shape)
        lag = np.exp(-1 / (4 * scale**2))
        kept = np.ones(nodes[0].shape, np.float32)
        for a in nodes:  # linear interpolation between nodes averages, which costs a known share of the variance
            f = a - np.floor(a)
            kept *= (1 - f) ** 2 + f**2 + 2 * f * (1 - f) * lag
        return map_coordinates(smooth, nodes, order=1, mode="nearest") / np.sqrt(kept)

    def _beam_coordinates(self, points: Points) -> list[ndarray]:
        """Depth and angles, in correlation lengths."""
        r, *angles = beam(points, self.tip)
        angles = [np.clip(a, -WIDEST, WIDEST) / np.float32(self.across) for a in angles if a.ndim]
        return [r / np.float32(self.along), *angles]


def beam(points: Points, tip: tuple[float, float, float]) -> tuple[ndarray, ndarray, ndarray]:
    """Depth in mm, the angle in the image and the angle across it, in rad, seen from the probe's ``tip``."""
    x, y, z = (p - np.float32(t) for p, t in zip(points, tip))
    down = np.maximum(y, 1e-3)
    elevation = np.arctan2(z, down) if np.ndim(z) else np.zeros((), np.float32)
    return np.sqrt(x**2 + y**2 + z**2), np.arctan2(x, down), elevation


def _filter_gain(scale: float) -> float:
    """Standard deviation that scipy's Gaussian filter leaves of white noise, per axis."""
    tap = np.arange(-int(4 * scale + 0.5), int(4 * scale + 0.5) + 1)
    kernel = np.exp(-0.5 * (tap / scale) ** 2)
    return float(np.sqrt((kernel**2).sum()) / kernel.sum())


def coil_sigma(rng: np.random.Generator, grid: Grid) -> ndarray:
    """Standard deviation of MR noise: a level, and where coils cannot tell two places apart a multiple of it.

    Parallel imaging amplifies noise most in the middle, in patches and bands (its g-factor).
    """
    points = grid.points()[: len(grid.shape)]
    total = np.zeros(grid.shape, np.float32)
    for _ in range(int(rng.integers(2, 5))):
        centre, turn = rng.normal(0, 32, 3), rng.uniform(0, np.pi)
        u = (points[0] - centre[0]) * np.cos(turn) + (points[1] - centre[1]) * np.sin(turn)
        v = (points[1] - centre[1]) * np.cos(turn) - (points[0] - centre[0]) * np.sin(turn)
        along, across = rng.uniform(20, 50), rng.uniform(9, 22)
        total += rng.uniform(0.5, 1) * np.exp(-((u / along) ** 2) - (v / across) ** 2).astype(np.float32)
    return (rng.uniform(0.008, 0.020) * (1 + rng.uniform(1.5, 4.0) * total)).astype(np.float32)

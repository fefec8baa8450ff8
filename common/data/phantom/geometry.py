"""Where things are: the image grid in millimetres, soft-edged shapes, and the left ventricle both views share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import ndarray

Points = list[ndarray]  # x, y and z in mm, each (*spatial) or a scalar; z is 0 throughout a 2D image


@dataclass(frozen=True)
class Grid:
    """A voxel grid: ``point = origin + spacing * index``, all in mm, one entry per array axis."""

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]

    def points(self, ddf: ndarray | None = None) -> Points:
        """Coordinates of every voxel, moved by ``ddf`` (D, *spatial) in voxels if given."""
        index = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in self.shape), indexing="ij")
        moved = index if ddf is None else [i + u for i, u in zip(index, ddf)]
        points = [np.float32(o) + np.float32(h) * i for o, h, i in zip(self.origin, self.spacing, moved)]
        return points if len(points) == 3 else [*points, np.zeros((), np.float32)]

    @property
    def affine(self) -> ndarray:
        """Voxel index to mm, (4, 4); a 2D grid is one slice 8 mm thick."""
        pad = 3 - len(self.shape)
        affine = np.diag([*self.spacing, *[8.0] * pad, 1.0])
        affine[:3, 3] = [*self.origin, *[0.0] * pad]
        return affine

    @property
    def edge(self) -> np.float32:
        """Width in mm over which a sharp boundary is smeared by the finite voxel."""
        return np.float32(1.5 * max(self.spacing[:2]))


def ramp(t: ndarray) -> ndarray:
    """0 below 0, 1 above 1, smooth between."""
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


def cover(signed_distance: ndarray, width: float) -> ndarray:
    """Share of a voxel inside a shape: 1 inside, 0 outside, a smooth edge of ``width`` mm."""
    return ramp(0.5 - signed_distance / width)


def ellipse(points: Points, centre: tuple[float, ...], radii: tuple[float, ...]) -> ndarray:
    """Approximate signed distance in mm to an ellipse or ellipsoid along the axes given, negative inside."""
    scaled = sum(((p - c) / r) ** 2 for p, c, r in zip(points, centre, radii))
    return (np.sqrt(scaled) - 1) * np.float32(min(radii))


def rotate(x: ndarray, y: ndarray, angle: float) -> tuple[ndarray, ndarray]:
    """Coordinates of the points (x, y) along axes turned by ``angle``."""
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return c * x + s * y, c * y - s * x


def wobble(theta: ndarray, waves: ndarray) -> ndarray:
    """Sum of a * cos(k * theta + phase) over the rows (k, a, phase) of ``waves``."""
    total = np.zeros_like(theta)
    for k, amplitude, phase in waves:
        total += np.float32(amplitude) * np.cos(np.float32(k) * theta + np.float32(phase))
    return total


def random_waves(rng: np.random.Generator, amplitude: float, orders: range) -> ndarray:
    """Rows (k, a, phase) for ``wobble``: rough shapes have large amplitudes, which fall with the order."""
    return np.array([[k, amplitude * rng.normal() * 2 / k, rng.uniform(0, 2 * np.pi)] for k in orders])


@dataclass(frozen=True)
class Ventricle:
    """The left ventricle at end diastole: two half ellipsoids, one in the other, open at the base.

    ``axes`` are rows of unit vectors: away from the septum, across, from base to apex.
    """

    base: ndarray  # centre of the base, mm
    axes: ndarray  # (3, 3)
    length: float  # base to the apex of the cavity, mm
    radius: float  # of the cavity at the base, mm
    wall: float  # mm
    septum: float  # thickness of the septum relative to the wall's
    waves: ndarray  # relative deviation from a round contour

    def local(self, points: Points) -> tuple[ndarray, ndarray, ndarray]:
        """Coordinates in mm along ``axes``, from the base."""
        shifted = [p - np.float32(b) for p, b in zip(points, self.base)]
        q1, q2, h = (sum(np.float32(a) * p for a, p in zip(axis, shifted)) for axis in self.axes)
        return q1, q2, h

    def thickness(self, q1: ndarray) -> ndarray:
        """Wall thickness in mm, from the septum's at q1 < 0 to the free wall's."""
        side = q1 / np.sqrt(q1**2 + np.float32(self.radius) ** 2 / 4)
        return np.float32(self.wall) * (1 + np.float32(self.septum - 1) * (0.5 - 0.5 * side))

    def shells(self, q1: ndarray, q2: ndarray, h: ndarray) -> tuple[ndarray, ndarray]:
        """Approximate signed distances in mm to the endocardium and the epicardium, negative inside."""
        square = q1**2 + q2**2
        # on the axis the angle means nothing: let its influence vanish there
        roundness = 1 + wobble(np.arctan2(q2, q1), self.waves) * square / (square + np.float32(0.1 * self.radius**2))
        endo, wall = np.float32(self.radius) * roundness, self.thickness(q1)
        return self._shell(square, h, endo, self.length), self._shell(square, h, endo + wall, self.length + 0.8 * wall)

    @staticmethod
    def _shell(square: ndarray, h: ndarray, radius: ndarray, length: ndarray) -> ndarray:
        along = np.clip(h / length, 0, None)
        return radius * (np.sqrt(square / radius**2 + along**2 * np.sqrt(np.sqrt(along))) - 1)

    def taper(self, h: ndarray) -> ndarray:
        """Radius at height ``h`` relative to the base's, from 1 at the base to a small rest at the apex."""
        along = np.clip(h / np.float32(self.length), 0, 1)
        return np.sqrt(np.clip(1 - along**2.25, 0.04, 1))

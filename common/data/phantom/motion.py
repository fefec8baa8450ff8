"""How the heart moves from end diastole to end systole: a smooth velocity, integrated, so that nothing folds.

The heart contracts by a stationary velocity c(x); the displacement field of registration points the other
way, from end systole (fixed) to end diastole (moving), and is the flow of -c:

    fixed(x) = moving(x + ddf(x)),   ddf = integrate(-c)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy import ndarray
from scipy.ndimage import gaussian_filter

from ...spatial import integrate
from .geometry import Grid, Points, Ventricle, ramp


@dataclass(frozen=True)
class Beat:
    """What one heart does between two frames; lengths in mm, per unit of time."""

    contraction: float  # relative rate at which the cavity narrows
    shortening: float  # of the base towards the apex
    twist: float  # rad, at the apex relative to the base
    shift: ndarray  # (3,) of the whole heart
    standstill: float  # 0: all of the wall moves, 1: the worst segment does not
    segment: float  # the angle of that segment
    right: float  # rate at which the right ventricle narrows, relative to the left's
    jitter: float  # root mean square of the irregular rest

    @staticmethod
    def sample(rng: np.random.Generator, contraction: float, shortening: float, standstill: float) -> Beat:
        """Draw the rest of a beat of the given strength."""
        return Beat(
            contraction=contraction,
            shortening=shortening,
            twist=rng.normal(0.12, 0.08),
            shift=rng.normal(0, 1.2, 3),
            standstill=standstill,
            segment=rng.uniform(-np.pi, np.pi),
            right=rng.uniform(0.3, 0.6),
            jitter=rng.uniform(0.3, 0.8),
        )


def true_displacement(rng: np.random.Generator, grid: Grid, heart: Ventricle, beat: Beat, mobile: ndarray) -> ndarray:
    """Displacement field (D, *spatial) in voxels on the fixed grid, float32, a diffeomorphism.

    ``mobile`` is 1 where tissue is free to move and 0 where it is not, as at the edge of an ultrasound sector.
    """
    velocity = _contraction(grid.points(), heart, beat)[: len(grid.shape)]
    near = 0.2 + 0.8 * _near_axis(*heart.local(grid.points()), heart)
    rough = [_smooth(rng, grid, beat.jitter) * near for _ in grid.shape]
    voxels = [-(v + j) * mobile * w / h for v, j, w, h in zip(velocity, rough, _windows(grid), grid.spacing)]
    return integrate(torch.from_numpy(np.stack(voxels).astype(np.float32))[None])[0].numpy()


def _contraction(points: Points, heart: Ventricle, beat: Beat) -> list[ndarray]:
    """Velocity (x, y, z) in mm of the heart from end diastole to end systole."""
    q1, q2, h = heart.local(points)
    left = _narrowing(q1, q2, h, heart, beat)
    right = _right_narrowing(q1, q2, h, heart, beat)
    near = _near_axis(q1, q2, h, heart)
    local = [a + b for a, b in zip(left, right)]
    local.append(beat.shortening * _pull(h, heart) * near)
    return [sum(a[k] * v for a, v in zip(heart.axes, local)) + beat.shift[k] * near for k in range(3)]


def _narrowing(q1: ndarray, q2: ndarray, h: ndarray, heart: Ventricle, beat: Beat) -> list[ndarray]:
    """Towards the axis, in proportion to the distance from it, but outside the wall's middle less and less."""
    turning = (heart.radius + 0.3 * heart.wall) * heart.taper(h)
    r = np.hypot(q1, q2)
    rate = beat.contraction * _level(h, heart) / (1 + (r / turning) ** 6)
    toward = np.cos(np.arctan2(q2, q1) - beat.segment)
    rate = rate * (1 - beat.standstill * np.exp(2.5 * (toward - 1)) * ramp(r / turning))
    spin = beat.twist * (h / heart.length - 0.3) * _level(h, heart) / (1 + (r / turning) ** 4)
    return [-rate * q1 - spin * q2, -rate * q2 + spin * q1]


def _right_narrowing(q1: ndarray, q2: ndarray, h: ndarray, heart: Ventricle, beat: Beat) -> list[ndarray]:
    """The free wall of the right ventricle, at q1 < 0, goes to the septum."""
    epi = (heart.radius + heart.wall) * heart.taper(h)
    beyond = (-q1 - epi) / (0.8 * epi)
    wall = ramp(1 + beyond) * np.exp(-(np.clip(beyond - 1, 0, None) ** 2) * 2) * np.exp(-((q2 / (1.3 * epi)) ** 4))
    speed = beat.right * beat.contraction * 0.5 * heart.radius * wall * _level(h, heart)
    return [speed, np.zeros_like(speed)]


def _level(h: ndarray, heart: Ventricle) -> ndarray:
    """1 along the ventricle, 0 well beyond its apex and in the atrium."""
    return ramp((h / heart.length + 0.45) / 0.5) * ramp((1.4 - h / heart.length) / 0.5)


def _pull(h: ndarray, heart: Ventricle) -> ndarray:
    """Share of the base's way to the apex: none at the apex, falling off again through the atrium."""
    along = h / heart.length
    return np.clip(1 - along, 0, 1) * ramp(1 + along / 0.9)


def _near_axis(q1: ndarray, q2: ndarray, h: ndarray, heart: Ventricle) -> ndarray:
    """1 in and around the heart, 0 far from it."""
    reach = 1.7 * (heart.radius + heart.wall)
    beyond = np.clip(np.abs(h / heart.length - 0.5) - 0.5, 0, None) / 0.6
    return np.exp(-(((q1**2 + q2**2) / reach**2 + beyond**2) ** 2))


def _smooth(rng: np.random.Generator, grid: Grid, amplitude: float) -> ndarray:
    """A random field of wavelengths of several centimetres, ``amplitude`` mm root mean square."""
    scale = 11.0 / np.array(grid.spacing)
    field = gaussian_filter(rng.standard_normal(grid.shape), scale, mode="constant", truncate=3)
    return amplitude * field / max(float(field.std()), 1e-12)


def _windows(grid: Grid) -> list[ndarray]:
    """Per axis, 1 inside and 0 at the faces which that axis crosses: nothing leaves the image."""
    margins = [np.minimum(np.arange(n), n - 1 - np.arange(n)) * h for n, h in zip(grid.shape, grid.spacing)]
    ramps = np.meshgrid(*(ramp(m / 18) for m in margins), indexing="ij")
    plane = ramps[0] * ramps[1]
    return [plane, plane] if len(ramps) == 2 else [plane, plane, plane * ramps[2]]

"""What one frame shows and the other does not: artefacts without correspondence, drawn apart from applied."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy import ndarray

from .geometry import Points, Ventricle, cover, ramp, rotate
from .noise import beam

Nuisance = Callable[[ndarray, Points], ndarray]  # (clean brightness, points in mm) -> brightness


def sample_nuisance(
    rng: np.random.Generator, kinds: list[Callable], heart: Ventricle, probabilities: list[float]
) -> list[Nuisance]:
    """Draw 0, 1, 2, ... artefacts with the given probabilities, each of another kind."""
    count = int(rng.choice(len(probabilities), p=probabilities))
    return [kinds[k](rng, heart) for k in rng.permutation(len(kinds))[:count]]


def apply(nuisances: list[Nuisance], clean: ndarray, points: Points) -> ndarray:
    """The brightness with every artefact on it."""
    for nuisance in nuisances:
        clean = nuisance(clean, points).astype(np.float32)
    return clean


def _middle(rng: np.random.Generator, heart: Ventricle, height: float, reach: float) -> ndarray:
    """A place in or near the ventricle, mm."""
    radius = heart.radius + 0.5 * heart.wall
    q = rng.normal(0, reach, 2) * radius
    return heart.base + q[0] * heart.axes[0] + q[1] * heart.axes[1] + height * heart.length * heart.axes[2]


# --- MR ---------------------------------------------------------------------------------------------------------


def dark_band(rng: np.random.Generator, heart: Ventricle) -> Nuisance:
    """An off-resonance band of balanced steady-state free precession: a dark, bent stripe."""
    x0, y0, _ = _middle(rng, heart, 0.5, 0.7)
    turn, bend = rng.uniform(0, np.pi), rng.normal(0, 0.006)
    width, length, depth = rng.uniform(3.5, 6.5), rng.uniform(35, 70), rng.uniform(0.65, 0.9)

    def nuisance(clean: ndarray, points: Points) -> ndarray:
        u, v = rotate(points[0] - x0, points[1] - y0, turn)
        stripe = np.exp(-(((v + bend * u**2) / width) ** 2) - (u / length) ** 4)
        return clean * (1 - depth * stripe)

    return nuisance


def void(rng: np.random.Generator, heart: Ventricle) -> Nuisance:
    """The hole metal leaves: no signal, and what is missing piled up along one rim."""
    x0, y0, z0 = _middle(rng, heart, rng.uniform(0.2, 0.7), 0.9)
    radius, turn, pile = rng.uniform(6, 12), rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.7)

    def nuisance(clean: ndarray, points: Points) -> ndarray:
        x, y, z = points
        u, v = rotate(x - x0, y - y0, turn)
        r = np.sqrt(u**2 + 1.6 * v**2 + (0.6 * (z - z0) if np.ndim(z) else 0.0) ** 2)
        rim = np.exp(-(((r - 1.1 * radius) / 2.5) ** 2)) * ramp(u / radius)
        return np.minimum(clean * (1 - cover(r - radius, 5)) + pile * rim, 1)

    return nuisance


def ghost(rng: np.random.Generator, heart: Ventricle) -> Nuisance:
    """Ghosts of the beating ventricle, shifted along the direction of phase encoding."""
    turn = rng.choice([0, np.pi / 2]) + rng.normal(0, 0.05)
    pitch, strength = rng.uniform(26, 44), rng.uniform(0.15, 0.3)
    x0, y0, _ = heart.base
    shift = pitch * np.array([np.cos(turn), np.sin(turn)])

    def nuisance(clean: ndarray, points: Points) -> ndarray:
        added = np.zeros_like(clean)
        taper = heart.taper((points[2] - heart.base[2]) * heart.axes[2][2])
        for k in (-2, -1, 1, 2):
            u, v = rotate(points[0] - x0 - k * shift[0], points[1] - y0 - k * shift[1], turn)
            r = np.hypot(u, v) + 1e-3
            added += np.exp(-(((r - heart.radius * taper) / 4.5) ** 2)) * (u / r) ** 2 * strength / abs(k)
        return np.minimum(clean + added, 1)

    return nuisance


def jet(rng: np.random.Generator, heart: Ventricle) -> Nuisance:
    """Blood whose spins lose phase in fast flow: a dark plume in the cavity."""
    x0, y0, z0 = _middle(rng, heart, rng.uniform(0.1, 0.5), 0.25)
    turn, length, width = rng.uniform(0, np.pi), rng.uniform(10, 20), rng.uniform(4, 8)
    depth = rng.uniform(0.4, 0.75)

    def nuisance(clean: ndarray, points: Points) -> ndarray:
        u, v = rotate(points[0] - x0, points[1] - y0, turn)
        w = (points[2] - z0) / 25 if np.ndim(points[2]) else 0.0
        plume = np.exp(-((u / length) ** 2) - (v / (width * (1.2 + u / (2 * length)).clip(0.4, 2))) ** 2 - w**2)
        return clean * (1 - depth * plume * ramp((clean - 0.3) / 0.25))

    return nuisance


# --- ultrasound, seen from the probe at (0, 0, 0) -----------------------------------------------------------------


def shadow(rng: np.random.Generator, heart: Ventricle) -> Nuisance:
    """The acoustic shadow of a rib or of lung: a dark wedge from its top to the bottom of the sector."""
    middle, half = rng.uniform(0.08, 0.5) * rng.choice([-1, 1]), rng.uniform(0.045, 0.12)
    start, depth = rng.uniform(6, 55), rng.uniform(0.7, 0.93)
    elevation, thick = rng.normal(0, 0.1), rng.uniform(0.15, 0.4)

    def nuisance(clean: ndarray, points: Points) -> ndarray:
        r, angle, across = beam(points, (0, 0, 0))
        wedge = cover(np.abs(angle - middle) - half, 0.07) * ramp((r - start) / 14)
        return clean * (1 - depth * wedge * cover(np.abs(across - elevation) - thick, 0.15))

    return nuisance


def dropout(rng: np.random.Generator, heart: Ventricle) -> Nuisance:
    """A stretch of wall parallel to the beam that returns no echo."""
    q = rng.choice([-1, 1], p=[0.25, 0.75]) * (heart.radius + 0.6 * heart.wall)
    centre = heart.base + q * heart.axes[0] + rng.uniform(0.25, 0.7) * heart.length * heart.axes[2]
    along, across, depth = rng.uniform(14, 24), rng.uniform(8, 13), rng.uniform(0.65, 0.9)

    def nuisance(clean: ndarray, points: Points) -> ndarray:
        apart = [p - c for p, c in zip(points, centre)]
        h = sum(a * p for a, p in zip(heart.axes[2], apart))
        t2 = sum(p**2 for p in apart) - h**2
        return clean * (1 - depth * np.exp(-((h / along) ** 4) - (t2 / across**2) ** 2))

    return nuisance


def reverberation(rng: np.random.Generator, heart: Ventricle) -> Nuisance:
    """Echoes to and fro between probe and rib: bright arcs at equal steps of depth."""
    middle, half, step = rng.uniform(-0.4, 0.4), rng.uniform(0.12, 0.25), rng.uniform(11, 19)
    strength = rng.uniform(0.3, 0.5)

    def nuisance(clean: ndarray, points: Points) -> ndarray:
        r, angle, across = beam(points, (0, 0, 0))
        added = np.zeros_like(clean)
        for k in range(1, 6):
            added += np.exp(-(((r - k * step - 5) / 1.8) ** 2)) * strength * 0.75**k
        share = np.exp(-(((angle - middle) / half) ** 4) - (across / 0.3) ** 2)
        return np.where(clean > 0, np.minimum(clean + added * share, 1), 0)

    return nuisance


def haze(rng: np.random.Generator, heart: Ventricle) -> Nuisance:
    """Clutter in the near field and around the apex: a bright veil."""
    middle, depth, width = rng.uniform(-0.25, 0.25), rng.uniform(25, 55), rng.uniform(9, 16)
    strength = rng.uniform(0.2, 0.35)

    def nuisance(clean: ndarray, points: Points) -> ndarray:
        r, angle, across = beam(points, (0, 0, 0))
        veil = np.exp(-(((r - depth) / width) ** 2) - ((angle - middle) / 0.22) ** 2 - (across / 0.3) ** 2)
        return np.where(clean > 0, np.minimum(clean + strength * veil, 1), 0)

    return nuisance


MR_KINDS = [dark_band, void, ghost, jet]
ULTRASOUND_KINDS = [shadow, dropout, reverberation, haze]

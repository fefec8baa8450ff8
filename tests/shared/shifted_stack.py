"""Stacks of a heart whose slices are shifted by known amounts: a phantom of formulas, without any interpolation."""

from __future__ import annotations

import numpy as np

SPACING = (1.4, 1.6, 8.0)
SHAPE = (60, 52, 8)
RADII = {"RV": (26.0, 15.0, 34.0), "epicardium": (22.0, 22.0, 42.0), "cavity": (14.0, 14.0, 34.0)}  # mm
VALUES = {"RV": 190.0, "epicardium": 70.0, "cavity": 210.0}


def known_shifts(seed: int, count: int = SHAPE[2], most: float = 5.0) -> np.ndarray:
    """Random shifts (slices, 2) in mm, up to ``most``, without what cannot be told: their mean and their slope."""
    drawn = np.random.default_rng(seed).uniform(-1, 1, (count, 2))
    line = np.stack([np.ones(count), np.arange(count)], axis=1)
    drawn -= line @ np.linalg.lstsq(line, drawn, rcond=None)[0]
    return drawn * most / np.linalg.norm(drawn, axis=1).max()


def stack(shifts: np.ndarray, squeeze: float = 1.0, seed: int = 0, noise: float = 6.0) -> tuple[np.ndarray, np.ndarray]:
    """An image and its labels, 1 to 3 as in ACDC, whose slice k lies ``shifts[k]`` mm away, in an oblique chest.

    Args:
        squeeze: of the radii in the plane: the phase.
        seed: of the noise; the texture is always the same.
    """
    i, j, k = np.meshgrid(
        *[np.arange(n) * s for n, s in zip((*SHAPE[:2], len(shifts)), SPACING, strict=True)], indexing="ij"
    )
    x = i - (SHAPE[0] - 1) / 2 * SPACING[0] - shifts[:, 0]
    y = j - (SHAPE[1] - 1) / 2 * SPACING[1] - shifts[:, 1]
    image, labels = 90 + _texture(x, y, k), np.zeros(x.shape, np.uint8)
    along = k + 4  # mm from the base; the axis leans
    for value, (name, radii) in enumerate(RADII.items(), start=1):
        a, b, c = radii[0] * squeeze, radii[1] * squeeze, radii[2] + 30
        off = -16.0 if name == "RV" else 0.0
        radius = np.sqrt(((x - off - 0.1 * along) / a) ** 2 + ((y - 0.05 * along) / b) ** 2 + (along / c) ** 2)
        inside = 1 / (1 + np.exp(np.clip((radius - 1) * 14, -50, 50)))
        image = image + inside * (VALUES[name] - image)
        labels[radius < 1] = value
    rng = np.random.default_rng(seed)
    return (image + rng.normal(0, noise, image.shape)).astype(np.float32), labels


def _texture(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    rng, total = np.random.default_rng(7), np.zeros(x.shape)
    for _ in range(24):
        waves = rng.normal(0, [0.15, 0.15, 0.03])
        total += np.cos(waves[0] * x + waves[1] * y + waves[2] * z + rng.uniform(0, 2 * np.pi))
    return 6 * total

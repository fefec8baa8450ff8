"""What surrounds the heart in a short-axis MR image: chest wall, ribs, lung, diaphragm, liver, stomach, aorta."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import ndarray

from .geometry import Grid, Points, Ventricle, cover, ellipse, rotate
from .texture import Canvas


@dataclass(frozen=True)
class Thorax:
    """The chest of one person; lengths in mm, brightness from 0 to 1."""

    edge: float
    fat: float
    wall_angle: float  # direction from the heart to the nearest skin
    wall_distance: float  # from the image centre to the skin along it
    wall_radius: float
    front: tuple[float, float]  # between heart and breastbone, where there is fat instead of lung
    fat_layer: float
    muscle_layer: float
    rib_pitch: float
    rib_phase: float
    diaphragm: float  # its height at the middle
    slope: float
    liver: float
    stomach: float
    stomach_centre: tuple[float, float]
    stomach_radii: tuple[float, float]
    aorta: tuple[float, float, float, float]  # x, y, radius, brightness
    coil: float  # how much brighter the skin is than the depth

    @staticmethod
    def sample(rng: np.random.Generator, grid: Grid, heart: Ventricle, fat: float, reach: float) -> Thorax:
        """Draw one chest around ``heart``, whose right side comes ``reach`` mm near to the chest wall."""
        epi = heart.radius + heart.wall
        diaphragm = heart.base[1] + epi + rng.uniform(4, 16)
        behind = rng.uniform(0.2, 0.6)
        far, aorta = epi + rng.uniform(24, 34), rng.choice([0.01, rng.uniform(8, 11)])  # half have it out of plane
        fat_layer, muscle_layer = rng.uniform(4, 20), rng.uniform(8, 14)
        wall_angle, distance = np.pi + rng.uniform(-0.15, 0.9), reach + muscle_layer + fat_layer + rng.uniform(4, 14)
        front = distance - fat_layer - muscle_layer
        return Thorax(
            edge=float(grid.edge),
            fat=fat,
            wall_angle=wall_angle,
            wall_distance=distance,
            wall_radius=rng.uniform(120, 190),
            front=(front * np.cos(wall_angle), front * np.sin(wall_angle)),
            fat_layer=fat_layer,
            muscle_layer=muscle_layer,
            rib_pitch=rng.uniform(22, 32),
            rib_phase=rng.uniform(0, 2 * np.pi),
            diaphragm=diaphragm,
            slope=rng.normal(0.05, 0.15),
            liver=rng.uniform(0.17, 0.32),
            stomach=rng.choice([0.08, rng.uniform(0.15, 0.35), rng.uniform(0.4, 0.7)]),
            stomach_centre=(rng.uniform(38, 70), diaphragm + rng.uniform(24, 38)),
            stomach_radii=(rng.uniform(20, 34), rng.uniform(16, 26)),
            aorta=(far * np.cos(behind), far * np.sin(behind), aorta, rng.uniform(0.45, 0.7)),
            coil=rng.uniform(0.1, 0.7),
        )

    def depth(self, points: Points) -> ndarray:
        """Distance in mm below the skin, negative in the air outside."""
        x, y, z = points
        out = np.array([np.cos(self.wall_angle), np.sin(self.wall_angle)])
        cx, cy = -out * (self.wall_radius - self.wall_distance)
        return np.float32(self.wall_radius) - np.hypot(x - np.float32(cx), (y - np.float32(cy)) * 0.9) + 0.15 * z

    def coil_gain(self, points: Points, coarse: ndarray) -> ndarray:
        """Brightness relative to the mean: a surface coil sees what is near it best."""
        return 0.8 + np.float32(self.coil) * np.exp(-np.clip(self.depth(points), 0, None) / 45) + 0.02 * coarse

    def paint(self, canvas: Canvas, points: Points, fine: ndarray, coarse: ndarray) -> None:
        """Paint everything but the heart, which is painted over it."""
        canvas.value += 0.16 * np.clip(fine - 1.7, 0, 1) + 0.02 * np.clip(coarse, -1.5, 2)
        x, y, radius, value = self.aorta
        canvas.paint(cover(ellipse(points[:2], (x, y), (radius + 1.2, radius + 1.2)), self.edge), 0.15)
        canvas.paint(cover(ellipse(points[:2], (x, y), (radius, radius)), self.edge), value, 0.06)
        self._paint_abdomen(canvas, points, fine, coarse)
        self._paint_wall(canvas, points, coarse)

    def _paint_abdomen(self, canvas: Canvas, points: Points, fine: ndarray, coarse: ndarray) -> None:
        x, y, z = points
        dome = (x + 10) / 105
        below = y - self.diaphragm - self.slope * x - 26 * dome**2 - 2 * coarse - 0.15 * z
        canvas.paint(cover(-below, self.edge), self.fat * 0.75, 0.25)
        liver = np.maximum(-below + 2.5, 0.9 * (x - 18 - 5 * coarse + 0.5 * (y - self.diaphragm)))
        vessels = 0.1 * np.clip(fine + 0.7 * coarse - 1.4, 0, 1)
        canvas.paint(cover(liver, self.edge), self.liver + vessels, 0.07)
        u, v = rotate(x - self.stomach_centre[0], y - self.stomach_centre[1], 0.4)
        wall = np.maximum(ellipse([u, v], (0, 0), self.stomach_radii) + 1.5 * coarse, 1.5 - below)
        canvas.paint(cover(wall, self.edge), 0.28, 0.1)
        canvas.paint(cover(wall + 3.5, 2 * self.edge), self.stomach * (1 + 0.25 * coarse), 0.25)
        canvas.paint(cover(np.abs(below) - 1.0, self.edge), 0.12, 0.1)

    def _paint_wall(self, canvas: Canvas, points: Points, coarse: ndarray) -> None:
        depth = self.depth(points) - 1.5 * coarse
        fat, muscle = self.fat_layer, self.fat_layer + self.muscle_layer
        x, y, z = points
        along = self.wall_radius * np.arctan2(y, x) + 0.5 * z
        turn = 2 * np.pi * along / self.rib_pitch + self.rib_phase
        rib = np.cos(turn + 0.9 * np.sin(0.37 * turn))
        inside = np.abs(depth - (fat + muscle) / 2) - 0.32 * self.muscle_layer
        bone = np.maximum(inside, 6 * (0.35 - rib))
        front = np.exp(-((np.hypot(x - self.front[0], y - self.front[1]) / 34) ** 4))
        canvas.paint(cover(depth - muscle - 2 - 22 * front, 2 * self.edge), self.fat * 0.55 + 0.1 * coarse, 0.3)
        canvas.paint(cover(depth - muscle, self.edge), 0.17, 0.15)
        canvas.paint(cover(bone, self.edge), 0.06, 0.1)
        canvas.paint(cover(bone + 2.2, self.edge), 0.42, 0.12)
        canvas.paint(cover(depth - fat, self.edge), self.fat, 0.1)
        canvas.paint(cover(depth - 1.5, self.edge), 0.35, 0.1)
        canvas.paint(cover(depth, self.edge), 0.01, 0.1)

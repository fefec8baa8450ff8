"""A short-axis heart as cine MR shows it: bright blood and fat, grey muscle, dark lung.

Labels: 1 right ventricle, 2 myocardium, 3 left ventricle (papillary muscles count as cavity).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import ndarray

from .geometry import Grid, Points, Ventricle, cover, ramp, random_waves, rotate, wobble
from .texture import Canvas, Texture
from .thorax import Thorax

LABELS = {1: "right ventricle", 2: "myocardium", 3: "left ventricle"}

# radius and wall at the base in mm, contraction, size of the right ventricle, how much of a segment stands still
GROUPS = {
    "NOR": ((22, 26), (8, 10), (0.50, 0.65), (0.9, 1.1), (0.0, 0.2)),
    "DCM": ((29, 34), (6.5, 8.5), (0.12, 0.28), (0.8, 1.1), (0.0, 0.4)),
    "HCM": ((20, 24), (12, 16), (0.55, 0.72), (0.8, 1.0), (0.0, 0.3)),
    "MINF": ((25, 30), (7, 10), (0.35, 0.50), (0.8, 1.0), (0.7, 1.0)),
    "RV": ((20, 24), (8, 10), (0.40, 0.60), (1.2, 1.4), (0.0, 0.3)),
}


@dataclass(frozen=True)
class ShortAxis:
    """One person's heart and chest at end diastole."""

    group: str
    grid: Grid
    ventricle: Ventricle
    contraction: float
    standstill: float
    thorax: Thorax
    rv_size: float
    rv_offset: tuple[float, float]  # of its centre, relative to the epicardial radius
    rv_waves: ndarray
    papillary: ndarray  # rows: angle, distance and size relative to the radius, elongation
    blood: float
    muscle: float
    fat: float
    pad: float  # thickness of the fat around the heart, mm
    trabeculae: float  # mm
    fine: Texture
    coarse: Texture

    def brightness(self, points: Points) -> ndarray:
        """Noise-free intensity at ``points``, about 0 to 1."""
        fine, coarse = self.fine(points), self.coarse(points)
        canvas = Canvas(fine.shape, 0.05, 0.5)
        self.thorax.paint(canvas, points, fine, coarse)
        self._paint_heart(canvas, points, fine, coarse)
        image = canvas.textured(0.7 * fine + 0.7 * coarse) * self.thorax.coil_gain(points, coarse)
        return image / np.sqrt(np.sqrt(1 + image**4))  # the receiver saturates gently at 1

    def label(self, points: Points) -> ndarray:
        """Label at ``points``, uint8."""
        q1, q2, h = self.ventricle.local(points)
        endo, epi = self.ventricle.shells(q1, q2, h)
        right = self._right(q1, q2, h)
        return np.select([endo < 0, epi < 0, right < 0], [3, 2, 1], 0).astype(np.uint8)

    def mobile(self, points: Points) -> ndarray:
        """1 where tissue is free to move, 0 in the chest wall."""
        return ramp((self.thorax.depth(points) - self.thorax.fat_layer - self.thorax.muscle_layer) / 12 + 0.5)

    def _right(self, q1: ndarray, q2: ndarray, h: ndarray) -> ndarray:
        """Approximate signed distance in mm to the right ventricle, of which the left covers its share."""
        epi = np.float32(self.ventricle.radius + self.ventricle.wall)
        taper = self.ventricle.taper(h)
        a, b = 0.85 * self.rv_size * epi, 1.0 * np.sqrt(self.rv_size) * epi
        u = q1 + self.rv_offset[0] * epi * taper
        v = q2 + self.rv_offset[1] * epi * taper
        waves = 1 + wobble(np.arctan2(v, u), self.rv_waves)
        along = np.clip(h / np.float32(0.92 * self.ventricle.length), 0, None)
        return a * (np.sqrt((u / a) ** 2 + (v / b) ** 2 + along**2) - waves)

    def _paint_heart(self, canvas: Canvas, points: Points, fine: ndarray, coarse: ndarray) -> None:
        edge, heart = self.grid.edge, self.ventricle
        q1, q2, h = heart.local(points)
        endo, epi = heart.shells(q1, q2, h)
        right = self._right(q1, q2, h)
        outline = np.minimum(epi, right - 2.2)
        pad = self.pad * np.clip(0.7 + 0.35 * coarse - 0.7 * q1 / (np.abs(q1) + 30), 0.05, 2)
        canvas.paint(cover(outline - pad, 2 * edge), self.fat * 0.85, 0.18)
        canvas.paint(0.6 * cover(outline - 0.8, edge), 0.5 * self.muscle, 0.1)
        canvas.paint(cover(right - 2.2, edge), self.muscle * 1.1, 0.1)
        rough = self.trabeculae * np.clip(fine + 0.2, 0, 2)
        canvas.paint(cover(right + 1.3 * rough, edge), self.blood * (0.96 + 0.05 * coarse), 0.06)
        canvas.paint(cover(epi, edge), self.muscle, 0.11)
        canvas.paint(cover(endo + rough, edge), self.blood * (1 + 0.06 * coarse), 0.05)
        self._paint_papillary(canvas, q1, q2, h)

    def _paint_papillary(self, canvas: Canvas, q1: ndarray, q2: ndarray, h: ndarray) -> None:
        radius = self.ventricle.radius * self.ventricle.taper(h)
        along = h / np.float32(self.ventricle.length)
        present = cover(np.abs(along - 0.5) - 0.25, 0.2)
        for angle, distance, size, stretch in self.papillary:
            u, v = rotate(q1, q2, angle)
            r = size * self.ventricle.radius
            spot = (np.sqrt(((u - distance * radius) / stretch) ** 2 + v**2) - r).astype(np.float32)
            canvas.paint(present * cover(spot, 1.3 * self.grid.edge), self.muscle * 1.05, 0.1)


def sample_short_axis(rng: np.random.Generator, grid: Grid) -> ShortAxis:
    """Draw one person; in 2D at a random level between base and apex."""
    group = str(rng.choice(list(GROUPS)))
    radius, wall, contraction, rv_size, standstill = (rng.uniform(*limits) for limits in GROUPS[group])
    level, length = rng.uniform(0.12, 0.72), rng.uniform(72, 82)
    base = -level * length if len(grid.shape) == 2 else grid.origin[2] + rng.uniform(0, 4)
    turn = rng.normal(0, 0.3)
    across = np.array([np.cos(turn), np.sin(turn), 0.0])
    ventricle = Ventricle(
        base=np.array([*rng.normal(0, 5, 2), base]),
        axes=np.array([across, [-across[1], across[0], 0.0], [0.0, 0.0, 1.0]]),
        length=length,
        radius=radius,
        wall=wall,
        septum=rng.uniform(0.95, 1.5 if group == "HCM" else 1.15),
        waves=random_waves(rng, 0.022, range(2, 6)),
    )
    papillary = [
        [a + rng.normal(0, 0.2), rng.uniform(0.5, 0.75), rng.uniform(0.13, 0.22), rng.uniform(0.9, 1.6)]
        for a in (-0.95, 1.25)
    ]
    fat, rv_offset = rng.uniform(0.7, 0.95), (rng.uniform(0.8, 0.95), rng.uniform(-0.15, 0.25))
    reach = (rv_offset[0] + 0.85 * rv_size) * (radius + wall)
    return ShortAxis(
        group=group,
        grid=grid,
        ventricle=ventricle,
        contraction=contraction,
        standstill=standstill,
        thorax=Thorax.sample(rng, grid, ventricle, fat, reach),
        rv_size=rv_size,
        rv_offset=rv_offset,
        rv_waves=np.vstack([random_waves(rng, 0.03, range(2, 6)), [3, rng.uniform(0.03, 0.09), np.pi]]),
        papillary=np.array(papillary),
        blood=rng.uniform(0.55, 0.78),
        muscle=rng.uniform(0.14, 0.25),
        fat=fat,
        pad=rng.uniform(1, 7),
        trabeculae=rng.uniform(0.8, 2.6),
        fine=Texture(rng, grid, 1.9),
        coarse=Texture(rng, grid, 9.0),
    )

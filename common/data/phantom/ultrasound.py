"""An apical view of the heart as B-mode ultrasound shows it: a bright sector, dark cavities, the probe on top.

Labels, those of CAMUS: 1 left ventricle, 2 myocardium, 3 left atrium.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import ndarray

from .geometry import Grid, Points, Ventricle, cover, ellipse, ramp, random_waves
from .noise import beam
from .texture import Canvas, Texture

LABELS = {1: "left ventricle", 2: "myocardium", 3: "left atrium"}
TIP = (0.0, 0.0, 0.0)  # of the sector, mm
HALF_ELEVATION = 0.6  # half of its angle across the image plane in 3D, rad


@dataclass(frozen=True)
class Apical:
    """One person's heart at end diastole, seen from the apex; brightness is what the display shows on average."""

    group: str  # the view: 4CH shows the right heart, 2CH does not
    grid: Grid
    ventricle: Ventricle
    contraction: float
    standstill: float
    atrium: tuple[float, float]  # half width and half length, mm
    right: tuple[float, float]  # half width of the right ventricle in mm, its length relative to the left's
    half_angle: float  # of the sector, rad
    depth: float  # of the sector, mm
    muscle: float
    blood: float
    outside: float
    gain_tilt: float  # brightness gained from left to right
    attenuation: float  # and lost with depth
    fine: Texture
    coarse: Texture

    def brightness(self, points: Points) -> ndarray:
        """Noise-free brightness at ``points``, 0 to 1, exactly 0 outside the sector."""
        r, angle, across = beam(points, TIP)
        # echoes of interfaces that lie across the beam: the texture drawn out sideways
        arcs = self.fine([45 * angle, 0.9 * r, points[2]]) * ramp(r / 25)
        fine, coarse = self.fine(points), self.coarse(points)
        canvas = Canvas(fine.shape, self.outside, 0.3)
        canvas.value *= np.clip(1 + 0.15 * coarse + 0.15 * arcs, 0.2, 2)
        self._paint_heart(canvas, points, arcs, coarse)
        image = canvas.textured(0.6 * fine + 0.6 * arcs)
        image = self._add_near_field(image * self._gain(r, angle, coarse), r, angle, arcs)
        return np.clip(image, 0.015, 1) * self._sector(r, angle, across)

    def label(self, points: Points) -> ndarray:
        """Label at ``points``, uint8."""
        q1, q2, h = self.ventricle.local(points)
        endo, epi = self.ventricle.shells(q1, q2, h)
        atrium = self._atrium(q1, q2, h)
        above = h >= 0
        return np.select([above & (endo < 0), above & (epi < 0), atrium < 0], [1, 2, 3], 0).astype(np.uint8)

    def mobile(self, points: Points) -> ndarray:
        """1 where tissue is free to move, 0 at the edge of the sector, which does not."""
        r, angle, across = beam(points, TIP)
        sides = ramp((self.half_angle - np.abs(angle)) * r / 14) * ramp((HALF_ELEVATION - np.abs(across)) * r / 14)
        return sides * ramp((self.depth - r) / 14)

    def _atrium(self, q1: ndarray, q2: ndarray, h: ndarray) -> ndarray:
        wide, long = self.atrium
        body = ellipse([q1, q2, h], (0.06 * wide, 0, -0.82 * long), (wide, wide, long))
        body = body + 1.5 * np.sin(q1 / 7 + 1) * np.sin(h / 9)
        return np.maximum(body, h)

    def _paint_heart(self, canvas: Canvas, points: Points, arcs: ndarray, coarse: ndarray) -> None:
        edge, heart = 2 * self.grid.edge, self.ventricle
        q1, q2, h = heart.local(points)
        endo, epi = heart.shells(q1, q2, h)
        atrium = self._atrium(q1, q2, h)
        below, facing = ramp(-h / 4), self._facing(points, q1, q2, h)
        pericardium = np.exp(-(((epi - 2.5) / 3) ** 2)) * (1 - below) * ramp((q1 + 10) / 30)
        canvas.value *= 0.6 + 0.6 * np.exp(-np.clip(epi, 0, None) / 18) * ramp((q1 + 40) / 50)
        canvas.value += 0.3 * pericardium * (0.6 + 0.3 * coarse.clip(-1, 1.5))
        canvas.paint(cover(atrium - 3, edge), self.muscle * (0.5 + 0.7 * facing), 0.2)
        if self.group == "4CH":
            self._paint_right(canvas, q1, q2, h, edge, facing, arcs)
        wall = cover(epi, edge) * cover(-h - 2, 6)
        rims = np.exp(-(((endo - 1.5) / 2) ** 2)) + 0.7 * np.exp(-(((epi + 1.5) / 2) ** 2))
        brightness = self.muscle * (0.6 + 0.6 * facing) * (1 + 0.5 * rims * ramp((40 - q1) / 60))
        canvas.paint(wall, brightness * (1 + 0.1 * arcs), 0.18)
        canvas.paint(cover(atrium, 2 * edge), self.blood * (1.1 + 0.3 * coarse), 0.15)
        rough = 2.0 * np.clip(arcs + 0.2, 0, 2) * ramp(h / 20)
        canvas.paint(cover(endo + rough, edge) * cover(-h, edge), self.blood * (1 + 0.25 * coarse), 0.15)
        self._paint_valve(canvas, q1, q2, h, edge, coarse)

    def _facing(self, points: Points, q1: ndarray, q2: ndarray, h: ndarray) -> ndarray:
        """1 where the wall lies across the beam and echoes best, 0 where it runs along it."""
        heart = self.ventricle
        normal = [q1, q2, h * heart.radius**2 / heart.length**2 * 1.6]
        image = [sum(heart.axes[i][k] * n for i, n in enumerate(normal)) for k in range(3)]
        along = sum(n * p for n, p in zip(image, points))
        size = np.sqrt(sum(n**2 for n in image) * sum(p**2 for p in points))
        return np.abs(along) / np.maximum(size, 1e-3)

    def _paint_right(self, canvas: Canvas, *place: ndarray | float) -> None:
        q1, q2, h, edge, facing, arcs = place
        heart, (wide, long) = self.ventricle, self.right
        epi = (heart.radius + heart.wall) * heart.taper(h)
        ventricle = ellipse([q1 + epi + 0.55 * wide, q2, h], (0, 0, 0), (wide, 1.4 * wide, long * heart.length))
        ventricle = np.maximum(ventricle, -h)
        centre = -(heart.radius + heart.wall) - 0.6 * wide
        atrium = np.maximum(ellipse([q1, q2, h], (centre, 0, -17), (0.9 * wide, wide, 21)), h + 1)
        wall = np.minimum(ventricle, atrium) - 3.5
        canvas.paint(cover(wall, edge), self.muscle * (0.7 + 0.6 * facing), 0.3)
        canvas.paint(cover(atrium, edge), self.blood * 0.9, 0.2)
        canvas.paint(cover(ventricle + 2 * np.clip(arcs, 0, 2), edge), self.blood * 1.1, 0.3)
        leaflet = np.abs(h - 0.1 * (q1 - centre)) - 0.7
        inside = cover(np.abs(q1 - centre) - 0.85 * wide, 4) * cover(np.abs(q2) - wide, 4)
        canvas.paint(0.8 * cover(leaflet, edge) * inside, self.muscle * 1.3, 0.3)

    def _paint_valve(self, canvas: Canvas, q1: ndarray, q2: ndarray, h: ndarray, edge: float, coarse: ndarray) -> None:
        radius = self.ventricle.radius
        r = np.hypot(q1, q2)
        # closed leaflets meet a little on the atrial side
        tent = 1.5 * coarse - 5.5 * np.clip(1 - (r / radius) ** 2, 0, 1)
        leaflet = cover(np.abs(h - tent) - 0.9, 1.3 * edge) * cover(r - radius, 4)
        canvas.paint(np.clip(0.65 + 0.2 * coarse, 0.3, 1) * leaflet, min(self.muscle * 1.5, 0.8), 0.3)
        ring = np.sqrt((r - radius - 2) ** 2 + (h + 0.5) ** 2) - 3
        canvas.paint(0.8 * cover(ring, 2 * edge), min(self.muscle * 1.7, 0.85), 0.25)

    def _gain(self, r: ndarray, angle: ndarray, coarse: ndarray) -> ndarray:
        side = 1 + self.gain_tilt * angle / self.half_angle
        fall = np.exp(-self.attenuation * (r - 60) / 100)
        return side * fall * (1 - 0.45 * ramp((np.abs(angle) / self.half_angle - 0.75) / 0.25)) * (1 + 0.06 * coarse)

    def _add_near_field(self, image: ndarray, r: ndarray, angle: ndarray, arcs: ndarray) -> ndarray:
        """The bright, featureless first centimetre, and the haze it leaves below."""
        skin = np.exp(-((r / 11) ** 2)) * (0.5 + 0.1 * arcs)
        return image + skin + 0.16 * np.exp(-((r / 42) ** 2) - (angle / 0.5) ** 2)

    def _sector(self, r: ndarray, angle: ndarray, across: ndarray) -> ndarray:
        """1 in the sector, 0 outside, with a sharp but not jagged edge."""
        edge = self.grid.edge
        sides = cover((np.abs(angle) - self.half_angle) * r, edge) * cover((np.abs(across) - HALF_ELEVATION) * r, edge)
        return sides * cover(r - self.depth, edge) * cover(3 - r, edge)


def sample_apical(rng: np.random.Generator, grid: Grid) -> Apical:
    """Draw one person and one view."""
    depth = grid.shape[1] * grid.spacing[1] * rng.uniform(0.94, 0.985)
    tilt, length, radius = rng.normal(0.03, 0.1), rng.uniform(70, 88), rng.uniform(19, 26)
    down = np.array([np.sin(tilt), np.cos(tilt), 0.0])
    apex = np.array([rng.normal(4, 5), rng.uniform(22, 32), 0.0])
    ventricle = Ventricle(
        base=apex + length * down,
        axes=np.array([[down[1], -down[0], 0.0], [0.0, 0.0, 1.0], -down]),
        length=length,
        radius=radius,
        wall=rng.uniform(7.5, 11),
        septum=rng.uniform(0.9, 1.25),
        waves=random_waves(rng, 0.02, range(1, 4)),
    )
    return Apical(
        group=str(rng.choice(["4CH", "2CH"])),
        grid=grid,
        ventricle=ventricle,
        contraction=rng.uniform(0.15, 0.55),
        standstill=rng.uniform(0, 0.9) * rng.integers(0, 2),
        atrium=(rng.uniform(18, 25), rng.uniform(19, 26)),
        right=(rng.uniform(13, 19), rng.uniform(0.72, 0.85)),
        half_angle=rng.uniform(0.62, 0.7),
        depth=depth,
        muscle=rng.uniform(0.34, 0.55),
        blood=rng.uniform(0.07, 0.2),
        outside=rng.uniform(0.25, 0.5),
        gain_tilt=rng.normal(0, 0.2),
        attenuation=rng.uniform(0.0, 0.5),
        fine=Texture(rng, grid, 1.8),
        coarse=Texture(rng, grid, 10.0),
    )

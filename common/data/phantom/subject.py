"""One person of the phantom: two frames of a heart, and the truth about what lies between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import ndarray

from . import mr, ultrasound
from .geometry import Grid, Ventricle
from .motion import Beat, true_displacement
from .noise import Speckle, coil_sigma, rician, rician_variance
from .nuisance import MR_KINDS, ULTRASOUND_KINDS, apply, sample_nuisance

VISIBLE = 0.05  # an artefact counts where it changes the brightness (0 to about 1) by more than this
FIELD_OF_VIEW = {"mr": (192.0, 96.0), "ultrasound": (160.0, 90.0)}  # mm, in the image and across it
ARTEFACTS_FIXED, ARTEFACTS_MOVING = [0.3, 0.45, 0.25], [0.55, 0.35, 0.1]  # probabilities of 0, 1 and 2


@dataclass(frozen=True)
class Subject:
    """Noise-free frames and their truth, arrays of one grid; brightness is 0 to about 1.

    ``clean_fixed(x) = clean_moving(x + ddf(x))`` up to interpolation: both are the same anatomy, sampled where the
    tissue is. ``shown_*`` carry the artefacts, and what ``draw`` returns the noise as well.
    """

    kind: str
    group: str
    grid: Grid
    ddf: ndarray  # (D, *spatial), voxels
    clean_moving: ndarray
    clean_fixed: ndarray
    shown_moving: ndarray
    shown_fixed: ndarray
    moving_label: ndarray
    fixed_label: ndarray
    non_correspondence: ndarray  # uint8, on the fixed grid: where either frame shows an artefact
    sigma: tuple[ndarray, ndarray] | None  # of MR noise in moving and fixed; None for speckle

    def draw(self, rng: np.random.Generator) -> tuple[ndarray, ndarray]:
        """One noisy (moving, fixed), not yet normalised."""
        shown = (self.shown_moving, self.shown_fixed)
        if self.sigma is not None:
            moving, fixed = (rician(rng, mean, sigma) for mean, sigma in zip(shown, self.sigma))
        else:
            points, speckle = self.grid.points(), Speckle.of_probe(ultrasound.TIP, len(self.grid.shape))
            moving, fixed = (speckle(rng, mean, points) for mean in shown)
        return moving, fixed

    def variance(self) -> ndarray:
        """Variance of the noise in the fixed frame, for the brightness that ``draw`` returns."""
        if self.sigma is not None:
            return rician_variance(self.shown_fixed, self.sigma[1])
        return Speckle.variance(self.shown_fixed)


def make_grid(kind: str, size: tuple[int, ...]) -> Grid:
    """The grid of ``size`` voxels over the field of view; the heart is at the middle, the probe on top."""
    plane, across = FIELD_OF_VIEW[kind]
    spacing = (plane / max(size[:2]),) * 2 + ((across / size[2],) if len(size) == 3 else ())
    origin = [-h * (n - 1) / 2 for h, n in zip(spacing, size)]
    if kind == "ultrasound":
        origin[1] = 0.0
    return Grid(tuple(size), spacing, tuple(origin))


def make_subject(kind: str, size: tuple[int, ...], seed: int, index: int) -> tuple[Subject, np.random.Generator]:
    """The person of this ``index`` in the phantom of this ``seed``, and the generator of their noise."""
    body, beat, artefacts, noise = (np.random.default_rng(s) for s in np.random.SeedSequence([seed, index]).spawn(4))
    grid = make_grid(kind, size)
    anatomy = mr.sample_short_axis(body, grid) if kind == "mr" else ultrasound.sample_apical(body, grid)
    ddf = _motion(beat, anatomy)
    here, there = grid.points(), grid.points(ddf)  # where a voxel is, and where its tissue was at end diastole
    clean_moving, clean_fixed = anatomy.brightness(here), anatomy.brightness(there)
    in_fixed, in_moving = _artefacts(artefacts, kind, anatomy.ventricle)
    shown_moving, shown_fixed = apply(in_moving, clean_moving, here), apply(in_fixed, clean_fixed, here)
    from_moving = apply(in_moving, clean_fixed, there)
    odd = np.maximum(np.abs(shown_fixed - clean_fixed), np.abs(from_moving - clean_fixed)) > VISIBLE
    subject = Subject(
        kind=kind,
        group=anatomy.group,
        grid=grid,
        ddf=ddf,
        clean_moving=clean_moving,
        clean_fixed=clean_fixed,
        shown_moving=shown_moving,
        shown_fixed=shown_fixed,
        moving_label=anatomy.label(here),
        fixed_label=anatomy.label(there),
        non_correspondence=odd.astype(np.uint8),
        sigma=_sigma(noise, grid, ddf) if kind == "mr" else None,
    )
    return subject, noise


def _motion(rng: np.random.Generator, anatomy: mr.ShortAxis | ultrasound.Apical) -> ndarray:
    shortening = rng.uniform(3, 6) if isinstance(anatomy, mr.ShortAxis) else anatomy.contraction * rng.uniform(18, 26)
    beat = Beat.sample(rng, anatomy.contraction, shortening, anatomy.standstill)
    return true_displacement(rng, anatomy.grid, anatomy.ventricle, beat, anatomy.mobile(anatomy.grid.points()))


def _artefacts(rng: np.random.Generator, kind: str, heart: Ventricle) -> list[list]:
    kinds = MR_KINDS if kind == "mr" else ULTRASOUND_KINDS
    return [sample_nuisance(rng, kinds, heart, p) for p in (ARTEFACTS_FIXED, ARTEFACTS_MOVING)]


def _sigma(rng: np.random.Generator, grid: Grid, ddf: ndarray) -> tuple[ndarray, ndarray]:
    """Noise level of the moving and the fixed frame: the coils', and in systole more where blood and wall are fast."""
    coils = coil_sigma(rng, grid)
    speed = np.sqrt(sum((u * h) ** 2 for u, h in zip(ddf, grid.spacing)))
    return coils, coils + np.float32(rng.uniform(0.01, 0.03)) * np.clip(speed / 10, 0, 1)

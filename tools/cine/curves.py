"""Sizes and strains over a cine, with a band from the uncertainty of the displacement.

The band is a Monte Carlo estimate. A network that predicts the variance s(x)^2 of each component of the displacement
says nothing of how the errors of neighbours belong together, and that decides: independent errors of many voxels
cancel in an area, and blow up in a strain, which is a derivative. Errors of a smooth field are smooth, so that each
draw adds s(x) g(x) to every component, with g Gaussian noise of variance 1 whose correlation at distance d is
exp(-d^2 / (2 L^2)). The same noise is used for every frame, so that the band does not flicker. What is reported is the
standard deviation over the draws, and what is drawn is 1.96 of them to each side. For a disk of radius R and a constant
s the standard deviation of the area is 2 pi R s sqrt(exp(-k) I_1(k)) with k = (R / L)^2, and that of a thin ring's
circumferential strain s / R times the same root: the tests compare with both.

A band tells what the network's variance means for a curve; it is no confidence interval. `warpsure benchmark
band` compares it with true errors on phantoms: those of the shipped networks correlate as L = 10.5 mm has it, and
are two (vxm_hetero_disp) to five times (vxm_diff) as large as predicted. `Band.scale` multiplies s. Nor does the
variance know of errors that all images share, more than half of circumferential strain's mean square there: motion
that is underestimated; and on real images motion through the plane, and wrong contours in the reference frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.errors import InputError
from common.grids import spacing_of
from common.metrics.strain import (
    STRAINS,
    carried,
    centres,
    plane_matrix,
    reference_points,
    voxel_size,
    wall_strain,
)

from .band import Band
from .motion import Motion
from .noise import correlated_noise

MARGIN = 4  # voxels around what is measured


@dataclass(frozen=True, eq=False)
class Curves:
    """Values over time by name, "size_LABEL" in mm^2 (mm^3 if it is ``solid``) and the names of `STRAINS`.

    Attributes:
        values: name -> (T,).
        deviations: name -> (T,), the same names; empty without an uncertainty.
        labels: those measured.
        wall: the one whose strain it is, None if none was asked for.
        solid: whether sizes are volumes; those of a single slice are areas.
    """

    values: Mapping[str, np.ndarray]
    deviations: Mapping[str, np.ndarray]
    labels: tuple[int, ...]
    wall: int | None
    solid: bool

    @property
    def strains(self) -> list[str]:
        """The strains that were measured."""
        return [name for name in STRAINS if name in self.values]


def measure(
    motion: Motion, label: np.ndarray, wall: int | None = None, cavity: int | None = None, band: Band | None = None
) -> Curves:
    """Follow every structure of the reference frame through the cine.

    Args:
        label: (*spatial) of the reference frame.
        wall: the value whose strain is wanted; None leaves strains out.
        cavity: the value whose centre the directions are about; None (or none in the label) is the wall itself.
        band: None leaves deviations out.

    Raises:
        InputError: a wall that the label does not have, or structures that reach beyond what the network saw.
    """
    present = tuple(int(value) for value in np.unique(label) if value)
    if wall is not None and wall not in present:
        raise InputError(f"label {wall} is not in the reference frame's map, which has {list(present)}.")
    box = _box(motion, label, 0.0 if band is None else band.scale)
    about = None
    if wall is not None:
        about = centres(label == (cavity if cavity in present else wall))
        about = (about[box[2]] if label.ndim == 3 else about) - [box[0].start, box[1].start]
    structures = {value: label[box] == value for value in present}
    fields = [motion.ddf(frame)[(slice(None), *box)] for frame in range(len(motion.vectors))]
    rows = [_values(ddf, structures, wall, about, motion.affine) for ddf in fields]
    values = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    deviations = {}
    if band is not None and motion.uncertainty is not None:
        spread = band.scale * motion.uncertainty[(slice(None), *box)] * motion.seen[box]
        drawn = [_drawn(fields, spread, structures, wall, about, motion, band, number) for number in range(band.draws)]
        deviations = {name: np.std([each[name] for each in drawn], axis=0, ddof=1) for name in values}
        for deviation in deviations.values():
            deviation[motion.reference] = 0  # by definition, to the last digit
    return Curves(values, deviations, present, wall, _solid(label.shape))


def _solid(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[2] > 1


def _values(
    ddf: np.ndarray,
    structures: Mapping[int, np.ndarray],
    wall: int | None,
    about: np.ndarray | None,
    affine: np.ndarray,
) -> dict[str, float]:
    points = reference_points(ddf)
    unit = voxel_size(affine, 3 if _solid(ddf.shape[1:]) else 2)
    row = {f"size_{value}": float(carried(mask, points).sum()) * unit for value, mask in structures.items()}
    return row | (wall_strain(structures[wall], about, ddf, affine) if wall is not None else {})


def _drawn(
    fields: list[np.ndarray],
    spread: np.ndarray,
    structures: Mapping[int, np.ndarray],
    wall: int | None,
    about: np.ndarray | None,
    motion: Motion,
    band: Band,
    number: int,
) -> dict[str, np.ndarray]:
    """The values of every frame with one and the same noise added, scaled by the frame's own deviation."""
    random = np.random.default_rng([band.seed, number])
    shape = fields[0].shape[1:]
    noise = correlated_noise(random, motion.dims, shape, spacing_of(motion.affine)[: len(shape)], band.length)
    voxels = np.tensordot(np.linalg.inv(plane_matrix(motion.affine, motion.dims)), noise, axes=1)
    rows = [
        _values(ddf + voxels * sd, structures, wall, about, motion.affine)
        for ddf, sd in zip(fields, spread, strict=True)
    ]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _box(motion: Motion, label: np.ndarray, scale: float) -> tuple[slice, ...]:
    """The part of the grid that holds the structures at every time, and a margin for the noise."""
    inside = label > 0
    taken = inside.copy()
    for frame in range(len(motion.vectors)):
        shown = carried(inside, reference_points(motion.ddf(frame))) > 0
        if (shown & ~motion.seen).any():
            raise InputError(
                f"frame {frame}: labelled structures reach beyond what the network saw; "
                "choose another --center or a larger --crop-size."
            )
        taken |= shown
    known = motion.uncertainty is not None
    most = scale * float((motion.uncertainty * motion.seen).max(where=taken, initial=0)) if known else 0.0
    steps = spacing_of(motion.affine)
    box = []
    for axis, places in enumerate(np.nonzero(taken)):
        still = axis >= motion.dims  # slices stay where they are
        margin = 0 if still else MARGIN + int(np.ceil(3 * most / steps[axis]))
        box.append(slice(max(0, int(places.min()) - margin), int(places.max()) + 1 + margin))
    return tuple(slice(s.start, min(s.stop, n)) for s, n in zip(box, label.shape, strict=True))

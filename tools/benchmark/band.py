"""Compare a predicted uncertainty of the displacement, and the bands of `tools.cine`, with true errors on phantoms.

Every phantom is a cine of two frames, end diastole and end systole, that is followed as `tools.cine` does. The true
curves are what the same measurement makes of the true displacement, so that all error is the displacement's.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from common.data.phantom import Subject, make_subject
from common.errors import InputError
from common.fields import to_physical
from common.registration.bundle import OpenBundle, open_bundle
from tools.cine.band import Band
from tools.cine.curves import Curves, measure
from tools.cine.motion import Motion, aimed, track
from tools.cine.picture import BAND
from tools.cine.reading import Cine

SIZE = (128, 128)
WALL, CAVITY = 2, 3
CURVES = {
    f"size_{CAVITY}": "cavity area, mm^2",
    f"size_{WALL}": "wall area, mm^2",
    "radial": "radial strain",
    "circumferential": "circumferential strain",
}


@dataclass(frozen=True, eq=False)
class Judged:
    """What one phantom gives, at end systole.

    Attributes:
        error: (2, i, j) mm, of the displacement.
        deviation: (i, j) mm, predicted for one component of it, the band's scale included.
        heart: (i, j) bool, the wall and the cavity.
        step: mm from pixel to pixel.
        curves: name -> (error, predicted deviation).
    """

    error: np.ndarray
    deviation: np.ndarray
    heart: np.ndarray
    step: float
    curves: dict[str, tuple[float, float]]


def run(args: argparse.Namespace) -> None:
    """Print the errors of the displacement and of the curves beside what is predicted.

    Raises:
        InputError: for wrong options, and for a bundle that predicts no uncertainty of a displacement in 2D.
    """
    if args.subjects < 2:
        raise InputError(f"--subjects {args.subjects}: give at least 2")
    bundle, band = open_bundle(args.bundle), Band(scale=args.deviation_scale)
    if bundle.spatial_dims != 2:
        raise InputError(f"--bundle {args.bundle}: registers volumes; give a bundle for 2D")
    subjects = map(partial(make_subject, "mr", SIZE, args.seed), range(args.subjects))
    judged = [judge(subject, followed(bundle, subject, noise), band) for subject, noise in subjects]
    print(f"{args.bundle}, predicted SD times {band.scale:g}, {args.subjects} phantoms of seed {args.seed}:")
    for line in report(judged):
        print(f"  {line}")


def followed(bundle: OpenBundle, subject: Subject, noise: np.random.Generator) -> Motion:
    """The motion that the bundle finds, aimed at the middle of the label as by default."""
    frames = np.stack(subject.draw(noise)).astype(np.float32)[..., None]
    cine, label = Cine(frames, subject.grid.affine, None, Path("phantom")), label_of(subject)
    motion = track(aimed(bundle), cine, 0, label)
    if motion.uncertainty is None:
        raise InputError(f"--bundle {bundle.name}: predicts no uncertainty of the displacement; try vxm_hetero_disp")
    return motion


def label_of(subject: Subject) -> np.ndarray:
    """The label map (i, j, 1) of end diastole."""
    return subject.moving_label[..., None].astype(np.int32)


def judge(subject: Subject, motion: Motion, band: Band) -> Judged:
    """Compare a motion with its uncertainty against the truth of the phantom."""
    true = to_physical(subject.ddf[..., None], motion.affine)
    truth = replace(motion, vectors=np.stack([np.zeros_like(true), true]), maps={})
    found, wanted = (measured(subject, each, band) for each in (motion, truth))
    error = (motion.vectors - truth.vectors)[1, :, :, 0, :2]
    return Judged(
        error=np.moveaxis(error, -1, 0),
        deviation=band.scale * motion.uncertainty[1, ..., 0],
        heart=np.isin(subject.fixed_label, (WALL, CAVITY)),
        step=subject.grid.spacing[0],
        curves={n: (found.values[n][1] - wanted.values[n][1], found.deviations[n][1]) for n in CURVES},
    )


def measured(subject: Subject, motion: Motion, band: Band) -> Curves:
    """The curves of a phantom by this motion."""
    return measure(motion, label_of(subject), WALL, CAVITY, band)


def report(judged: Sequence[Judged]) -> Iterator[str]:
    """Say what all phantoms give."""
    error = root_mean_square([each.error[:, each.heart] for each in judged])
    deviation = root_mean_square([each.deviation[each.heart] for each in judged])
    yield f"displacement in wall and cavity, mm a component: RMS error {error:.3f}, RMS predicted SD {deviation:.3f}"
    yield f"the correlation of its error falls to exp(-1/2) at {correlation_length(judged):.1f} mm"
    yield f"{'at end systole':24}{'mean error':>12}{'SD of error':>13}{'predicted SD':>14}{'within':>9}"
    for name, title in CURVES.items():
        errors, deviations = np.array([each.curves[name] for each in judged]).T
        mean, spread, predicted = errors.mean(), errors.std(ddof=1), deviations.mean()
        yield f"{title:24}{mean:12.3g}{spread:13.3g}{predicted:14.3g}{100 * within(errors, deviations):7.0f} %"


def root_mean_square(arrays: Sequence[np.ndarray]) -> float:
    """Of all values together."""
    return float(np.sqrt(np.mean(np.concatenate([each.ravel() for each in arrays]) ** 2)))


def within(errors: np.ndarray, deviations: np.ndarray) -> float:
    """The share of errors that the band holds."""
    return float(np.mean(np.abs(errors) <= BAND * deviations))


def correlation_length(judged: Sequence[Judged]) -> float:
    """The distance in mm at which two errors correlate by exp(-1/2), as exp(-d^2 / (2 L^2)) has it at d = L.

    It is about zero, not about a mean error, and of pixels of the heart along the axes; NaN if it never falls so low.
    """
    wanted, before = np.exp(-0.5), 1.0
    for lag in range(1, min(judged[0].heart.shape)):
        now = correlation(judged, lag)
        if now <= wanted:
            return judged[0].step * (lag - (wanted - now) / (before - now))
        before = now
    return float("nan")


def correlation(judged: Sequence[Judged], lag: int) -> float:
    """The products of the errors of two pixels ``lag`` apart, over their squares; NaN without pixels or errors."""
    products, squares = zip(*[pairs(each, lag, axis) for each in judged for axis in (0, 1)])
    square = np.concatenate(squares).sum()
    return float(np.concatenate(products).sum() / square) if square > 0 else float("nan")


def pairs(judged: Judged, lag: int, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """For every two pixels of the heart ``lag`` apart, the product of their errors and the mean of their squares."""
    rows = np.moveaxis(judged.heart, axis, 0)
    both = rows[lag:] & rows[:-lag]
    error = np.moveaxis(judged.error, axis + 1, 1)
    one, other = error[:, lag:][:, both], error[:, :-lag][:, both]
    return (one * other).ravel(), (one**2 + other**2).ravel() / 2

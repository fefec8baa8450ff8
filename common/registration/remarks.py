"""What a person should know of a registration before believing it, each in one line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..io.dicom import modality_of
from ..io.images import MedicalImage
from ..outliers import told_outliers
from .labelled import name_of, unseen_percent

if TYPE_CHECKING:
    from .outcome import Registration

LITTLE_SEEN = 20
"""Percent of an image below which it is said how much was seen."""
LITTLE_OVERLAP = 0.5
AIR_OF_CT = -500
"""Hounsfield units that no tissue is below; MR is never negative but for what was done to it."""


def remarks(found: Registration) -> list[str]:
    """Everything that is to be said of a registration."""
    return [*of_images(found), *_similarity(found)]


def of_images(found: Registration) -> list[str]:
    """What is to be said of the images, and of where they were looked at, whatever came out."""
    parts = (_unseen, _seen, _overlap, _spacing, _modality, _outliers, _points)
    return [line for part in parts for line in part(found)]


def _unseen(found: Registration) -> Iterator[str]:
    for label in (found.case.label, found.case.fixed_label):
        if label is not None and not label.array.any():
            yield f"the label {name_of(label)} is empty"
        elif label is not None and (percent := unseen_percent(label, found)) > 0:
            yield f"{_percent(percent)} of the label {name_of(label)} was not seen; --center or --crop-size choose"


def _seen(found: Registration) -> Iterator[str]:
    if (percent := 100 * float(found.seen.mean())) < LITTLE_SEEN:
        yield f"{_percent(percent)} of {name_of(found.fixed)} was seen; --label, --center or --crop-size choose"


def _overlap(found: Registration) -> Iterator[str]:
    if (overlap := found.overlap) < LITTLE_OVERLAP:
        yield f"{found.moving.path} covers {overlap:.0%} of what the network saw of {found.fixed.path}"


def _similarity(found: Registration) -> Iterator[str]:
    before, after = (found.similarity[when] for when in ("before", "after"))
    worse = {"mean_squared_error": 1, "local_correlation": -1}
    for name, sign in worse.items():
        if sign * after[name] > sign * before[name]:
            values = f"{name.replace('_', ' ')} {before[name]:.3g} before, {after[name]:.3g} after"
            yield f"similarity fell: {values}; the images are less alike than they were"
            return


def _spacing(found: Registration) -> Iterator[str]:
    trained = found.trained
    own = [step for axis, step in enumerate(found.fixed.spacing) if axis != found.slice_axis]
    theirs = _millimetres(trained.spacing or ())
    if trained.is_far(found.network_spacing):
        seen = _millimetres(found.network_spacing)
        yield f"the network saw voxels of {seen}, far from the {theirs} that it was trained on"
    elif trained.is_far(own):
        yield f"{name_of(found.fixed)}: voxels of {_millimetres(own)}, far from the training's, resampled to {theirs}"


def _modality(found: Registration) -> Iterator[str]:
    wanted = found.trained.modality
    for image in (found.moving, found.fixed) if wanted else ():
        if (own := _modality_of(image)) is not None and own != wanted:
            yield f"{name_of(image)}: {own}, but the network was trained on {wanted}; what it finds may mean nothing"


def _outliers(found: Registration) -> Iterator[str]:
    for image in (found.moving, found.fixed):
        if told := told_outliers(image.array):
            yield f"{name_of(image)}: {told}"


def _points(found: Registration) -> Iterator[str]:
    if found.case.points is None or not (count := int((~found.points_seen).sum())):
        return
    total, name = len(found.points_seen), found.case.points.path.name
    yield f"{name}: {count} of {total} points lie where the network saw nothing; it moved none of them"


def _modality_of(image: MedicalImage) -> str | None:
    """As DICOM calls it: what the file says, "CT" of an image with air in Hounsfield units, else None."""
    return modality_of(image.path) or ("CT" if image.array.min() <= AIR_OF_CT else None)


def _percent(value: float) -> str:
    return f"{value:.1f} %" if value >= 0.1 else "less than 0.1 %"


def _millimetres(spacing: Sequence[float]) -> str:
    return " x ".join(f"{step:.3g}" for step in spacing) + " mm"

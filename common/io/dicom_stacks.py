"""The grid that DICOM planes make up: slices by their own positions, frames of a cine by their own times.

Slices are put in order along their normal and must be evenly spaced along it, so that a missing one is noticed. Several
planes at each position are the frames of a cine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from .dicom_planes import Plane
from .dicom_times import COUNTED, order_of, times_of

EVEN = 0.02  # of the distance of two slices, by which another may differ
STRAIGHT = 0.1  # of it, by which a slice may be off where even distances put it
JITTER = 0.01  # mm, by which planes of one position may differ; less where pixels are that small


@dataclass(frozen=True, eq=False)
class Stack:
    """Planes in place: ``places`` [k][t], ``affine`` (4, 4) voxel to LPS mm, ``times`` (T,) ms or None."""

    places: list[list[Plane]]
    affine: np.ndarray
    times: np.ndarray | None


def stacked(planes: Sequence[Plane], path: Path) -> Stack:
    """Put ``planes`` of the series ``path`` in order; of several kinds of image those of ``path``, if it is a file.

    Raises:
        InputError: they make up no grid, or no whole cine.
    """
    _check_alike(planes)
    places = _of_one_kind(_by_position(planes), path)
    _check_whole(places, path)
    if len(places[0]) > 1:
        places = _by_time(places, path)
    matrix = places[0][0].matrix.copy()
    matrix[:, 2] *= _distance(places, path) / np.linalg.norm(matrix[:, 2])
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = matrix, _origin(places[0])
    times = times_of([[plane.moments for plane in place] for place in places]) if len(places[0]) > 1 else None
    return Stack(places, affine, times)


def _check_alike(planes: Sequence[Plane]) -> None:
    first = planes[0]
    for other in planes:
        if other.size != first.size or not np.allclose(other.matrix[:, :2], first.matrix[:, :2], atol=1e-3):
            raise InputError(
                f"{other.path.parent / other.name}: {list(other.size)}, unlike {first.name} of the same series, "
                f"{list(first.size)}, or turned or spaced otherwise; keep one kind of slice."
            )


def _unit_normal(plane: Plane) -> np.ndarray:
    normal: np.ndarray = plane.matrix[:, 2] / np.linalg.norm(plane.matrix[:, 2])
    return normal


def _origin(place: Sequence[Plane]) -> np.ndarray:
    origin: np.ndarray = np.mean([plane.origin for plane in place], axis=0)
    return origin


def _by_position(planes: Sequence[Plane]) -> list[list[Plane]]:
    """The planes of each position, in order along the normal."""
    heights = np.array([plane.origin @ _unit_normal(planes[0]) for plane in planes])
    pixel = float(np.linalg.norm(planes[0].matrix[:, :2], axis=0).min())
    order = np.argsort(heights, kind="stable")
    starts = np.flatnonzero(np.diff(heights[order]) >= min(JITTER, pixel / 10)) + 1
    return [[planes[n] for n in place] for place in np.split(order, starts)]


def _of_one_kind(places: list[list[Plane]], path: Path) -> list[list[Plane]]:
    """Where a position has images of several kinds, keep those of the kind that the file ``path`` is."""
    kinds: list[set[tuple[str, ...]]] = [{plane.kind for plane in place} for place in places]
    if all(len(found) == 1 for found in kinds):
        return places
    asked = {plane.kind for place in places for plane in place if plane.path == path}
    if len(asked) == 1:
        kept = [[plane for plane in place if plane.kind in asked] for place in places]
        return [place for place in kept if place]
    some = sorted(next(found for found in kinds if len(found) > 1))
    shared = set(some[0]).intersection(*some[1:])
    told = "; ".join(", ".join(sorted(set(kind) - shared)) or "none" for kind in some)
    raise InputError(f"{path}: several kinds of image at one position ({told}); give a file of one, or keep one kind.")


def _check_whole(places: Sequence[Sequence[Plane]], path: Path) -> None:
    counts = {len(place) for place in places}
    if len(counts) > 1:
        raise InputError(
            f"{path}: {min(counts)} to {max(counts)} DICOM files or frames at a position, so neither a volume nor a "
            "whole cine; add what is missing or remove what is too much."
        )
    for place in places:
        off = [float(np.linalg.norm(plane.origin - place[0].origin)) for plane in place]
        if max(off) > EVEN * float(np.linalg.norm(place[0].matrix[:, :2], axis=0).min()) + JITTER:
            raise InputError(
                f"{path}: {place[int(np.argmax(off))].name} lies {max(off):.2f} mm beside {place[0].name}, in the "
                "same plane; frames of a cine share one grid: resample the series first."
            )


def _by_time(places: Sequence[Sequence[Plane]], path: Path) -> list[list[Plane]]:
    for place in places:
        _refuse_twins(place, path)
    key = order_of([[plane.moments for plane in place] for place in places])
    if key is None:
        names = ", ".join(plane.name for plane in places[0][:3])
        raise InputError(f"{path}: no time or number tells {names} apart, which lie at one position; keep one.")
    if key in COUNTED:
        _check_counted([[plane.moments[key] for plane in place] for place in places], key, path)
    return [sorted(place, key=lambda plane: plane.moments[key]) for place in places]


def _refuse_twins(place: Sequence[Plane], path: Path) -> None:
    """A copy of a file is no further frame of a cine."""
    seen: dict[tuple[str, int], Plane] = {}
    for plane in place:
        twin = seen.setdefault((plane.uid, plane.frame), plane)
        if twin is not plane and plane.uid and twin.moments == plane.moments:
            raise InputError(f"{path}: {twin.name} and {plane.name} are one image twice; remove one of them.")


def _check_counted(counts: Sequence[Sequence[float]], name: str, path: Path) -> None:
    """Positions that lack different frames have as many each, but other numbers."""
    every = set().union(*counts)
    if len(counts[0]) < len(every) < 2 * len(counts[0]):  # twice as many: numbered on from slice to slice
        raise InputError(
            f"{path}: {len(counts[0])} frames at each position, but {len(every)} numbers of {name}; "
            "add the frames that are missing."
        )


def _distance(places: Sequence[Sequence[Plane]], path: Path) -> float:
    """Of two slices, in mm: the plane's own for a single position."""
    first = places[0][0]
    if len(places) == 1:
        return float(np.linalg.norm(first.matrix[:, 2]))
    origins, normal = np.array([_origin(place) for place in places]), _unit_normal(first)
    steps = np.diff(origins, axis=0)
    usual = float(np.median(np.linalg.norm(steps, axis=1)))
    off = np.linalg.norm(steps - usual * normal, axis=1)
    distance = float((origins[-1] - origins[0]) @ normal) / len(steps)
    straight = origins[0] + np.arange(len(origins))[:, None] * distance * normal
    if off.max() > EVEN * usual or np.linalg.norm(origins - straight, axis=1).max() > STRAIGHT * usual:
        worst = int(off.argmax())
        raise InputError(
            f"{path}: from {places[worst][0].name} to {places[worst + 1][0].name} it is "
            f"{np.linalg.norm(steps[worst]):.2f} mm, {usual:.2f} mm straight ahead elsewhere; "
            "a slice is missing or they are tilted: resample the series first."
        )
    return distance

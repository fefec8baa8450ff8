"""The motion of a cine: its reference frame registered to every frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean

import numpy as np

from common.errors import InputError
from common.fields import to_voxels
from common.following import Following
from common.io import MedicalImage
from common.refinement import Report
from common.registration.bundle import OpenBundle
from common.registration.case import Case
from common.registration.grids import slice_axis_of
from common.registration.outcome import Registration
from common.registration.register import register_cases
from common.registration.remarks import of_images

from .reading import Cine

UNCERTAINTY = "uncertainty_mm"


@dataclass(frozen=True, eq=False)
class Motion:
    """Where every point of every frame lies in the reference frame.

    Attributes:
        vectors: (T, *spatial, 2 or 3) LPS mm, 0 in the reference frame.
        affine: (4, 4) voxel to RAS mm.
        dims: 2 where slices move in their planes only.
        reference: the number of that frame.
        seen: (*spatial) bool, what the network was shown; nothing moves elsewhere.
        maps: the method's maps, (T, *spatial); "uncertainty_mm" is the standard deviation of the displacement along
            one axis, 0 in the reference frame, whose motion is none by definition.
        seconds: of the network, for all frames.
        warnings: what is to be said of where the network looked, a line each.
        refined: what the refinement did, "steps", loss "before" and "after", mean over all frames but the reference,
            and "followed", the share of them that began where the frame before ended; None without one.
    """

    vectors: np.ndarray
    affine: np.ndarray
    dims: int
    reference: int
    seen: np.ndarray
    maps: Mapping[str, np.ndarray] = field(default_factory=dict)
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    refined: Mapping[str, float] | None = None

    @property
    def uncertainty(self) -> np.ndarray | None:
        """(T, *spatial) mm, None for a bundle without an uncertainty of the displacement."""
        return self.maps.get(UNCERTAINTY)

    def ddf(self, frame: int) -> np.ndarray:
        """Return the field (D, *spatial) of one frame in voxels."""
        return to_voxels(self.vectors[frame], self.affine)[: self.dims]


def track(bundle: OpenBundle, cine: Cine, reference: int, label: np.ndarray | None = None) -> Motion:
    """Register the frame ``reference`` (moving) to every frame (fixed), slices and frames together in batches.

    A refinement takes one frame after the other, see `Following`.

    Args:
        label: (*spatial) of the reference frame, for a network that carries one along.

    Raises:
        InputError: no such frame, slices that do not lie along the last axis, or frames that the network cannot take.
    """
    if not 0 <= reference < len(cine.frames):
        raise InputError(f"{cine.path}: frame {reference} asked for, but it has 0 to {len(cine.frames) - 1}.")
    moving = cine.image(reference)
    stack = bundle.spatial_dims == 2 and moving.array.ndim == 3
    if stack and slice_axis_of(moving) != 2:
        raise InputError(f"{cine.path}: spacing {_rounded(moving)} mm; the slices must lie along the third axis.")
    frames = [cine.image(number) for number in range(len(cine.frames))]
    carried = None if label is None else MedicalImage(label, cine.affine, Path("of the reference frame"))
    bundle = following(bundle, moving.array.shape[2] if stack else 1)
    found = register_cases(bundle, [Case(moving, fixed, carried) for fixed in frames], 2 if stack else None)
    vectors = np.stack([each.field.vectors for each in found])
    maps = {name: np.stack([each.maps[name] for each in found]) for name in found[0].maps}
    for still in (vectors, *[maps[name] for name in maps if name == UNCERTAINTY]):
        still[reference] = 0
    seconds = sum(each.seconds for each in found)
    said = tuple(of_images(found[0]))
    refined = _refined(bundle, found[:reference] + found[reference + 1 :])
    return Motion(vectors, cine.affine, bundle.spatial_dims, reference, found[0].seen, maps, seconds, said, refined)


def following(bundle: OpenBundle, slices: int) -> OpenBundle:
    """Return the bundle with a refinement that follows frames of so many slices; as it is if it does not refine."""
    refinement = getattr(bundle.network, "refinement", None)
    if refinement is None or not refinement.steps:
        return bundle
    network = copy(bundle.network)
    network.refinement = Following(refinement)
    return replace(bundle, network=network, batch_size=min(bundle.batch_size, slices))


def _refined(bundle: OpenBundle, found: Sequence[Registration]) -> dict[str, float] | None:
    refinement = getattr(bundle.network, "refinement", None)
    reports = [each.refined for each in found if each.refined is not None]
    if not isinstance(refinement, Following) or not reports:
        return None
    mean = Report(*map(fmean, zip(*reports, strict=True)))
    return mean._asdict() | {"followed": fmean(refinement.starts or [False])}


def aimed(bundle: OpenBundle) -> OpenBundle:
    """Return the bundle with its region about the label, or about what moves where there is none."""
    return replace(bundle, framing=replace(bundle.framing, center="auto"))


def _rounded(image: MedicalImage) -> list[float]:
    return [round(step, 3) for step in image.spacing]

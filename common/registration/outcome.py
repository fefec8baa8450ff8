"""What follows from a registration: warped images, the inverse, the Jacobian, and the numbers that sum it up."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cached_property
from math import nan
from typing import Any

import numpy as np
from scipy.ndimage import binary_erosion, generate_binary_structure

from ..fields import Field
from ..files import file_hash
from ..io.images import MedicalImage
from ..io.points import Points
from ..metrics.image import mean_squared_error, mutual_information, nlcc
from ..physical import grid_points, invert_field, invert_points, jacobian_determinant, sample, warp_image
from .bundle import OpenBundle
from .register import Registration

UNITS = {"uncertainty_mm": "mm", "displacement_log_variance": "log of squared voxels of the network's grid",
         "log_variance": "log of squared intensity, of images in [0, 1]", "score": "0 to 1, high: trusted",
         "label_uncertainty": "of the classes' shares, summed; high: unsure"}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Outcome:
    """A registration with its images; everything else is computed once, when it is asked for.

    All arrays are on the fixed image's grid, except those of ``inverse``, which are on the moving image's.
    """

    moving: MedicalImage
    fixed: MedicalImage
    registration: Registration
    moving_label: MedicalImage | None = None
    points: Points | None = None

    @property
    def field(self) -> Field:
        """u, from a point of the fixed image to its point of the moving image."""
        return self.registration.field

    @cached_property
    def unmoved(self) -> np.ndarray:
        """The moving image as it lies, float32."""
        return self._pulled(Field(np.zeros_like(self.field.vectors), self.field.affine))

    @cached_property
    def warped(self) -> np.ndarray:
        """The moving image, sampled once where the field points, float32; 0 (or less, as its smallest) outside."""
        return self._pulled(self.field)

    def _pulled(self, field: Field) -> np.ndarray:
        image = self.moving
        return warp_image(image.array, image.affine, field, fill=min(0.0, float(image.array.min())))

    @cached_property
    def warped_label(self) -> np.ndarray | None:
        """The moving label, to the nearest voxel."""
        label = self.moving_label
        return None if label is None else warp_image(label.array, label.affine, self.field, order=0)

    @cached_property
    def jacobian(self) -> np.ndarray:
        """det d(p + u)/dp, float32."""
        return jacobian_determinant(self.field)

    @cached_property
    def inverse(self) -> tuple[Field, np.ndarray]:
        """v, from a point of the moving image to its point of the fixed image, and what is left of v + u, in mm."""
        return invert_field(self.field, self.moving.array.shape, self.moving.affine)

    @cached_property
    def warped_points(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the points of the moving image lie in the fixed one, (N, 2 or 3) LPS mm, and what is left, in mm.

        The field pulls the image, so that its points go the inverse way.
        """
        places = self.points.lps.copy()
        places[:, : self.field.dims], residual = invert_points(places[:, : self.field.dims], self.field)
        return places, residual

    @cached_property
    def inner(self) -> np.ndarray:
        """What the network saw but for its rim, where the field drops to 0 from one voxel to the next.

        The slices of a stack have no rim across: what differs between them folds nothing.
        """
        seen, across = self.registration.seen, self.registration.slice_axis
        neighbours = generate_binary_structure(seen.ndim, 1)
        if across is not None:
            np.moveaxis(neighbours, across, 0)[[0, 2]] = False
        return binary_erosion(seen, neighbours, border_value=1)

    @cached_property
    def compared(self) -> np.ndarray:
        """What the network saw where the moving image has values both before and after."""
        ones, affine = np.ones(self.moving.array.shape, np.float32), self.moving.affine
        still = Field(np.zeros_like(self.field.vectors), self.field.affine)
        covered = [warp_image(ones, affine, field) > 0.999 for field in (still, self.field)]
        return self.registration.seen & covered[0] & covered[1]


def numbers(outcome: Outcome) -> dict[str, Any]:
    """Sum up an outcome; what cannot be computed is NaN."""
    length = np.linalg.norm(outcome.field.vectors, axis=-1)[outcome.registration.seen]
    jacobian = outcome.jacobian[outcome.inner]
    return {
        "similarity": {"before": _similarity(outcome, outcome.unmoved), "after": _similarity(outcome, outcome.warped)},
        "displacement_mm": {"mean": _mean(length), "p95": _percentile(length, 95), "max": _percentile(length, 100)},
        "folding_percent": 100 * _mean(jacobian <= 0),
        "jacobian": {"min": _percentile(jacobian, 0), "max": _percentile(jacobian, 100)},
        "inverse_consistency_mm": _consistency(outcome),
        "maps": _maps(outcome),
        **({} if outcome.points is None else {"points": _points(outcome)}),
    }


def about(outcome: Outcome, bundle: OpenBundle) -> dict[str, Any]:
    """Say what was registered, by what, and on which grids."""
    found = outcome.registration
    return {
        "bundle": {"name": bundle.name, "version": bundle.version, "weights_sha256": file_hash(bundle.weights)},
        "versions": {"python": sys.version.split()[0]}
        | {name: sys.modules[name].__version__ for name in ("torch", "monai", "numpy")},
        "moving": _grid(outcome.moving),
        "fixed": _grid(outcome.fixed),
        "network": {
            "device": str(bundle.device),
            "spacing_mm": list(found.network_spacing),
            "shape": list(found.network_shape),
            "slice_axis": found.slice_axis,
            "region": _region(found.seen),
            "seen_percent": 100 * _mean(found.seen),
            "overlap": found.overlap,
            "seconds": found.seconds,
        },
    }


def _region(seen: np.ndarray) -> dict[str, list[int]]:
    """The smallest box of the fixed image's voxels that holds all that the network saw."""
    places = [np.flatnonzero(seen.any(tuple(a for a in range(seen.ndim) if a != axis))) for axis in range(seen.ndim)]
    first = [int(place[0]) if place.size else 0 for place in places]
    return {"first": first, "shape": [int(p[-1]) + 1 - f if p.size else 0 for p, f in zip(places, first, strict=True)]}


def _grid(image: MedicalImage) -> dict[str, Any]:
    return {"file": image.path.name, "shape": list(image.array.shape), "spacing_mm": list(image.spacing),
            "affine": np.asarray(image.affine, float).tolist()}  # fmt: skip


def _similarity(outcome: Outcome, image: np.ndarray) -> dict[str, float]:
    """Of images scaled to [0, 1] by the extremes of the moving and the fixed one, in `Outcome.compared`."""
    mask = outcome.compared
    ours, fixed = _scaled(image, outcome.unmoved, mask), _scaled(outcome.fixed.array, outcome.fixed.array, mask)
    return {
        "mean_squared_error": mean_squared_error(ours, fixed, mask),
        "local_correlation": _correlation(ours, fixed, mask, outcome.registration.slice_axis),
        "mutual_information": mutual_information(ours, fixed, mask),
    }


def _scaled(image: np.ndarray, reference: np.ndarray, mask: np.ndarray) -> np.ndarray:
    values = reference[mask]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    return ((image - low) / max(high - low, 1e-12)).astype(np.float32)


def _correlation(ours: np.ndarray, fixed: np.ndarray, mask: np.ndarray, slice_axis: int | None) -> float:
    """`nlcc`; of a stack the mean over its slices, weighted by what is compared of them."""
    if slice_axis is None:
        return nlcc(ours, fixed, mask)
    slices = [tuple(np.moveaxis(each, slice_axis, 0)[k] for each in (ours, fixed, mask))
              for k in range(mask.shape[slice_axis])]  # fmt: skip
    counted = [each for each in slices if each[2].any()]
    weights = [each[2].sum() for each in counted]
    return float(np.average([nlcc(*each) for each in counted], weights=weights)) if counted else nan


def _consistency(outcome: Outcome) -> dict[str, float]:
    """What is left of u + v, where v leads into what the network saw."""
    inverse, residual = outcome.inverse
    points = grid_points(inverse.shape, inverse.affine) + inverse.vectors
    left = residual[sample(outcome.inner.astype(np.float32), outcome.fixed.affine, points) > 0.999]
    return {"mean": _mean(left), "p95": _percentile(left, 95), "max": _percentile(left, 100)}


def _maps(outcome: Outcome) -> dict[str, Any]:
    seen, maps = outcome.registration.seen, outcome.registration.maps
    return {
        name: {"mean": _mean(maps[name][seen]), "p95": _percentile(maps[name][seen], 95), "unit": UNITS.get(name, "")}
        for name in maps
        if name != "segmentation"
    }


def _points(outcome: Outcome) -> dict[str, Any]:
    """In the order of the file; NaN where a point is outside what the network saw."""
    places, residual = outcome.warped_points
    places = places[:, : outcome.field.dims]
    seen = sample(outcome.registration.seen.astype(np.float32), outcome.fixed.affine, places) > 0.5
    found = {"residual_mm": residual.tolist(), "seen": seen.tolist()}
    if (uncertainty := outcome.registration.maps.get("uncertainty_mm")) is not None:
        at = sample(uncertainty, outcome.fixed.affine, places)
        found["uncertainty_mm"] = np.where(seen, at, nan).tolist()
    return found


def _mean(values: np.ndarray) -> float:
    return float(values.mean(dtype=float)) if values.size else nan


def _percentile(values: np.ndarray, percent: float) -> float:
    return float(np.percentile(values, percent)) if values.size else nan

"""The numbers that sum a registration up."""

from __future__ import annotations

import sys
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..collection.weights import told
from ..files import file_hash
from ..interfaces import needed
from ..io.images import MedicalImage
from ..metrics.image import mean_squared_error, mutual_information, nlcc
from ..outliers import without_outliers
from ..physical import grid_points, sample

if TYPE_CHECKING:
    from .outcome import Registration

UNITS = {
    "uncertainty_mm": "mm",
    "displacement_log_variance": "log of squared voxels of the network's grid",
    "ddf_variance": "squared voxels of the network's grid",
    "log_variance": "log of squared intensity, of images in [0, 1]",
    "score": "0 to 1, high: trusted",
    "label_uncertainty": "of the classes' shares, summed; high: unsure",
}


def about(found: Registration) -> dict[str, Any]:
    """Say what was registered, by what, and on which grids."""
    by, frames = needed(found.by, "name of what registered"), found.case.frames
    return {
        "bundle": {"name": by.name, "version": by.version, **_weights(by.weights)},
        "versions": {"python": sys.version.split()[0]}
        | {name: sys.modules[name].__version__ for name in ("torch", "numpy")},
        "moving": _grid(found.moving),
        "fixed": _grid(found.fixed),
        "frames": dict(zip(("moving", "fixed"), frames, strict=True)),
        "initial": None if found.case.initial is None else Path(found.case.initial_path or "in memory").name,
        "network": {
            "device": str(by.device),
            "spacing_mm": list(found.network_spacing),
            "shape": list(found.network_shape),
            "slice_axis": found.slice_axis,
            "region": _region(found.seen),
            "seen_percent": 100 * _mean(found.seen),
            "overlap": found.overlap,
            "seconds": found.seconds,
        },
        "refinement": None if found.refined is None else found.refined._asdict(),
        **({} if found.slice_shifts_mm is None else {"slice_shifts_mm": found.slice_shifts_mm.round(3).tolist()}),
    }


def _weights(weights: Any) -> dict[str, Any]:
    """Of a file what is `told`; of the members of an ensemble the hashes, a list; None where there is none."""
    if isinstance(weights, str | Path):
        return told(weights)
    return {"weights_sha256": None if weights is None else [file_hash(file) for file in weights]}


def summary(found: Registration) -> dict[str, Any]:
    """Sum up what came out; what cannot be computed is NaN."""
    length = np.linalg.norm(found.own_field.vectors, axis=-1)[found.seen]
    jacobian = found.jacobian[found.inner]
    return {
        "similarity": found.similarity,
        "displacement_mm": {"mean": _mean(length), "p95": _percentile(length, 95), "max": _percentile(length, 100)},
        "folding_percent": 100 * _mean(jacobian <= 0),
        "jacobian": {"min": _percentile(jacobian, 0), "max": _percentile(jacobian, 100)},
        "maps": _maps(found),
        **({} if found.case.points is None else {"points": _points(found)}),
        **({} if found.case.fixed_label is None else {"labels": found.agreement}),
        "warnings": found.warnings,
    }


def inverse_consistency(found: Registration) -> dict[str, float]:
    """What is left of u + v in mm, where v leads into what the network saw."""
    inverse, residual = found.inverse, found.inverse_residual
    points = grid_points(inverse.shape, inverse.affine) + inverse.vectors
    left = residual[sample(found.inner.astype(np.float32), found.fixed.affine, points) > 0.999]
    return {"mean": _mean(left), "p95": _percentile(left, 95), "max": _percentile(left, 100)}


def _region(seen: np.ndarray) -> dict[str, list[int]]:
    """The smallest box of the fixed image's voxels that holds all that the network saw."""
    places = [np.flatnonzero(seen.any(tuple(a for a in range(seen.ndim) if a != axis))) for axis in range(seen.ndim)]
    first = [int(place[0]) if place.size else 0 for place in places]
    return {"first": first, "shape": [int(p[-1]) + 1 - f if p.size else 0 for p, f in zip(places, first, strict=True)]}


def _grid(image: MedicalImage) -> dict[str, Any]:
    shape, affine = list(image.array.shape), np.asarray(image.affine, float).tolist()
    return {"file": image.path.name, "shape": shape, "spacing_mm": list(image.spacing), "affine": affine}


def similarity(found: Registration, image: np.ndarray) -> dict[str, float]:
    """Of images scaled to [0, 1] by the extremes of the moving and the fixed one, in `Registration.compared`."""
    mask = found.compared
    ours, unmoved = (without_outliers(each, found.moving.array) for each in (image, found.unmoved))
    fixed = without_outliers(found.fixed.array)
    ours, fixed = _scaled(ours, unmoved, mask), _scaled(fixed, fixed, mask)
    return {
        "mean_squared_error": mean_squared_error(ours, fixed, mask),
        "local_correlation": _correlation(ours, fixed, mask, found.slice_axis),
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
    moved = [np.moveaxis(each, slice_axis, 0) for each in (ours, fixed, mask)]
    counted = [each for each in zip(*moved, strict=True) if each[2].any()]
    weights = [each[2].sum() for each in counted]
    return float(np.average([nlcc(*each) for each in counted], weights=weights)) if counted else nan


def _maps(found: Registration) -> dict[str, Any]:
    seen = found.seen
    values = {name: array[seen] for name, array in found.maps.items() if name != "segmentation"}
    return {
        name: {"mean": _mean(each), "p95": _percentile(each, 95), "unit": UNITS.get(name, "")}
        for name, each in values.items()
    }


def _points(found: Registration) -> dict[str, Any]:
    """In the order of the file; NaN where a point is outside what the network saw."""
    places, residual = found.warped_points
    places = places[:, : found.field.dims]
    seen = found.points_seen
    numbers = {"residual_mm": residual.tolist(), "seen": seen.tolist()}
    if (uncertainty := found.maps.get("uncertainty_mm")) is not None:
        at = sample(uncertainty, found.fixed.affine, places)
        numbers["uncertainty_mm"] = np.where(seen, at, nan).tolist()
    return numbers


def _mean(values: np.ndarray) -> float:
    return float(values.mean(dtype=float)) if values.size else nan


def _percentile(values: np.ndarray, percent: float) -> float:
    return float(np.percentile(values, percent)) if values.size else nan

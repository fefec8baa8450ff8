"""Every metric of one registered pair, by the names of the evaluation's tables, whatever registered it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from .. import metrics
from ..data import prepared
from ..data.geometry import spacing_of
from ..data.pairs import PreparedPairs
from ..io import read_affine
from ..metrics import Curve
from ..spatial import warp
from .evaluation_tables import IDENTITY, TRUTH

Arrays = Mapping[str, NDArray]

OVERLAP = tuple(metrics.evaluate_pair(np.zeros((2, 2)), np.zeros((2, 2)), None, [1]))
"""The overlap metrics of both protocols: "published/dsc", ..., "standard/asd_mm"."""


LABELS = ("moving_label", "fixed_label")


class Scored(NamedTuple):
    """One pair as the tables take it.

    Attributes:
        row: of metrics.csv.
        curve: of sparsification.csv.
        arrays: what examples.npz keeps of a pair: images, labels, warped label and the prediction.
    """

    row: dict[str, Any]
    curve: Curve
    arrays: dict[str, NDArray]


def score_example(
    dataset: PreparedPairs,
    index: int,
    prediction: Arrays | None,
    map_name: str | None,
    labels: Sequence[int],
    seconds: float,
) -> Scored:
    """Score one pair of a split as ``prediction`` registers it.

    Args:
        dataset: the split.
        index: the pair's number in it.
        prediction: "ddf" (D, *spatial) in voxels, "warped" (*spatial) and, if the method has a map, "uncertainty"
            (*spatial); further arrays are only kept. None for a pair that could not be registered: its row is NaN
            throughout, but for what no registration gives.
        map_name: what the map is ("log_variance", "displacement_log_variance", "score"); None for no map.
        labels: the labels that count.
        seconds: what the registration took.
    """
    pair, dims = dataset.pairs[index], dataset.spatial_dims
    arrays = prepared.load_arrays(dataset.dataset, pair, (*prepared.IMAGE_KEYS, *LABELS, *prepared.TRUTH_KEYS))
    found = dict(_nothing(arrays["fixed"], map_name) if prediction is None else prediction)
    if "moving_label" in arrays and np.isfinite(found["ddf"]).all():
        found["warped_label"] = warp_label(arrays["moving_label"], found["ddf"])
    spacing = spacing_of(read_affine(dataset.dataset.root / pair["fixed"]))[:dims]
    scores, curve = score_pair(arrays, found, map_name, labels, spacing)
    truth = {key: scores.pop(key) for key in TRUTH if key in scores}
    row = {**{key: pair.get(key) for key in IDENTITY}, **scores, "seconds": seconds, **truth}
    kept = {key: arrays[key] for key in (*prepared.IMAGE_KEYS, *LABELS) if key in arrays}
    return Scored(row, curve, kept | found)


def examples_of(count: int, pairs: int) -> list[int]:
    """Return the numbers of ``count`` pairs, evenly spread over all ``pairs``: the same for every method."""
    return sorted({int(index) for index in np.linspace(0, pairs - 1, min(count, pairs)).round()})


def warp_label(label: NDArray, ddf: NDArray) -> NDArray[np.uint8]:
    """Carry a label map (*spatial) by ``ddf`` (D, *spatial), nearest neighbour, 0 from outside the image."""
    field = torch.from_numpy(np.ascontiguousarray(ddf, dtype=np.float32))[None]
    return warp(torch.from_numpy(label)[None, None].float(), field, mode="nearest")[0, 0].numpy().astype(np.uint8)


def _nothing(fixed: NDArray, map_name: str | None) -> dict[str, NDArray]:
    unknown = np.full(fixed.shape, nan, np.float32)
    maps = {} if map_name is None else {"uncertainty": unknown}
    return {"ddf": np.stack([unknown] * fixed.ndim), "warped": unknown} | maps


def score_pair(
    arrays: Arrays, prediction: Arrays, map_name: str | None, labels: Sequence[int], spacing: Sequence[float]
) -> tuple[dict[str, float], Curve]:
    """Compute a row of metrics.csv, and the sparsification curves; what cannot be computed is NaN.

    Metrics against a known truth are there only where the data set has one.

    Args:
        arrays: of the prepared pair (`prepared.load_arrays`): "fixed", and labels and truth where it has them.
        prediction: "ddf" (D, *spatial), "warped" (*spatial), "warped_label" (*spatial) if the pair has labels
            and its field is finite, "uncertainty" (*spatial) if the method has a map.
        map_name: what the map is: a log variance, or "score" (whose uncertainty is 1 - score); None for no map.
        labels: the labels that count; one that a map lacks is empty.
        spacing: mm along each array axis.
    """
    ddf = prediction["ddf"]
    row = _overlap(arrays, ddf, labels, spacing)
    row |= {f"undeformed/{name}": value for name, value in _overlap(arrays, None, labels, spacing).items()}
    row |= metrics.regularity(ddf)
    squared_error = (arrays["fixed"] - prediction["warped"]) ** 2
    uncertainty = _uncertainty(prediction, map_name)
    curve = metrics.sparsification(squared_error, uncertainty)
    row |= {"ause": curve.ause, "aurg": curve.aurg, "spearman": metrics.spearman(uncertainty, squared_error)}
    row |= _detection(uncertainty, arrays, prediction)
    return row | _truth(arrays, prediction, map_name), curve


def _overlap(arrays: Arrays, ddf: NDArray | None, labels: Sequence[int], spacing: Sequence[float]) -> dict[str, float]:
    if "moving_label" not in arrays or "fixed_label" not in arrays or not labels:
        return dict.fromkeys(OVERLAP, nan)
    return metrics.evaluate_pair(arrays["moving_label"], arrays["fixed_label"], ddf, labels, spacing)


def _detection(uncertainty: NDArray, arrays: Arrays, prediction: Arrays) -> dict[str, float]:
    functions = {"error_auroc": metrics.error_auroc, "error_auroc_band": metrics.error_auroc_band}
    if "warped_label" not in prediction or "fixed_label" not in arrays or not np.isfinite(uncertainty).all():
        return dict.fromkeys(functions, nan)
    labels = prediction["warped_label"], arrays["fixed_label"]
    return {name: function(uncertainty, *labels) for name, function in functions.items()}


def _uncertainty(prediction: Arrays, map_name: str | None) -> NDArray:
    """Something that grows with the expected error."""
    if map_name is None:
        return np.full(prediction["warped"].shape, nan)
    return 1 - prediction["uncertainty"] if map_name == "score" else prediction["uncertainty"]


def _truth(arrays: Arrays, prediction: Arrays, map_name: str | None) -> dict[str, float]:
    row = {}
    if "displacement" in arrays:
        row |= _endpoint_errors(prediction["ddf"], arrays["displacement"], arrays.get("fixed_label"))
    seen = prediction.get("uncertainty")
    if "variance" in arrays:
        known = map_name == "log_variance"
        row["variance_spearman"] = metrics.variance_spearman(seen, arrays["variance"]) if known else nan
    if "non_correspondence" in arrays:
        known = map_name == "score"
        row["score_auroc"] = metrics.score_auroc(seen, arrays["non_correspondence"]) if known else nan
    return row


def _endpoint_errors(ddf: NDArray, truth: NDArray, fixed_label: NDArray | None) -> dict[str, float]:
    """Over the labelled structures, whose motion can be seen, and over the whole image, where much is noise."""
    structures = None if fixed_label is None else fixed_label > 0
    row = {}
    for prefix, field in (("", ddf), ("undeformed_", np.zeros_like(truth))):
        row[f"{prefix}endpoint_error"] = metrics.endpoint_error(field, truth, structures)
        row[f"{prefix}endpoint_error_image"] = metrics.endpoint_error(field, truth)
    return row

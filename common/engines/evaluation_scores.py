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
from ..data.pairs import PreparedPairs
from ..grids import spacing_of
from ..io import read_affine
from ..metrics import Curve
from ..spatial import warp
from .evaluation_tables import IDENTITY, IMAGE, TRUTH

Arrays = Mapping[str, NDArray]

OVERLAP = tuple(metrics.evaluate_pair(np.zeros((2, 2)), np.zeros((2, 2)), None, [1]))
"""The overlap metrics of both protocols: "published/dsc", ..., "standard/asd_mm"."""


MASK = "fixed_mask"


class Scored(NamedTuple):
    """One pair as the tables take it.

    Attributes:
        row: of metrics.csv.
        curve: of sparsification.csv.
        arrays: what examples.npz keeps of a pair: images, labels, mask, warped label and the prediction, of whose
            "segmentation" only the most likely label.
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
            (*spatial), if it predicts labels, "segmentation" (C, *spatial) and perhaps "label_uncertainty"
            (C, *spatial); further arrays are only kept. None for a pair that could not be registered: its row is NaN
            throughout, but for what no registration gives.
        map_name: what the map is ("log_variance", "score", ...); None for no map.
        labels: the labels that count.
        seconds: what the registration took.
    """
    pair, dims = dataset.pairs[index], dataset.spatial_dims
    keys = (*prepared.IMAGE_KEYS, *prepared.LABEL_KEYS, MASK)
    arrays = prepared.load_arrays(dataset.dataset, pair, (*keys, *prepared.TRUTH_KEYS))
    found = dict(_nothing(arrays["fixed"], map_name) if prediction is None else prediction)
    if "moving_label" in arrays and np.isfinite(found["ddf"]).all():
        found["warped_label"] = warp_label(arrays["moving_label"], found["ddf"])
    spacing = spacing_of(read_affine(dataset.dataset.root / pair["fixed"]))[:dims]
    scores, curve = score_pair(arrays, found, map_name, labels, spacing)
    truth = {key: scores.pop(key) for key in TRUTH if key in scores}
    row = {**{key: pair.get(key) for key in IDENTITY}, **scores, "seconds": seconds, **truth}
    return Scored(row, curve, {key: arrays[key] for key in keys if key in arrays} | _compact(found))


def _compact(prediction: Arrays) -> dict[str, NDArray]:
    """Leave out what a figure does not show and a volume has in plenty: a map for every class."""
    kept = {name: values for name, values in prediction.items() if name != "label_uncertainty"}
    if "segmentation" in kept:
        kept["segmentation"] = _most_likely(kept["segmentation"])
    return kept


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

    Metrics against a known truth are there only where the data set has one, and those of predicted labels only where
    there are some. What lies in the padding of the fixed image does not count.

    Args:
        arrays: of the prepared pair (`prepared.load_arrays`): "fixed", and labels, mask and truth where it has them.
        prediction: "ddf" (D, *spatial), "warped" (*spatial), "warped_label" (*spatial) if the pair has labels
            and its field is finite, "uncertainty" (*spatial) if the method has a map, "segmentation" (C, *spatial) if
            it predicts labels.
        map_name: what the map is: "score" (whose uncertainty is 1 - score), or what grows with the expected error;
            None for no map.
        labels: the labels that count; one that a map lacks is empty.
        spacing: mm along each array axis.
    """
    ddf, mask = prediction["ddf"], arrays.get(MASK)
    row = _overlap(arrays, ddf, labels, spacing)
    row |= {f"undeformed/{name}": value for name, value in _overlap(arrays, None, labels, spacing).items()}
    row |= metrics.regularity(ddf, mask)
    uncertainty, error = _uncertainty(prediction, map_name), squared_error(arrays["fixed"], prediction["warped"])
    judged = [values if mask is None else values[mask > 0] for values in (error, uncertainty)]
    curve = metrics.sparsification(*judged)
    row |= {"ause": curve.ause, "aurg": curve.aurg, "spearman": metrics.spearman(*judged)}
    row |= _detection(uncertainty, arrays, prediction)
    row |= {name: metrics.METRICS[name].function(prediction["warped"], arrays["fixed"], mask) for name in IMAGE}
    return row | _label_scores(arrays, prediction) | _truth(arrays, prediction, map_name), curve


def squared_error(fixed: NDArray, warped: NDArray) -> NDArray:
    """``(fixed - warped)^2``."""
    return (fixed - warped) ** 2


def label_ranking(prediction: Arrays, fixed: NDArray, map_name: str | None) -> tuple[str, NDArray]:
    """What ranks the errors of the predicted labels: its name, and the map.

    The uncertainty of each class (C, *spatial), else the method's map, else, as the paper does (predictive, Gong et
    al., WACV 2022, Table 1), the squared warping error, both (*spatial).
    """
    if "label_uncertainty" in prediction:
        return "label_uncertainty", prediction["label_uncertainty"]
    if map_name is not None:
        return map_name, _uncertainty(prediction, map_name)
    return "squared_error", squared_error(fixed, prediction["warped"])


def _overlap(arrays: Arrays, ddf: NDArray | None, labels: Sequence[int], spacing: Sequence[float]) -> dict[str, float]:
    if "moving_label" not in arrays or "fixed_label" not in arrays or not labels:
        return dict.fromkeys(OVERLAP, nan)
    images = arrays["moving_label"], arrays["fixed_label"]
    return metrics.evaluate_pair(*images, ddf, labels, spacing, arrays.get(MASK))


def _label_scores(arrays: Arrays, prediction: Arrays) -> dict[str, float]:
    """Dice of the predicted labels: the mean over the classes that either map has, and each class."""
    if "segmentation" not in prediction:
        return {}
    found = prediction["segmentation"]
    scores = dict.fromkeys(range(1, len(found)), nan)
    if "fixed_label" in arrays and np.isfinite(found).all():
        scores = metrics.class_dice(_most_likely(found), arrays["fixed_label"], len(found), arrays.get(MASK))
    return {"label/dsc": metrics.mean_of_known(scores.values())} | {
        f"label/dsc_{c}": score for c, score in scores.items()
    }


def _most_likely(segmentation: NDArray) -> NDArray[np.uint8]:
    return segmentation.argmax(axis=0).astype(np.uint8)


def _detection(uncertainty: NDArray, arrays: Arrays, prediction: Arrays) -> dict[str, float]:
    """Of the errors of the predicted label, by the squared warping error if there is no map, or of the warped one."""
    functions = {"error_auroc": metrics.error_auroc, "error_auroc_band": metrics.error_auroc_band}
    label = prediction.get("warped_label")
    if "segmentation" in prediction:
        label = _most_likely(prediction["segmentation"])
        if "uncertainty" not in prediction:
            uncertainty = squared_error(arrays["fixed"], prediction["warped"])
    if label is None or "fixed_label" not in arrays or not np.isfinite(uncertainty).all():
        return dict.fromkeys(functions, nan)
    labels, mask = (label, arrays["fixed_label"]), arrays.get(MASK)
    return {name: function(uncertainty, *labels, mask=mask) for name, function in functions.items()}


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

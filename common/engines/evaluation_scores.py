"""Every metric of one registered pair, by the names of the evaluation's tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan

import numpy as np
from numpy.typing import NDArray

from .. import metrics
from ..metrics import Curve

Arrays = Mapping[str, NDArray]

OVERLAP = tuple(metrics.evaluate_pair(np.zeros((2, 2)), np.zeros((2, 2)), None, [1]))
"""The overlap metrics of both protocols: "published/dsc", ..., "standard/asd_mm"."""


def score_pair(
    arrays: Arrays, prediction: Arrays, map_name: str | None, labels: Sequence[int], spacing: Sequence[float]
) -> tuple[dict[str, float], Curve]:
    """Compute a row of metrics.csv, and the sparsification curves; what cannot be computed is NaN.

    Metrics against a known truth are there only where the data set has one.

    Args:
        arrays: of the prepared pair (`prepared.load_arrays`): "fixed", and labels and truth where it has them.
        prediction: "ddf" (D, *spatial), "warped" (*spatial) and "uncertainty" (*spatial), if the method has a map.
        map_name: what the map is: "log_variance" or "score" (whose uncertainty is 1 - score); None for no map.
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
    return row | _truth(arrays, prediction, map_name), curve


def _overlap(arrays: Arrays, ddf: NDArray | None, labels: Sequence[int], spacing: Sequence[float]) -> dict[str, float]:
    if "moving_label" not in arrays or "fixed_label" not in arrays or not labels:
        return dict.fromkeys(OVERLAP, nan)
    return metrics.evaluate_pair(arrays["moving_label"], arrays["fixed_label"], ddf, labels, spacing)


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

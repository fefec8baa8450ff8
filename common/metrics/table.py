"""Every metric by the name that it has in configs, CSV files and reports."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from numpy.typing import ArrayLike

from .detection import error_auroc, error_auroc_band
from .image import mean_squared_error, mutual_information, nlcc
from .jacobian import folding_percent, sd_log_jacobian
from .overlap import Spacing, overlap
from .ranks import spearman
from .sparsification import sparsification
from .truth import endpoint_error, score_auroc, variance_spearman


class Metric(NamedTuple):
    """A metric of one pair: how to compute it, its unit, and whether more is better (None: neither)."""

    function: Callable[..., float]
    unit: str
    higher_is_better: bool | None
    title: str


def dsc(fixed_mask: ArrayLike, warped_mask: ArrayLike) -> float:
    """Dice similarity of two binary masks in percent."""
    return 100 * overlap(fixed_mask, warped_mask).dice


def hd(fixed_mask: ArrayLike, warped_mask: ArrayLike) -> float:
    """Hausdorff distance of two binary masks in voxels."""
    return overlap(fixed_mask, warped_mask).hd


def hd95(fixed_mask: ArrayLike, warped_mask: ArrayLike) -> float:
    """Larger of the directed 95th percentile distances of two binary masks in voxels."""
    return overlap(fixed_mask, warped_mask).hd95


def asd(fixed_mask: ArrayLike, warped_mask: ArrayLike) -> float:
    """Symmetric average surface distance of two binary masks in voxels."""
    return overlap(fixed_mask, warped_mask).asd


def hd_mm(fixed_mask: ArrayLike, warped_mask: ArrayLike, spacing: Spacing) -> float:
    """Hausdorff distance of two binary masks in the unit of the spacing."""
    return overlap(fixed_mask, warped_mask, spacing).hd_mm


def hd95_mm(fixed_mask: ArrayLike, warped_mask: ArrayLike, spacing: Spacing) -> float:
    """Larger of the directed 95th percentile distances of two binary masks in the unit of the spacing."""
    return overlap(fixed_mask, warped_mask, spacing).hd95_mm


def asd_mm(fixed_mask: ArrayLike, warped_mask: ArrayLike, spacing: Spacing) -> float:
    """Symmetric average surface distance of two binary masks in the unit of the spacing."""
    return overlap(fixed_mask, warped_mask, spacing).asd_mm


def ause(squared_error: ArrayLike, uncertainty: ArrayLike) -> float:
    """Area under the sparsification error."""
    return sparsification(squared_error, uncertainty).ause


def aurg(squared_error: ArrayLike, uncertainty: ArrayLike) -> float:
    """Area of the gain over a random ranking."""
    return sparsification(squared_error, uncertainty).aurg


METRICS: dict[str, Metric] = {
    "dsc": Metric(dsc, "%", True, "Dice"),
    "hd": Metric(hd, "voxels", False, "Hausdorff distance"),
    "hd95": Metric(hd95, "voxels", False, "95 % Hausdorff distance"),
    "asd": Metric(asd, "voxels", False, "Average surface distance"),
    "hd_mm": Metric(hd_mm, "mm", False, "Hausdorff distance"),
    "hd95_mm": Metric(hd95_mm, "mm", False, "95 % Hausdorff distance"),
    "asd_mm": Metric(asd_mm, "mm", False, "Average surface distance"),
    "folding_percent": Metric(folding_percent, "%", False, "Folding, |J| <= 0"),
    "sd_log_jacobian": Metric(sd_log_jacobian, "", None, "SD of log |J|"),
    "mse": Metric(mean_squared_error, "intensity²", False, "Mean squared error"),
    "nlcc": Metric(nlcc, "", True, "Squared local correlation"),
    "mi": Metric(mutual_information, "nats", True, "Mutual information"),
    "ause": Metric(ause, "intensity²", False, "AUSE"),
    "aurg": Metric(aurg, "intensity²", True, "AURG"),
    "spearman": Metric(spearman, "", True, "Spearman, uncertainty and squared error"),
    "error_auroc": Metric(error_auroc, "", True, "AUROC of label errors, image"),
    "error_auroc_band": Metric(error_auroc_band, "", True, "AUROC of label errors, near borders"),
    "endpoint_error": Metric(endpoint_error, "voxels", False, "Endpoint error"),
    "variance_spearman": Metric(variance_spearman, "", True, "Spearman, predicted and true variance"),
    "score_auroc": Metric(score_auroc, "", True, "AUROC of non-correspondence"),
}
"""Name -> metric. Several of one pair are cheaper together: ``overlap``, ``regularity``, ``sparsification``."""

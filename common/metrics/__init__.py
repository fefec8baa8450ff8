"""Metrics of a registered pair, in NumPy, and their statistics over many pairs."""

from __future__ import annotations

from .detection import BAND, border_band, error_auroc, error_auroc_band
from .image import mean_squared_error, mutual_information, nlcc
from .jacobian import LOG_FLOOR, folding_percent, regularity, sd_log_jacobian
from .label_sparsification import LABEL_CURVES, LabelCurves, LabelSparsification, mean_curves, pair_curves
from .overlap import Overlap, dice, overlap
from .pair import PROTOCOLS, average_labels, evaluate_labels, evaluate_pair, mean_of_known, warp_mask
from .ranks import auroc, spearman
from .segmentation import class_dice
from .sparsification import Curve, sparsification
from .statistics import Comparison, compare, compare_patients, mean_by_subject, not_computed, summary
from .strain import STRAINS, carried_size, centres, strain, wall_strain
from .table import METRICS, Metric
from .truth import Calibration, endpoint_error, score_auroc, variance_calibration, variance_spearman

__all__ = [
    "BAND",
    "LABEL_CURVES",
    "LOG_FLOOR",
    "METRICS",
    "PROTOCOLS",
    "STRAINS",
    "Calibration",
    "Comparison",
    "Curve",
    "LabelCurves",
    "LabelSparsification",
    "Metric",
    "Overlap",
    "auroc",
    "average_labels",
    "border_band",
    "carried_size",
    "centres",
    "class_dice",
    "compare",
    "compare_patients",
    "dice",
    "endpoint_error",
    "error_auroc",
    "error_auroc_band",
    "evaluate_labels",
    "evaluate_pair",
    "folding_percent",
    "mean_by_subject",
    "mean_curves",
    "mean_of_known",
    "mean_squared_error",
    "mutual_information",
    "nlcc",
    "not_computed",
    "overlap",
    "pair_curves",
    "regularity",
    "score_auroc",
    "sd_log_jacobian",
    "sparsification",
    "spearman",
    "strain",
    "summary",
    "variance_calibration",
    "variance_spearman",
    "wall_strain",
    "warp_mask",
]

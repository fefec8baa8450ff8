"""The columns of the comparison table: where each number stands in metrics.json, how it reads, what it means."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

OVERLAP = "Dice overlap of the warped and the fixed label, averaged over the evaluated labels."
HAUSDORFF = "Largest distance from a point of one label's surface to the other surface, both ways (Hausdorff)."
PERCENTILE = "The 95th percentile of the surface distances, not their maximum: one stray voxel does not decide it."


@dataclass(frozen=True)
class Column:
    """One column. ``path`` leads to its value in metrics.json; ``better`` is None where neither end is good."""

    path: tuple[str, ...]
    title: str
    group: str
    unit: str
    better: Literal["higher", "lower"] | None
    decimals: int
    definition: str
    scale: float = 1.0

    @property
    def key(self) -> str:
        """Its name in the CSV file: "standard/dsc"."""
        return "/".join(self.path).removeprefix("protocols/").removeprefix("truth/")

    @property
    def term(self) -> tuple[str, str]:
        """What the glossary calls it: its title, and its protocol if it belongs to one."""
        return self.title, self.path[1] if self.path[0] == "protocols" else ""

    def show(self, value: float) -> str:
        """Return a value, already scaled, as it is printed, without its unit."""
        if math.isnan(value):
            return "–"
        return f"{value:.{self.decimals}f}"


def _protocol(name: str, metric: str, title: str, unit: str, decimals: int, definition: str) -> Column:
    better: Literal["higher", "lower"] = "higher" if metric == "dsc" else "lower"
    group = f"{name.capitalize()} protocol" if not metric.endswith("_mm") else "Standard protocol, millimetres"
    return Column(("protocols", name, metric), title, group, unit, better, decimals, definition)


def _counted(name: str) -> Column:
    """Return the number of pairs behind a protocol's overlap."""
    return Column(
        ("protocols", name, "dsc", "n"),
        "n",
        f"{name.capitalize()} protocol",
        "",
        None,
        0,
        "Pairs with the evaluated labels in both images: the means of this protocol are over these.",
    )


FIELD, UNCERTAINTY, SPEED, TRUTH = "Deformation", "Uncertainty", "Speed", "Against the known truth"
LABEL, LABEL_AUSE, SIMILARITY = "Predicted labels", "AUSE of the label error", "Warped and fixed image"


def _label_ause(curve: str, title: str, error: str) -> Column:
    return Column(
        ("label", f"ause_{curve}"),
        title,
        LABEL_AUSE,
        "10⁻³",
        "lower",
        2,
        "Area between the "
        f"sparsification curve of {error} and its oracle, which ranks by the true label error: over the "
        "voxels of a pair, 50 steps, mean over the foreground classes and the pairs.",
        scale=1e3,
    )


LABELS = (
    Column(
        ("label", "dsc"),
        "Dice",
        LABEL,
        "%",
        "higher",
        2,
        "Dice overlap of the predicted label (the most likely class) and the fixed one, averaged over the classes.",
    ),
    _label_ause("err", "ERR", "the mean error of the predicted label |Ŝ − S|"),
    _label_ause("mr", "MR", "the miss rate FN / (FN + TP)"),
    _label_ause("fdr", "FDR", "the false discovery rate FP / (FP + TP)"),
)
IMAGE = (
    Column(
        ("image", "mse"),
        "MSE",
        SIMILARITY,
        "10⁻³",
        "lower",
        2,
        "Mean squared difference of the warped and the fixed image.",
        scale=1e3,
    ),
    Column(("image", "mi"), "MI", SIMILARITY, "nats", "higher", 3, "Mutual information of the two images, 100 bins."),
    Column(
        ("image", "nlcc"),
        "NLCC",
        SIMILARITY,
        "%",
        "higher",
        2,
        "Normalised local cross-correlation: the squared correlation of the images in windows of 5 voxels, averaged.",
        scale=100,
    ),
)
MAIN: tuple[Column, ...] = (
    *LABELS,
    _protocol("published", "dsc", "DSC", "%", 2, f"{OVERLAP} The warped label counts wherever it is above 0."),
    _protocol("published", "hd", "HD", "px", 2, HAUSDORFF),
    _protocol("published", "hd95", "HD95", "px", 2, PERCENTILE),
    _protocol("published", "asd", "ASD", "px", 2, "Mean distance from the fixed surface to the warped one, one way."),
    _counted("published"),
    _protocol("standard", "dsc", "DSC", "%", 2, f"{OVERLAP} The warped label counts where it is at least one half."),
    _protocol("standard", "hd", "HD", "px", 2, HAUSDORFF),
    _protocol("standard", "hd95", "HD95", "px", 2, PERCENTILE),
    _protocol("standard", "asd", "ASD", "px", 2, "Mean surface distance, both ways."),
    _counted("standard"),
    Column(
        ("folding_percent",),
        "Folding",
        FIELD,
        "%",
        "lower",
        3,
        "Share of voxels where the map folds over itself: |J| at or below 0.",
    ),
    Column(
        ("sd_log_jacobian",),
        "SD log|J|",
        FIELD,
        "",
        None,
        3,
        "Spread of the local volume change: 0 for a motion that changes no volume, larger for a less regular one.",
    ),
    Column(
        ("ause",),
        "AUSE",
        UNCERTAINTY,
        "10⁻⁴",
        "lower",
        2,
        "Area between the sparsification curve and its oracle: 0 when the uncertainty ranks the squared intensity "
        "errors perfectly. It scales with the error itself.",
        scale=1e4,
    ),
    Column(
        ("error_auroc",),
        "Error AUROC",
        UNCERTAINTY,
        "",
        "higher",
        3,
        "Area under the ROC curve of the uncertainty as a detector of voxels whose warped label is not the fixed "
        "one, over the image: 0.5 is chance. It is high for any map that is high near edges.",
    ),
    Column(
        ("error_auroc_band",),
        "AUROC, borders",
        UNCERTAINTY,
        "",
        "higher",
        3,
        "The same over the voxels within 3 voxels of a border of the fixed labels, where most errors are: which "
        "part of a border is wrong?",
    ),
    Column(
        ("seconds_per_pair",),
        "Time",
        SPEED,
        "ms/pair",
        "lower",
        1,
        "Median computing time of a pair, on the machine and with the batch size of the evaluation.",
        scale=1000,
    ),
    Column(
        ("truth", "endpoint_error"),
        "Endpoint error",
        TRUTH,
        "px",
        "lower",
        2,
        "Mean length of the difference between the estimated and the true displacement, over the labelled structures.",
    ),
    Column(
        ("truth", "variance_spearman"),
        "σ² rank corr.",
        TRUTH,
        "",
        "higher",
        3,
        "Spearman's rank correlation of the estimated and the true noise variance.",
    ),
    Column(
        ("truth", "score_auroc"),
        "Score AUROC",
        TRUTH,
        "",
        "higher",
        3,
        "Area under the ROC curve of the score as a detector of regions without correspondence; 0.5 is chance.",
    ),
)
FURTHER: tuple[Column, ...] = (
    *IMAGE,
    Column(
        ("truth", "endpoint_error_image"),
        "Endpoint error, image",
        TRUTH,
        "px",
        "lower",
        2,
        "The same over the whole image, much of which has nothing that shows its motion.",
    ),
    _protocol("standard", "hd_mm", "HD", "mm", 2, HAUSDORFF),
    _protocol("standard", "hd95_mm", "HD95", "mm", 2, PERCENTILE),
    _protocol("standard", "asd_mm", "ASD", "mm", 2, "Mean surface distance, both ways."),
    Column(
        ("aurg",),
        "AURG",
        UNCERTAINTY,
        "10⁻⁴",
        "higher",
        2,
        "Area between the curve of a random order and the sparsification curve: above 0, the ranking is better than "
        "chance.",
        scale=1e4,
    ),
    Column(
        ("spearman",),
        "Error rank corr.",
        UNCERTAINTY,
        "",
        "higher",
        3,
        "Spearman's rank correlation of the uncertainty and the squared intensity error.",
    ),
)


@dataclass(frozen=True)
class Value:
    """One number of metrics.json: the mean, its SD and the pairs it was computed of, where they stand.

    The SD is over pairs, or over seeds where a row is of several. ``note`` is printed below it.
    """

    mean: float = math.nan
    sd: float = math.nan
    n: int | None = None
    note: str = ""

    def __bool__(self) -> bool:
        return not math.isnan(self.mean)


def value(summary: Mapping[str, Any], path: Sequence[str]) -> Value:
    """Look a number up in metrics.json; what is not there or null is an empty Value."""
    node: Any = summary
    for key in path:
        node = node.get(key) if isinstance(node, Mapping) else None
    if isinstance(node, Mapping):
        return Value(_number(node.get("mean")), _number(node.get("sd")), node.get("n"), node.get("note", ""))
    return Value(_number(node))


def _number(node: Any) -> float:
    return float(node) if isinstance(node, (int, float)) and not isinstance(node, bool) else math.nan

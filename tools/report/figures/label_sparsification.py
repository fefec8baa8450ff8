"""Sparsification of the label error: does the uncertainty point at the voxels whose predicted label is wrong?

The paper draws all methods against one oracle (predictive, Figure 2). Each method has errors of its own, and so an
oracle of its own: the distance between the two is what can be compared. So all methods share the panels of that
distance, and each has a small panel with both of its curves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import GREY, WIDTH, Look, label_panels, styled

CURVES = {"err": "ERR", "mr": "MR", "fdr": "FDR"}
MEANING = {"err": "mean error |Ŝ − S|", "mr": "miss rate", "fdr": "false discovery rate"}
ORACLE = "#d62728"  # red, as in the paper
PER_LINE = 4
LARGE, SMALL = 3.1, 1.75  # inches, the heights of a shared and of a small panel


@dataclass(frozen=True)
class LabelCurves:
    """Curves of one method over the fraction of voxels set aside: name -> (N,), and the area AUSE of each."""

    fraction: np.ndarray
    model: Mapping[str, np.ndarray]
    oracle: Mapping[str, np.ndarray]
    ause: Mapping[str, float]


@styled
def label_sparsification(curves: Mapping[str, LabelCurves], looks: Mapping[str, Look]) -> Figure:
    """Draw every method's distance to its oracle in ERR, MR and FDR, and below each one's ERR with its oracle."""
    lines = -(-len(curves) // PER_LINE)
    legend = 0.3 + 0.16 * -(-len(curves) // 2)
    figure = Figure(figsize=(WIDTH, LARGE + legend + SMALL * lines + 0.3), layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=[LARGE + legend, SMALL * lines + 0.3])
    shared = upper.subplots(1, 3)
    for axis, name in zip(shared, CURVES, strict=True):
        _distances(axis, name, curves, looks)
        axis.set_xlabel("fraction set aside")
    label_panels(shared, [f"{CURVES[name]}: {MEANING[name]}, distance to the oracle" for name in CURVES])
    upper.legend(*shared[0].get_legend_handles_labels(), loc="outside lower center", ncols=min(2, len(curves)),
                 title="AUSE in 10⁻³: ERR / MR / FDR", title_fontsize=8)  # fmt: skip
    small = lower.subplots(lines, PER_LINE, sharex=True, sharey=True, squeeze=False).ravel()
    for axis, (name, each) in zip(small, curves.items(), strict=False):
        _both(axis, name, each, looks[name].colour)
    for axis in small[len(curves) :]:
        axis.set_axis_off()
    lower.supxlabel("fraction of voxels set aside, least trusted first", fontsize=9)
    lower.supylabel("mean error |Ŝ − S| of the rest", fontsize=9)
    return figure


def _distances(axis: Axes, name: str, curves: Mapping[str, LabelCurves], looks: Mapping[str, Look]) -> None:
    for method, each in curves.items():
        areas = " / ".join(f"{1e3 * each.ause[curve]:.2f}" for curve in CURVES)
        axis.plot(each.fraction, each.model[name] - each.oracle[name], color=looks[method].colour,
                  linestyle=looks[method].dash, linewidth=1.6, label=f"{method}: {areas}")  # fmt: skip
    axis.axhline(0, color=GREY, linewidth=0.8)
    axis.set_xlim(0, 1)
    axis.set_ylim(bottom=min(0, axis.get_ylim()[0]))
    axis.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))


def _both(axis: Axes, name: str, each: LabelCurves, colour: str) -> None:
    """Draw a method's curve and its oracle; the area between them is AUSE."""
    axis.fill_between(each.fraction, each.oracle["err"], each.model["err"], color=colour, alpha=0.2, linewidth=0)
    axis.plot(each.fraction, each.model["err"], color=colour, linewidth=1.6)
    axis.plot(each.fraction, each.oracle["err"], color=ORACLE, linewidth=1.1)
    axis.set_xlim(0, 1)
    axis.set_ylim(bottom=0)
    axis.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    axis.set_title(name, loc="left", fontweight="bold", fontsize=8)

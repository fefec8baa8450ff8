"""Sparsification: what error remains when the least trusted voxels are set aside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import GREY, WIDTH, Look, label_panels, styled

FEW = 6  # methods up to which each one's oracle and random order can still be told apart


@dataclass(frozen=True)
class Curves:
    """Mean curves of one method over the fraction of voxels set aside, each (N,), and the area AUSE."""

    fraction: np.ndarray
    model: np.ndarray
    oracle: np.ndarray
    random: np.ndarray
    ause: float


@styled
def sparsification(curves: Mapping[str, Curves], looks: Mapping[str, Look]) -> Figure:
    """Draw the curves of all methods and beside them their distance to the oracle; of few, oracle and random too."""
    few = len(curves) <= FEW
    between = "\n" if few else ": "
    figure = Figure(figsize=(WIDTH, max(3.6, 0.2 * len(curves) + 0.4)), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, each in curves.items():
        style = looks[name]
        _draw(left, each, style, few)
        right.plot(
            each.fraction,
            each.model - each.oracle,
            color=style.colour,
            linestyle=style.dash,
            linewidth=1.6,
            label=f"{name}{between}AUSE {1e4 * each.ause:.2f} · 10⁻⁴",
        )
    right.axhline(0, color=GREY, linewidth=0.8)
    label_panels((left, right), ("Error of the voxels kept", "Distance to the oracle (its area is AUSE)"))
    left.set_ylabel("mean squared intensity error")
    for axis in (left, right):
        axis.set_xlabel("fraction of voxels set aside, least trusted first")
        axis.set_xlim(0, 1)
        axis.set_ylim(bottom=min(0, axis.get_ylim()[0]))
        axis.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    if few:
        _explain_strokes(right)
    spacing = 0.8 if few else 0.4
    figure.legend(*right.get_legend_handles_labels(), loc="outside right upper", labelspacing=spacing)
    return figure


def _draw(axis: Axes, each: Curves, style: Look, whole: bool) -> None:
    if whole:
        axis.plot(each.fraction, each.random, color=style.colour, linewidth=0.9, alpha=0.55, linestyle=(0, (1, 2)))
        axis.plot(each.fraction, each.oracle, color=style.colour, linewidth=0.9, alpha=0.8, linestyle=(0, (4, 2)))
    axis.plot(each.fraction, each.model, color=style.colour, linewidth=1.8, linestyle=style.dash)


def _explain_strokes(axis: Axes) -> None:
    """Add the three kinds of curves to the legend, in grey."""
    for label, dash, width in (
        ("by the uncertainty", "-", 1.8),
        ("oracle: by the error", (0, (4, 2)), 0.9),
        ("random order", (0, (1, 2)), 0.9),
    ):
        axis.plot([], [], color=GREY, linestyle=dash, linewidth=width, label=label)

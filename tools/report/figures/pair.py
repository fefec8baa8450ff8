"""One pair, a row per method: warped image with outlines, grid, residual, Jacobian, uncertainty and weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec

from ..examples import Example
from . import panels
from .style import FIXED, MOVING, WARPED, WIDTH, styled

NAME = 1.05  # inches left for the methods' names
MOST = 6  # columns, which fill the page's width
UNIT = Normalize(0, 1)
KINDS = ("log_variance", "score")


@dataclass(frozen=True)
class PairRow:
    """One method's row: its 2D view of the pair, the weight (H, W) its loss gives each voxel, and its overlap."""

    name: str
    view: Example
    weight: np.ndarray | None = None
    dsc: float | None = None


@styled
def pair_figure(rows: Sequence[PairRow], labels: Sequence[int] = (), undeformed_dsc: float | None = None) -> Figure:
    """Draw the pair before registration, then each method.

    Args:
        rows: methods, all of the same pair.
        labels: the label values to outline; empty means every value of the fixed label.
        undeformed_dsc: overlap before registration, in percent.
    """
    first = rows[0].view
    values = list(labels) or _values(first.fixed_label)
    kinds = [kind for kind in KINDS if any(row.view.uncertainty_name == kind for row in rows)]
    columns = 4 + bool(kinds) + any(row.weight is not None for row in rows)
    bars = max(1, len(kinds))
    shape = first.fixed.shape[1] / first.fixed.shape[0]
    panel = (WIDTH - NAME) / MOST
    heights = [panel * shape + gap for gap in (0.48, *[0.2] * len(rows))] + [0.42] * bars
    width = panel * columns + NAME
    figure = Figure(figsize=(width, sum(heights)))
    grid = figure.add_gridspec(len(heights), columns, height_ratios=heights, left=NAME / width, right=0.995,
                               top=1 - 0.22 / sum(heights), bottom=0.0, wspace=0.04, hspace=0.0)
    axes = np.array([[figure.add_subplot(grid[i, j], box_aspect=shape, anchor="N") for j in range(columns)]
                     for i in range(len(rows) + 1)])
    residual = panels.shared_norm([abs(first.fixed - first.moving)], 0, 99.5)
    _before(axes[0], first, values, residual, undeformed_dsc)
    variance = panels.shared_norm([row.view.uncertainty for row in rows if row.view.uncertainty_name == "log_variance"]
                                  or [np.zeros(2)])
    for line, row in zip(axes[1:], rows, strict=True):
        _method(line, row, values, residual, variance)
    for axis, title in zip(axes[1], ("warped", "grid, x + u(x)", "|fixed − warped|", "|J|", "uncertainty", "weight"),
                           strict=False):
        axis.set_title(title, fontweight="bold", pad=3)
    _bars(figure, grid, len(rows) + 1, kinds, columns, residual, variance)
    return figure


def _values(label: np.ndarray | None) -> list[int]:
    return [] if label is None else [int(value) for value in np.unique(label) if value > 0]


def _before(axes: Sequence[Axes], view: Example, values: Sequence[int], residual: Normalize,
            dsc: float | None) -> None:
    """Draw the first row: moving, fixed, what they differ by, and the key of the outlines."""
    panels.show(axes[0], view.moving)
    panels.outline(axes[0], view.fixed_label, values, FIXED)
    panels.outline(axes[0], view.moving_label, values, MOVING, dashed=True)
    panels.show(axes[1], view.fixed)
    panels.outline(axes[1], view.fixed_label, values, FIXED)
    panels.show(axes[2], abs(view.fixed - view.moving), panels.ERROR_MAP, residual)
    for axis, title in zip(axes, ("moving", "fixed", "|fixed − moving|"), strict=False):
        axis.set_title(title, fontweight="bold", pad=3)
    panels.note(axes[0], "" if dsc is None else f"DSC {dsc:.1f} %")
    panels.note(axes[2], f"mean {abs(view.fixed - view.moving).mean():.4f}")
    _name(axes[0], "before")
    if view.fixed_label is not None:
        panels.outline_key(axes[3])
    for axis in axes[4 if view.fixed_label is not None else 3:]:
        panels.blank(axis)


def _method(axes: Sequence[Axes], row: PairRow, values: Sequence[int], residual: Normalize,
            variance: Normalize) -> None:
    view = row.view
    panels.show(axes[0], view.warped)
    panels.outline(axes[0], view.moving_label, values, MOVING, dashed=True)
    panels.outline(axes[0], view.fixed_label, values, FIXED)
    panels.outline(axes[0], view.warped_label, values, WARPED)
    panels.note(axes[0], "" if row.dsc is None or np.isnan(row.dsc) else f"DSC {row.dsc:.1f} %")
    panels.deformed_grid(axes[1], view.ddf)
    panels.note(axes[1], f"longest {np.hypot(*view.ddf).max():.1f} px")
    panels.show(axes[2], abs(view.fixed - view.warped), panels.ERROR_MAP, residual)
    panels.note(axes[2], f"mean {abs(view.fixed - view.warped).mean():.4f}")
    panels.jacobian(axes[3], view.jacobian)
    panels.note(axes[3], f"folded {100 * (view.jacobian <= 0).mean():.2g} %")
    _name(axes[0], row.name)
    if len(axes) > 4:
        _uncertainty(axes[4], view, variance)
    if len(axes) > 5:
        _weight(axes[5], row.weight)


def _uncertainty(axis: Axes, view: Example, variance: Normalize) -> None:
    if view.uncertainty is None or view.uncertainty_name not in KINDS:
        return _absent(axis)
    if view.uncertainty_name == "score":
        panels.show(axis, view.uncertainty, panels.SCORE_MAP, UNIT)
        return panels.note(axis, "score")
    panels.show(axis, view.uncertainty, panels.VARIANCE_MAP, variance)
    return panels.note(axis, "log σ²")


def _weight(axis: Axes, weight: np.ndarray | None) -> None:
    if weight is None:
        return _absent(axis)
    panels.show(axis, weight, panels.SCORE_MAP, UNIT)
    return panels.note(axis, f"mean {weight.mean():.2f}")


def _absent(axis: Axes) -> None:
    panels.blank(axis)
    axis.text(0.5, 0.5, "none", ha="center", va="center", fontsize=8, alpha=0.6, transform=axis.transAxes)


def _name(axis: Axes, name: str) -> None:
    axis.text(-0.06, 0.5, name.replace(" (", "\n("), ha="right", va="center", fontsize=8.5, fontweight="bold",
              transform=axis.transAxes)


def _bars(figure: Figure, grid: GridSpec, line: int, kinds: Sequence[str], columns: int, residual: Normalize,
          variance: Normalize) -> None:
    """Draw the colour bars below their columns."""
    bars = [(2, 0, panels.ERROR_MAP, residual, "absolute difference"),
            (3, 0, panels.JACOBIAN_MAP, panels.jacobian_norm(), "|J|, black: folded")]
    named = {"log_variance": (panels.VARIANCE_MAP, variance, "log σ², high: noisy"),
             "score": (panels.SCORE_MAP, UNIT, "score, high: trusted")}
    bars += [(4, place, *named[kind]) for place, kind in enumerate(kinds)]
    bars += [(5, 0, panels.SCORE_MAP, UNIT, "weight of the residual")] if columns > 5 else []
    for column, place, *rest in bars:
        cell = figure.add_subplot(grid[line + place, column])
        cell.set_axis_off()
        panels.colour_bar(figure, cell.inset_axes([0.06, 0.68, 0.88, 0.18]), *rest)

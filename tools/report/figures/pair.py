"""One pair, a row per method: warped image with outlines, grid, residual, Jacobian, uncertainty and weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

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
NOTES = {
    "log_variance": "log σ²",
    "score": "score",
    "displacement_log_variance": "log σ² of u",
    "label_uncertainty": "label uncertainty",
    "ddf_variance": "variance of u",
}
BARS = {
    "log_variance": "log σ², high: noisy",
    "score": "score, high: trusted",
    "displacement_log_variance": "log σ² of u, high: unsure",
    "label_uncertainty": "label uncertainty, high: unsure",
    "ddf_variance": "variance of u, high: unsure",
}
KINDS = tuple(NOTES)
FROM_ZERO = ("label_uncertainty", "ddf_variance")  # no logarithms: most voxels are near 0
TITLES = ("warped", "grid, x + u(x)", "|fixed − warped|", "|J|", "uncertainty", "weight")


@dataclass(frozen=True)
class PairRow:
    """One method's row: its 2D view of the pair, the weight (H, W) its loss gives each voxel, and its overlap."""

    name: str
    view: Example
    weight: np.ndarray | None = None
    dsc: float | None = None


class Scales(NamedTuple):
    """The colour scales of one figure."""

    grey: Normalize
    residual: Normalize
    maps: Mapping[str, Normalize]  # of each kind of uncertainty
    weight: Normalize


@styled
def pair_figure(
    rows: Sequence[PairRow],
    labels: Sequence[int] = (),
    undeformed_dsc: float | None = None,
    scaled_by: Sequence[PairRow] = (),
) -> Figure:
    """Draw the pair before registration, then each method.

    Args:
        rows: methods, all of the same pair.
        labels: the label values to outline; empty means every value of the fixed label.
        undeformed_dsc: overlap before registration, in percent.
        scaled_by: the rows that share one colour scale, where several figures show one pair; ``rows`` if none.
    """
    first = rows[0].view
    values = list(labels) or _values(first.fixed_label)
    kinds = [kind for kind in KINDS if any(row.view.uncertainty_name == kind for row in rows)]
    columns = 4 + bool(kinds) + any(row.weight is not None for row in rows)
    figure, grid = _canvas(len(rows), columns, max(1, len(kinds)), first.fixed.shape)
    axes = np.array(
        [
            [
                figure.add_subplot(grid[i, j], box_aspect=first.fixed.shape[1] / first.fixed.shape[0], anchor="N")
                for j in range(columns)
            ]
            for i in range(len(rows) + 1)
        ]
    )
    scales = _scales(scaled_by or rows)
    _before(axes[0], first, values, scales, undeformed_dsc)
    for line, row in zip(axes[1:], rows, strict=True):
        _method(line, row, values, scales)
        if columns > 4:
            _uncertainty(line[4], row.view, values, scales)
        if columns > 5:
            _weight(line[5], row.weight, scales.weight)
    for axis, title in zip(axes[1], TITLES, strict=False):
        axis.set_title(title, fontweight="bold", pad=3)
    _bars(figure, grid, len(rows) + 1, kinds, columns > 5, scales)
    return figure


def _canvas(methods: int, columns: int, bars: int, spatial: Sequence[int]) -> tuple[Figure, GridSpec]:
    """Return a figure and its cells: the row before, the methods, the colour bars."""
    panel = (WIDTH - NAME) / MOST * spatial[1] / spatial[0]
    heights = [panel + gap for gap in (0.48, *[0.2] * methods)] + [0.42] * bars
    width, height = (WIDTH - NAME) / MOST * columns + NAME, sum(heights)
    figure = Figure(figsize=(width, height))
    return figure, figure.add_gridspec(
        len(heights),
        columns,
        height_ratios=heights,
        left=NAME / width,
        right=0.995,
        top=1 - 0.22 / height,
        bottom=0.0,
        wspace=0.04,
        hspace=0.0,
    )


def _scales(rows: Sequence[PairRow]) -> Scales:
    """Return the scales that all rows share, so that methods can be compared."""
    first = rows[0].view
    weights = [row.weight for row in rows if row.weight is not None]
    return Scales(
        # images in [0, 1] are mostly dark: a few bright voxels need not be told apart
        grey=Normalize(0, float(np.percentile([first.moving, first.fixed], 99.5)) or 1.0),
        residual=panels.shared_norm([abs(first.fixed - first.moving)], 0, 99.5),
        maps={kind: _scale(kind, rows) for kind in KINDS},
        weight=Normalize(min((float(each.min()) for each in weights), default=0.0), 1),
    )


def _scale(kind: str, rows: Sequence[PairRow]) -> Normalize:
    """Return the scale of one kind of uncertainty, over the rows that have it."""
    if kind == "score":
        return UNIT
    maps = [row.view.uncertainty for row in rows if row.view.uncertainty_name == kind] or [np.zeros(2)]
    found = panels.shared_norm(maps, 0, 99.5) if kind in FROM_ZERO else panels.shared_norm(maps)
    return Normalize(0, found.vmax) if kind in FROM_ZERO else found


def _values(label: np.ndarray | None) -> list[int]:
    return [] if label is None else [int(value) for value in np.unique(label) if value > 0]


def _before(axes: Sequence[Axes], view: Example, values: Sequence[int], scales: Scales, dsc: float | None) -> None:
    """Draw the first row: moving, fixed, what they differ by, and the key of the outlines."""
    panels.show(axes[0], view.moving, norm=scales.grey)
    panels.outline(axes[0], view.fixed_label, values, FIXED)
    panels.outline(axes[0], view.moving_label, values, MOVING, dashed=True)
    panels.show(axes[1], view.fixed, norm=scales.grey)
    panels.outline(axes[1], view.fixed_label, values, FIXED)
    panels.show(axes[2], abs(view.fixed - view.moving), panels.ERROR_MAP, scales.residual)
    for axis, title in zip(axes, ("moving", "fixed", "|fixed − moving|"), strict=False):
        axis.set_title(title, fontweight="bold", pad=3)
    panels.note(axes[0], "" if dsc is None else f"DSC {dsc:.1f} %")
    panels.note(axes[2], f"mean {abs(view.fixed - view.moving).mean():.4f}")
    _name(axes[0], "before")
    if view.fixed_label is not None:
        panels.outline_key(axes[3], "warped label" if view.segmentation is None else "predicted label")
    for axis in axes[4 if view.fixed_label is not None else 3 :]:
        panels.blank(axis)


def _method(axes: Sequence[Axes], row: PairRow, values: Sequence[int], scales: Scales) -> None:
    """Draw what every method has: warped image, grid, residual and Jacobian."""
    view = row.view
    panels.show(axes[0], view.warped, norm=scales.grey)
    panels.outline(axes[0], view.moving_label, values, MOVING, dashed=True)
    panels.outline(axes[0], view.fixed_label, values, FIXED)
    panels.outline(axes[0], view.predicted_label, values, WARPED)
    panels.note(axes[0], "" if row.dsc is None or np.isnan(row.dsc) else f"DSC {row.dsc:.1f} %")
    panels.deformed_grid(axes[1], view.ddf)
    panels.note(axes[1], f"longest {np.hypot(*view.ddf).max():.1f} px")
    panels.show(axes[2], abs(view.fixed - view.warped), panels.ERROR_MAP, scales.residual)
    panels.note(axes[2], f"mean {abs(view.fixed - view.warped).mean():.4f}")
    panels.jacobian(axes[3], view.jacobian)
    panels.note(axes[3], f"folded {100 * (view.jacobian <= 0).mean():.2g} %")
    _name(axes[0], row.name)


def _uncertainty(axis: Axes, view: Example, values: Sequence[int], scales: Scales) -> None:
    if view.uncertainty is None or view.uncertainty_name not in KINDS:
        return _absent(axis)
    panels.show(axis, view.uncertainty, _colours(view.uncertainty_name), scales.maps[view.uncertainty_name])
    if view.uncertainty_name == "label_uncertainty":  # where the outlines part, the label is wrong
        panels.outline(axis, view.fixed_label, values, FIXED)
        panels.outline(axis, view.predicted_label, values, WARPED)
    return panels.note(axis, NOTES[view.uncertainty_name])


def _colours(kind: str) -> str:
    return panels.SCORE_MAP if kind == "score" else panels.VARIANCE_MAP


def _weight(axis: Axes, weight: np.ndarray | None, norm: Normalize) -> None:
    if weight is None:
        return _absent(axis)
    panels.show(axis, weight, panels.SCORE_MAP, norm)
    return panels.note(axis, f"mean {weight.mean():.2f}")


def _absent(axis: Axes) -> None:
    panels.blank(axis)
    axis.text(0.5, 0.5, "none", ha="center", va="center", fontsize=8, alpha=0.6, transform=axis.transAxes)


def _name(axis: Axes, name: str) -> None:
    lines = name.replace(" (", "\n(").replace("+", "\n+")
    axis.text(-0.06, 0.5, lines, ha="right", va="center", fontsize=8.5, fontweight="bold", transform=axis.transAxes)


def _bars(figure: Figure, grid: GridSpec, line: int, kinds: Sequence[str], weighted: bool, scales: Scales) -> None:
    """Draw the colour bars below their columns."""
    bars = [
        (2, 0, panels.ERROR_MAP, scales.residual, "absolute difference"),
        (3, 0, panels.JACOBIAN_MAP, panels.jacobian_norm(), "|J|, black: folded"),
    ]
    bars += [(4, place, _colours(kind), scales.maps[kind], BARS[kind]) for place, kind in enumerate(kinds)]
    bars += [(5, 0, panels.SCORE_MAP, scales.weight, "weight of the residual")] if weighted else []
    for column, place, *rest in bars:
        cell = figure.add_subplot(grid[line + place, column])
        cell.set_axis_off()
        panels.colour_bar(figure, cell.inset_axes([0.06, 0.68, 0.88, 0.18]), *rest)

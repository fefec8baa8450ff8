"""One pair of known truth: endpoint errors, and each uncertainty beside what it should be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from ..examples import Example
from . import panels
from .style import FIXED, GREY, INK, PALETTE, WIDTH, styled

MOST, TRIPLES = 7, 6  # panels a line: of errors, of uncertainty in threes
FLOOR = 1e-8  # of a variance, before its logarithm
ABOVE, BELOW, BAR = 0.25, 0.36, 0.3  # inches: titles, axes, colour bar


@styled
def endpoint_figure(rows: Sequence[tuple[str, Example]]) -> Figure:
    """Draw how far each method's displacement is from the truth, voxel by voxel, after the true displacement itself.

    Args:
        rows: (name, 2D view) of one pair, all with ``truth_displacement``.
    """
    truth = rows[0][1].truth_displacement
    maps = [("no registration", np.linalg.norm(truth, axis=0)), *((name, endpoint_error(view)) for name, view in rows)]
    figure, axes = _canvas(len(maps), MOST, truth.shape[1:], BAR)
    # the undeformed error sets the scale: what a method leaves of it is what is seen
    scale = Normalize(0, float(max(np.percentile(maps[0][1], 99.5), 1e-6)))
    for axis, (name, error) in zip(axes, maps, strict=False):
        panels.show(axis, error, panels.ERROR_MAP, scale)
        axis.set_title(name, fontweight="bold", pad=3)
        panels.note(axis, f"mean {error.mean():.2f} px")
    bar = figure.add_axes((0.005, 0.28 / figure.get_figheight(), 0.155, 0.09 / figure.get_figheight()))
    panels.colour_bar(figure, bar, panels.ERROR_MAP, scale, "endpoint error, px")
    return figure


@styled
def uncertainty_figure(rows: Sequence[tuple[str, Example]]) -> Figure:
    """Draw truth, estimate and their relation for the methods of :func:`comparable`, two methods to a line."""
    figure, axes = _canvas(3 * len(rows), TRIPLES, rows[0][1].fixed.shape)
    for i, (name, view) in enumerate(rows):
        line = axes[3 * i : 3 * i + 3]
        if view.uncertainty_name == "score":
            _score(line, view.uncertainty, view.truth_non_correspondence > 0)
        else:
            _variance(line, view.uncertainty, np.log(np.maximum(view.truth_variance, FLOOR)))
        line[0].set_title(name, fontweight="bold", pad=3, loc="left")
    return figure


def comparable(view: Example) -> bool:
    """Tell whether the truth of what the method estimates is known."""
    truths = {"score": view.truth_non_correspondence, "log_variance": view.truth_variance}
    return truths.get(view.uncertainty_name or "") is not None


def endpoint_error(view: Example) -> np.ndarray:
    """Return the length of estimated minus true displacement (H, W), in voxels."""
    return np.linalg.norm(view.ddf - view.truth_displacement, axis=0)


def _canvas(count: int, most: int, spatial: Sequence[int], bar: float = 0.0) -> tuple[Figure, list[Axes]]:
    """Return a figure of ``count`` panels for maps of shape ``spatial``, at most ``most`` to each of equal lines.

    ``bar`` is the height in inches to leave free below.
    """
    lines = -(-count // most)
    columns = most if most == TRIPLES else max(-(-count // lines), most - 2)
    panel = (WIDTH / columns - 0.1) * spatial[1] / spatial[0]
    height = lines * (panel + ABOVE + BELOW) + bar
    figure = Figure(figsize=(WIDTH, height))
    grid = figure.add_gridspec(
        lines,
        columns,
        left=0.005,
        right=0.995,
        top=1 - ABOVE / height,
        bottom=(BELOW + bar) / height,
        wspace=0.06,
        hspace=(ABOVE + BELOW) / panel,
    )
    return figure, [figure.add_subplot(grid[i // columns, i % columns]) for i in range(count)]


def _variance(axes: Sequence[Axes], estimate: np.ndarray, truth: np.ndarray) -> None:
    norm = panels.shared_norm([estimate, truth])
    for axis, each, text in zip(axes[:2], (truth, estimate), ("log σ², true", "log σ², estimated"), strict=True):
        panels.show(axis, each, panels.VARIANCE_MAP, norm)
        panels.note(axis, text)
    ends = (norm.vmin, norm.vmax)
    axes[2].hexbin(
        truth.ravel(),
        estimate.ravel(),
        gridsize=28,
        extent=(*ends, *ends),
        norm=LogNorm(),
        cmap="Blues",
        linewidths=0.1,
        mincnt=1,
        rasterized=True,
    )
    axes[2].plot(ends, ends, color=GREY, linewidth=1, linestyle="--")
    axes[2].set(xlim=ends, ylim=ends)
    _inset(axes[2], "true log σ²; upwards: estimated", truth.shape)


def _score(axes: Sequence[Axes], score: np.ndarray, mask: np.ndarray) -> None:
    panels.show(axes[0], mask.astype(float), "gray")
    panels.note(axes[0], "white: truly without correspondence")
    panels.show(axes[1], score, panels.SCORE_MAP, Normalize(0, 1))
    panels.outline(axes[1], mask.astype(np.uint8), [1], FIXED)
    panels.note(axes[1], "score, the truth outlined")
    bins = np.linspace(0, 1, 26)
    for inside, colour, name in ((~mask, PALETTE[0], "elsewhere"), (mask, PALETTE[3], "without correspondence")):
        if inside.any():
            axes[2].hist(
                score[inside],
                bins,
                weights=np.full(inside.sum(), 1 / inside.sum()),
                color=colour,
                histtype="stepfilled",
                alpha=0.6,
                label=name,
                hatch=None if name == "elsewhere" else "////",
                edgecolor=colour,
            )
    axes[2].legend(fontsize=7, loc="upper center", handlelength=1.2)
    axes[2].set_xlim(0, 1)
    _inset(axes[2], "score; upwards: share of voxels", score.shape)


def _inset(axis: Axes, label: str, spatial: Sequence[int]) -> None:
    """Make a chart as large as the maps beside it; its height needs no numbers."""
    axis.set_box_aspect(spatial[1] / spatial[0])
    axis.tick_params(axis="y", length=0, labelleft=False)
    axis.tick_params(axis="x", labelsize=7, length=2)
    axis.set_xlabel(label, fontsize=7.5, color=INK, labelpad=2)

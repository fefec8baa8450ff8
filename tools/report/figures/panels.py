"""The image panels that the figures are put together from; arrays have axes (i, j), shown with j downwards."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.figure import Figure

from .style import FIXED, INK, MOVING, WARPED

GRID_LINES = 32
FOLDED = "#000000"  # no colour of the diverging map around it
DARK = "#10151b"
JACOBIAN_RANGE = 4.0  # |J| from 1/4 to 4

# one map per quantity, all readable without colour vision and in grey
ERROR_MAP, VARIANCE_MAP, SCORE_MAP, JACOBIAN_MAP = "inferno", "viridis", "cividis", "PuOr"


def frame(axis: Axes) -> None:
    """Make an axes an image panel: no ticks, no grid, no spines."""
    axis.set(xticks=[], yticks=[])
    axis.grid(False)
    for spine in axis.spines.values():
        spine.set_visible(False)


def blank(axis: Axes) -> None:
    """Leave a panel out."""
    axis.set_axis_off()


def note(axis: Axes, text: str) -> None:
    """Write a short line below a panel."""
    axis.set_xlabel(text, fontsize=7.5, labelpad=2)


def show(axis: Axes, image: np.ndarray, colours: str | Colormap = "gray", norm: Normalize | None = None) -> None:
    """Show an array (H, W) voxel by voxel."""
    frame(axis)
    # "none" hands the voxels to the SVG as they are
    axis.imshow(image.T, cmap=colours, norm=norm or Normalize(0, 1), interpolation="none")


def outline(axis: Axes, label: np.ndarray | None, values: Sequence[int], colour: str, dashed: bool = False) -> None:
    """Draw the outlines of the label values (H, W), or of a soft label at one half."""
    if label is None:
        return
    soft = not np.array_equal(label, np.round(label))
    for mask in [label] if soft else [label == value for value in values]:
        if mask.max() > 0.5 and mask.min() < 0.5:
            axis.contour(
                mask.T.astype(float),
                levels=[0.5],
                colors=[colour],
                linewidths=1.1,
                linestyles="dashed" if dashed else "solid",
            )


def outline_key(axis: Axes, ours: str = "warped label") -> None:
    """Name the outlines' colours in an empty panel."""
    blank(axis)
    entries = [("fixed label", FIXED, "-"), (ours, WARPED, "-"), ("moving label", MOVING, "--")]
    swatches = [axis.plot([], [], color=colour, linestyle=dash, linewidth=2)[0] for _, colour, dash in entries]
    axis.legend(
        swatches,
        [name for name, _, _ in entries],
        loc="upper left",
        fontsize=8,
        handlelength=2.2,
        frameon=True,
        facecolor="#3a444f",
        labelcolor="white",
        edgecolor="none",
        borderpad=0.8,
    )


def deformed_grid(axis: Axes, ddf: np.ndarray) -> None:
    """Draw the fixed image's grid carried by x + ddf(x), ddf (2, H, W) in voxels."""
    frame(axis)
    axis.set_facecolor(DARK)
    height, width = ddf.shape[1:]
    i, j = np.mgrid[:height, :width]
    x, y = i + ddf[0], j + ddf[1]
    step = max(1, max(height, width) // GRID_LINES)
    style = {"color": "#8fd3ff", "linewidth": 0.5, "rasterized": True}
    axis.plot(x[::step].T, y[::step].T, **style)
    axis.plot(x[:, ::step], y[:, ::step], **style)
    axis.set(xlim=(-0.5, height - 0.5), ylim=(width - 0.5, -0.5))


def jacobian(axis: Axes, determinant: np.ndarray) -> None:
    """Show |J| (H, W) in log scale; folded voxels (at or below 0) are black."""
    colours = matplotlib.colormaps[JACOBIAN_MAP].with_extremes(bad=FOLDED)
    folded = determinant <= 0
    show(axis, np.ma.masked_array(np.where(folded, 1.0, determinant), folded), colours, jacobian_norm())


def jacobian_norm() -> Normalize:
    """Return the scale of |J|, the same in every figure."""
    return LogNorm(1 / JACOBIAN_RANGE, JACOBIAN_RANGE, clip=True)


def shared_norm(maps: Sequence[np.ndarray], low: float = 1, high: float = 99) -> Normalize:
    """Return one scale for several maps: their common percentiles, so that rows can be compared."""
    together = np.concatenate([each[np.isfinite(each)].ravel() for each in maps])
    start, stop = np.percentile(together, [low, high]) if len(together) else (0.0, 1.0)
    return Normalize(float(start), float(stop) if stop > start else float(start) + 1e-6)


def colour_bar(figure: Figure, axis: Axes, colours: str, norm: Normalize, label: str) -> None:
    """Draw a slim horizontal bar with its name into an axes of its own."""
    bar = figure.colorbar(matplotlib.cm.ScalarMappable(norm, colours), cax=axis, orientation="horizontal")
    bar.outline.set_visible(False)
    if isinstance(norm, LogNorm):
        bar.set_ticks([0.25, 0.5, 1, 2, 4], labels=["¼", "½", "1", "2", "4"])
        bar.minorticks_off()
    else:
        bar.ax.locator_params(nbins=4)
    bar.ax.tick_params(labelsize=7, length=2, pad=1)
    bar.set_label(label, fontsize=7.5, color=INK, labelpad=1)

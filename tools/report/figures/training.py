"""Training: losses by term, validation metrics and learning rates over the epochs, phases shaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from .style import DASHES, GREY, PALETTE, WIDTH, Look, label_panels, styled

MOST = 4  # panels a line
PHASE_ALPHA = (0.06, 0.2, 0.36)
WIDE = 20  # from this ratio of largest to smallest value on, an axis of positive curves is logarithmic


@styled
def training(epochs: np.ndarray, phases: Sequence[str], panels: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """Draw one panel per group of curves, all over the same epochs.

    Args:
        epochs: (N,).
        phases: N names; where there are several, each has its shade, named below the panels.
        panels: title -> curve name -> (N,), NaN where an epoch has no value.
    """
    names = list(dict.fromkeys(phases))
    lines = -(-len(panels) // MOST)
    columns = -(-len(panels) // lines)
    figure = Figure(figsize=(WIDTH, 2.3 * lines + (0.4 if len(names) > 1 else 0.15)), layout="constrained")
    grid = figure.add_gridspec(lines, columns)
    axes = [figure.add_subplot(grid[i // columns, i % columns]) for i in range(len(panels))]
    label_panels(axes, list(panels))
    for axis, curves in zip(axes, panels.values(), strict=True):
        _curves(axis, epochs, curves)
        if len(names) > 1:
            _shade(axis, epochs, phases, names)
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(names) > 1:
        patches = [Patch(color=GREY, alpha=_alpha(i), linewidth=0, label=name) for i, name in enumerate(names)]
        figure.legend(
            handles=patches,
            loc="outside lower center",
            ncols=len(names),
            title="phase, by what is trained",
            title_fontsize=8,
        )
    return figure


@styled
def validation(runs: Mapping[str, tuple[np.ndarray, np.ndarray]], looks: Mapping[str, Look], label: str) -> Figure:
    """Draw one validation metric of all runs: name -> (epochs, values), each (N,)."""
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    axis = figure.subplots()
    for name, (epochs, values) in runs.items():
        style = looks[name]
        axis.plot(*_without_gaps(epochs, values), color=style.colour, linestyle=style.dash, linewidth=1.5, label=name)
    axis.set_xlabel("epoch")
    axis.set_ylabel(label)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside right upper")
    return figure


def _curves(axis: Axes, epochs: np.ndarray, curves: Mapping[str, np.ndarray]) -> None:
    known = np.concatenate([values[np.isfinite(values)] for values in curves.values()])
    if known.min() > 0 and known.max() >= WIDE * known.min():
        axis.set_yscale("log")
    for i, (name, values) in enumerate(curves.items()):
        axis.plot(
            *_without_gaps(epochs, values),
            color=PALETTE[i % len(PALETTE)],
            linewidth=1.4,
            label=name,
            linestyle=DASHES[i // len(PALETTE) % len(DASHES)],
            marker="o" if np.isfinite(values).sum() < 3 else None,
            markersize=4,
        )
    if known.min() == known.max() > 0:
        axis.set_ylim(0, 2 * known.max())  # a constant needs no magnified axis
    if axis.get_yscale() == "linear":
        axis.ticklabel_format(axis="y", scilimits=(-3, 4))
    axis.legend(loc="best", fontsize=7)


def _without_gaps(epochs: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Join the known values, but not across a pause: a phase in which nothing was measured."""
    known = np.isfinite(values)
    x, y = epochs[known], values[known]
    steps = np.diff(x)
    if len(steps) < 2:
        return x, y
    pauses = np.flatnonzero(steps > 3 * np.median(steps)) + 1
    return np.insert(x, pauses, np.nan), np.insert(y, pauses, np.nan)


def _shade(axis: Axes, epochs: np.ndarray, phases: Sequence[str], names: Sequence[str]) -> None:
    """Shade each stretch of one phase."""
    edges = [0, *(i for i in range(1, len(phases)) if phases[i] != phases[i - 1]), len(phases)]
    step = float(np.median(np.diff(epochs))) if len(epochs) > 1 else 1.0
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        axis.axvspan(
            epochs[start] - step / 2,
            epochs[stop - 1] + step / 2,
            color=GREY,
            linewidth=0,
            alpha=_alpha(names.index(phases[start])),
            zorder=0,
        )


def _alpha(index: int) -> float:
    return PHASE_ALPHA[index % len(PHASE_ALPHA)]

"""How a metric spreads over the pairs, method by method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import GREY, INK, WIDTH, Look, label_panels, styled

POINT = 9  # points squared


@styled
def distribution(
    values: Mapping[str, np.ndarray], looks: Mapping[str, Look], label: str, reference: str | None = None
) -> Figure:
    """Draw a box and every pair's dot per method; beside it each pair's difference to ``reference``.

    Args:
        values: name -> (pairs,), the same pairs in the same order, NaN where not computed.
        looks: name -> look; names without one are drawn grey.
        label: the metric with its unit.
        reference: the name that the others are compared with; None leaves the second panel out.
    """
    names = list(values)
    others = [name for name in names if reference is not None and name != reference and name in looks]
    figure = Figure(figsize=(WIDTH, 0.9 + 0.42 * max(len(names), 2)), layout="constrained")
    axes = figure.subplots(1, 2 if others else 1, squeeze=False, width_ratios=[3, 2] if others else [1])[0]
    _strips(axes[0], names, [values[name] for name in names], looks)
    axes[0].set_xlabel(label)
    titles = ["Every pair"]
    if others:
        rows = [values[name] - values[reference] if name in others else np.array([np.nan]) for name in names]
        _strips(axes[1], names, rows, looks)
        axes[1].axvline(0, color=INK, linewidth=0.9)
        axes[1].set_yticklabels([])
        axes[1].set_xlabel(f"difference to {reference}")
        titles.append(f"Pair by pair, minus {reference}")
    label_panels(axes, titles)
    return figure


def _strips(axis: Axes, names: Sequence[str], rows: Sequence[np.ndarray], looks: Mapping[str, Look]) -> None:
    """Draw one strip per name, the first on top."""
    random = np.random.default_rng(0)
    for y, (name, row) in enumerate(zip(names, rows, strict=True)):
        finite = row[np.isfinite(row)]
        style = looks.get(name, Look(GREY, "-", "o"))
        if not len(finite):
            continue
        axis.scatter(
            finite,
            y + random.uniform(-0.24, 0.24, len(finite)),
            s=POINT,
            color=style.colour,
            marker=style.marker,
            alpha=0.5,
            linewidths=0,
            rasterized=True,
        )
        axis.boxplot(
            finite,
            positions=[y],
            orientation="horizontal",
            widths=0.62,
            showfliers=False,
            whis=(5, 95),
            medianprops={"color": INK, "linewidth": 1.6},
            boxprops={"color": INK, "linewidth": 0.8},
            whiskerprops={"color": INK, "linewidth": 0.8},
            capprops={"color": INK, "linewidth": 0.8},
        )
        axis.plot(
            finite.mean(), y, marker="D", markersize=4.5, color=style.colour, markeredgecolor=INK, markeredgewidth=0.8
        )
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.grid(False, axis="y")

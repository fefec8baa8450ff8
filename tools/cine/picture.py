"""The curves of a cine as a figure."""

from __future__ import annotations

import io

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tools.report.figures.style import GREY, PALETTE, SETTINGS, label_panels, styled

from .curves import Curves

BAND = 1.96  # standard deviations: 95 % of a normal distribution


def colour_of(curves: Curves, value: int) -> str:
    """The colour of a label, the same in every picture."""
    return PALETTE[curves.labels.index(value) % len(PALETTE)]


@styled
def curves_figure(curves: Curves, times: np.ndarray | None, reference: int, note: str) -> Figure:
    """Draw sizes and, if there are any, strains over time; the band is 1.96 standard deviations to each side.

    Args:
        times: (T,) ms; None counts frames.
        note: what stands below, such as how the band was made.
    """
    panels = 1 + bool(curves.strains)
    figure = Figure(figsize=(4.6 * panels + 0.4, 3.6), layout="constrained")
    plots = figure.subplots(1, panels, squeeze=False)[0]
    draw_sizes(plots[0], curves, times)
    titles = ["Volume of the labels" if curves.solid else "Area of the labels"]
    if curves.strains:
        draw_strains(plots[1], curves, times)
        titles.append(f"Strain of label {curves.wall}, mean over the wall")
    at = _along(times, len(next(iter(curves.values.values()))))
    for plot in plots:
        plot.axvline(at[reference], color=GREY, linewidth=0.8, linestyle=":", zorder=0)
        plot.legend()
    label_panels(plots, titles)
    figure.supxlabel(note, x=0.01, ha="left", fontsize=7, color=GREY)
    return figure


def draw_sizes(plot: Axes, curves: Curves, times: np.ndarray | None) -> None:
    """Draw areas (cm^2) or volumes (ml), from 0 on."""
    what, unit, scale = ("volume", "ml", 1000) if curves.solid else ("area", "cm²", 100)
    for value in curves.labels:
        _line(plot, curves, f"size_{value}", times, colour_of(curves, value), f"label {value}", 1 / scale)
    plot.set_ylabel(f"{what} ({unit})")
    plot.set_ylim(bottom=0)


def draw_strains(plot: Axes, curves: Curves, times: np.ndarray | None) -> None:
    """Draw Green-Lagrange strains in percent."""
    for name, colour in zip(curves.strains, PALETTE[3:], strict=False):
        _line(plot, curves, name, times, colour, name, 100)
    plot.axhline(0, color=GREY, linewidth=0.8)
    plot.set_ylabel("Green–Lagrange strain (%)")


def _line(
    plot: Axes, curves: Curves, name: str, times: np.ndarray | None, colour: str, label: str, scale: float
) -> None:
    values = scale * curves.values[name]
    at = _along(times, len(values))
    plot.plot(at, values, color=colour, label=label, linewidth=1.6, marker=".", markersize=4)
    if name in curves.deviations:
        wide = BAND * scale * curves.deviations[name]
        plot.fill_between(at, values - wide, values + wide, color=colour, alpha=0.2, linewidth=0)
    plot.set_xlabel("frame" if times is None else "time (ms)")


def _along(times: np.ndarray | None, count: int) -> np.ndarray:
    return np.arange(count) if times is None else times


def to_png(figure: Figure) -> bytes:
    """Return the figure as a PNG file."""
    buffer = io.BytesIO()
    with matplotlib.rc_context(SETTINGS):
        figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    return buffer.getvalue()

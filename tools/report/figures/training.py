"""Training: losses by term, validation metrics and learning rates over the epochs, phases shaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import DASHES, GREY, PALETTE, WIDTH, Look, label_panels, styled

PHASE_ALPHA = (0.0, 0.16, 0.28)


@styled
def training(epochs: np.ndarray, phases: Sequence[str], panels: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """Draw one panel per group of curves, all over the same epochs.

    Args:
        epochs: (N,).
        phases: N names; each phase is shaded in its own grey and named above the first panel.
        panels: title -> curve name -> (N,); positive curves are drawn on a logarithmic axis.
    """
    figure = Figure(figsize=(WIDTH, 2.5), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    label_panels(axes, list(panels))
    for axis, curves in zip(axes, panels.values(), strict=True):
        _shade(axis, epochs, phases)
        _curves(axis, epochs, curves)
        axis.set_xlabel("epoch")
    return figure


@styled
def validation(runs: Mapping[str, tuple[np.ndarray, np.ndarray]], looks: Mapping[str, Look], label: str) -> Figure:
    """Draw one validation metric of all runs: name -> (epochs, values), each (N,)."""
    figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
    axis = figure.subplots()
    for name, (epochs, values) in runs.items():
        known = np.isfinite(values)
        style = looks[name]
        axis.plot(epochs[known], values[known], color=style.colour, linestyle=style.dash, linewidth=1.5, label=name)
    axis.set_xlabel("epoch")
    axis.set_ylabel(label)
    axis.legend(loc="lower right")
    return figure


def _curves(axis: Axes, epochs: np.ndarray, curves: Mapping[str, np.ndarray]) -> None:
    everything = np.concatenate([values[np.isfinite(values)] for values in curves.values()])
    # a few orders of magnitude and no sign change: a logarithm shows all terms
    if len(everything) and everything.min() > 0 and everything.max() / everything.min() > 20:
        axis.set_yscale("log")
    for i, (name, values) in enumerate(curves.items()):
        known = np.isfinite(values)
        axis.plot(epochs[known], values[known], color=PALETTE[i % len(PALETTE)], linewidth=1.4,
                  linestyle=DASHES[i // len(PALETTE) % len(DASHES)], label=name,
                  marker="o" if known.sum() < 3 else None)
    axis.legend(loc="best", fontsize=7)


def _shade(axis: Axes, epochs: np.ndarray, phases: Sequence[str]) -> None:
    """Shade each stretch of equal phase; alternating phases of one epoch each are too short to name."""
    names = list(dict.fromkeys(phases))
    if len(names) < 2:
        return
    edges = [0, *(i for i in range(1, len(phases)) if phases[i] != phases[i - 1]), len(phases)]
    step = float(np.median(np.diff(epochs))) if len(epochs) > 1 else 1.0
    for start, stop in zip(edges, edges[1:], strict=False):
        alpha = PHASE_ALPHA[names.index(phases[start]) % len(PHASE_ALPHA)]
        axis.axvspan(epochs[start] - step / 2, epochs[stop - 1] + step / 2, color=GREY, alpha=alpha, linewidth=0)
        if stop - start > 0.15 * len(phases):
            axis.text((epochs[start] + epochs[stop - 1]) / 2, 1.0, phases[start], fontsize=6.5, ha="center", va="top",
                      transform=axis.get_xaxis_transform())

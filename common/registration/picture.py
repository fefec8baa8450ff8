"""A picture of a registration to look at: images, what they differ by, the motion, and where to trust it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import isfinite
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from .outcome import Registration
from .view import View, choose_view

COLUMNS, PANEL, BAR, TITLE = 4, 3.0, 0.45, 0.6  # inches, but for the first
WARPED = "#29b6f6"
FOLDED = "#000000"
GRID = "grid, p + u(p)"
VOLUME = (0.25, 4.0)  # of the Jacobian determinants shown
LINES = 28  # of the grid, along the longer side
MAPS = {
    "uncertainty_mm": ("uncertainty of u", "standard deviation along an axis, mm", "viridis"),
    "log_variance": ("log variance of intensity", "log σ², high: noisy", "viridis"),
    "score": ("score", "0 to 1, high: trusted", "cividis"),
    "label_uncertainty": ("label uncertainty", "summed over classes, high: unsure", "viridis"),
}


@dataclass(frozen=True, eq=False)
class Panel:
    """One image of the picture; without ``colours`` it is an image in grey, with it it has a colour bar."""

    title: str
    values: np.ndarray
    norm: Normalize
    colours: Any = None
    unit: str = ""


def draw(found: Registration) -> bytes:
    """Return the picture as a PNG."""
    view = choose_view(found)
    with _style():
        figure = _figure(found, view)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def _style() -> AbstractContextManager[None]:
    return matplotlib.rc_context(
        {
            "font.family": "sans-serif",
            "font.sans-serif": ["DejaVu Sans"],
            "font.size": 9,
            "axes.titlesize": 9.5,
            "axes.titleweight": "bold",
            "xtick.labelsize": 8,
            "axes.linewidth": 0.6,
        }
    )


def _figure(found: Registration, view: View) -> Figure:
    rows = [_images(found, view), _changes(found, view), _maps(found, view)]
    shape = view.of(found.fixed.array).shape
    aspect = shape[0] * view.spacing[0] / (shape[1] * view.spacing[1])
    panel = PANEL * min(max(aspect, 0.4), 1.6)
    heights = [panel + 0.35, panel + 0.35 + BAR, max(panel + 0.35 + BAR, 2.2)]
    figure = Figure(figsize=(COLUMNS * PANEL + 0.4, sum(heights) + TITLE))
    _heading(figure, found, view)
    tops = np.subtract(figure.get_figheight() - TITLE - 0.28, np.cumsum([0, *heights]))
    for panels, top in zip(rows, tops, strict=False):
        for column, each in enumerate(panels):
            _panel(figure, (column, top, panel), each, view, found)
    place = 0.4 + len(rows[-1]) * PANEL, tops[2]
    figure.text(*_share(figure, place), _summary(found.numbers), va="top", linespacing=1.7)
    return figure


def _panel(figure: Figure, place: tuple[int, float, float], panel: Panel, view: View, found: Registration) -> None:
    column, top, tall = place
    left, size = 0.26 + column * PANEL, (PANEL - 0.12, tall)
    axis = figure.add_axes((*_share(figure, (left, top - tall)), *_share(figure, size)))
    _show(axis, panel, view)
    if panel.colours is not None:
        below = _share(figure, (left + 0.25, top - tall - 0.16)), _share(figure, (PANEL - 0.62, 0.08))
        _bar(figure, axis, (*below[0], *below[1]), panel.unit)
    if panel.title == GRID:
        _grid(axis, view.moved(found), view)
    if panel.title in ("warped", "fixed") and found.warped_label is not None:
        _outline(axis, view.of(found.warped_label))


def _share(figure: Figure, inches: tuple[float, float]) -> tuple[float, float]:
    """Inches as parts of the figure."""
    width, height = figure.get_size_inches()
    return float(inches[0] / width), float(inches[1] / height)


def _images(found: Registration, view: View) -> list[Panel]:
    fixed, moving = _window(found.fixed.array, found), _window(found.unmoved, found)
    return [
        Panel("moving", view.of(found.unmoved), moving),
        Panel("fixed", view.of(found.fixed.array), fixed),
        Panel("warped", view.of(found.warped), moving),
        Panel(GRID, view.of(found.fixed.array), fixed),
    ]


def _changes(found: Registration, view: View) -> list[Panel]:
    fixed, moving = _window(found.fixed.array, found), _window(found.unmoved, found)
    images = [np.clip(moving(view.of(image)).data, 0, 1) for image in (found.unmoved, found.warped)]
    target = np.clip(fixed(view.of(found.fixed.array)).data, 0, 1)
    before, after = (np.abs(target - image) for image in images)
    errors = Normalize(0, max(float(np.percentile(before, 99.5)), 1e-6))
    length = view.of(np.linalg.norm(found.own_field.vectors, axis=-1))
    jacobian = view.of(np.where(found.inner, found.jacobian, 1.0))
    # only what folds is below the scale; at its end float32 would be drawn as below it, too
    shown = np.where(jacobian > 0, np.clip(jacobian.astype(float), VOLUME[0] * 1.001, VOLUME[1]), VOLUME[0] / 2)
    folding = matplotlib.colormaps["PuOr"].with_extremes(under=FOLDED)
    unit = "of the grey range"
    return [
        Panel("|fixed − moving|", before, errors, "inferno", unit),
        Panel("|fixed − warped|", after, errors, "inferno", unit),
        Panel("|u|", length, Normalize(0, max(float(length.max()), 1e-6)), "magma", "mm"),
        Panel("Jacobian determinant", shown, LogNorm(*VOLUME), folding, "volume; black: folds"),
    ]


def _maps(found: Registration, view: View) -> list[Panel]:
    maps, seen = found.maps, view.of(found.seen)
    panels = []
    for name, (title, unit, colours) in MAPS.items():
        if name in maps:
            values = np.where(seen, view.of(maps[name]), np.nan).astype(float)
            low, high = (0.0, 1.0) if name == "score" else np.nanpercentile(values, [0, 99.5])
            low = 0.0 if name in ("uncertainty_mm", "label_uncertainty") else low
            panels.append(Panel(title, values, Normalize(low, max(high, low + 1e-6)), colours, unit))
    return panels[: COLUMNS - 1]


def _window(image: np.ndarray, found: Registration) -> Normalize:
    """Grey from the 0.5th to the 99.5th percentile of what the network saw."""
    low, high = np.percentile(image[found.seen], [0.5, 99.5])
    return Normalize(low, high if high > low else low + 1)


def _show(axis: Axes, panel: Panel, view: View) -> None:
    axis.set(xticks=[], yticks=[])
    axis.set_facecolor("#e8ebee")
    for spine in axis.spines.values():
        spine.set_visible(False)
    aspect = view.spacing[0] / view.spacing[1]
    axis.imshow(panel.values, cmap=panel.colours or "gray", norm=panel.norm, interpolation="none", aspect=aspect)
    axis.set_title(panel.title, pad=4)
    if panel.title != "moving":
        return
    places = ((0.02, 0.5, "left", "center"), (0.98, 0.5, "right", "center"), (0.5, 0.98, "center", "top"),
              (0.5, 0.02, "center", "bottom"))  # fmt: skip
    for (x, y, ha, va), letter in zip(places, view.letters, strict=True):
        text = axis.text(x, y, letter, color="white", ha=ha, va=va, transform=axis.transAxes, fontweight="bold")
        text.set_path_effects([withStroke(linewidth=2, foreground="black")])


def _bar(figure: Figure, axis: Axes, place: tuple[float, float, float, float], unit: str) -> None:
    image = axis.images[0]
    bar = figure.colorbar(image, cax=figure.add_axes(place), orientation="horizontal")
    if isinstance(image.norm, LogNorm):
        bar.set_ticks([0.25, 0.5, 1, 2, 4], labels=["1/4", "1/2", "1", "2", "4"])
        bar.ax.minorticks_off()
    bar.outline.set_visible(False)
    bar.set_label(unit, fontsize=8, labelpad=1)


def _grid(axis: Axes, moved: np.ndarray, view: View) -> None:
    """Draw where the lines of a grid over the fixed image lie in the moving image."""
    rows, columns = np.meshgrid(*[np.arange(n) for n in moved.shape[1:]], indexing="ij")
    down, right = rows + moved[0] / view.spacing[0], columns + moved[1] / view.spacing[1]
    step = [max(1, round(max(moved.shape[1:]) / LINES * max(view.spacing) / s)) for s in view.spacing]
    for k in range(0, moved.shape[1], step[0]):
        axis.plot(right[k], down[k], color="#ffd23f", linewidth=0.6)
    for k in range(0, moved.shape[2], step[1]):
        axis.plot(right[:, k], down[:, k], color="#ffd23f", linewidth=0.6)
    axis.set(xlim=(-0.5, moved.shape[2] - 0.5), ylim=(moved.shape[1] - 0.5, -0.5))


def _outline(axis: Axes, label: np.ndarray) -> None:
    for value in np.unique(label[label > 0]):
        mask = (label == value).astype(float)
        if mask.min() < 0.5 and min(mask.shape) > 1:
            axis.contour(mask, levels=[0.5], colors=[WARPED], linewidths=1.1)


def _heading(figure: Figure, found: Registration, view: View) -> None:
    high, bundle = figure.get_figheight(), found.numbers["bundle"]
    where = "" if view.across is None else f", slice {view.index} across axis {view.across} (counted from 0)"
    label = "; blue: warped label" if found.warped_label is not None else ""
    title = f"{found.moving.path.name} → {found.fixed.path.name}{where}"
    below = f"{bundle['name']} {bundle['version']}; all on the grid of the fixed image{label}"
    figure.text(*_share(figure, (0.26, high - 0.12)), title, fontsize=11, fontweight="bold", va="top")
    figure.text(*_share(figure, (0.26, high - 0.36)), below, va="top")


def _summary(report: Mapping[str, Any]) -> str:
    before, after = report["similarity"]["before"], report["similarity"]["after"]
    lines = [
        _change("squared difference", before, after, "mean_squared_error"),
        _change("local correlation", before, after, "local_correlation"),
        _change("mutual information", before, after, "mutual_information"),
        _seen(report),
        f"|u|: mean {_text(report['displacement_mm']['mean'])}, largest {_text(report['displacement_mm']['max'])} mm",
        f"folded: {_text(report['folding_percent'])} %",
        f"u then its inverse: {_text(report['inverse_consistency_mm']['mean'])} mm off on average",
    ]
    if "uncertainty_mm" in report["maps"]:
        lines.append(f"uncertainty of u: mean {_text(report['maps']['uncertainty_mm']['mean'])} mm")
    return "\n".join([*lines, f"network: {_text(report['network']['seconds'])} s"])


def _seen(report: Mapping[str, Any]) -> str:
    """Say how much of the fixed image was registered; elsewhere nothing is known."""
    network = report["network"]
    sizes = " × ".join(str(n) for n in network["region"]["shape"])
    return f"network saw: {sizes} voxels, {_text(network['seen_percent'])} % of the fixed image"


def _change(what: str, before: Mapping[str, float], after: Mapping[str, float], key: str) -> str:
    return f"{what}: {_text(before[key])} → {_text(after[key])}"


def _text(value: float) -> str:
    return f"{value:.3g}" if isfinite(value) else "not computable"

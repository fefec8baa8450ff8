"""The figure of Dice against seconds."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from common.files import write_bytes

TITLES = {"published": "published protocol", "standard": "standard protocol"}


def draw(content: dict[str, Any], path: Path) -> None:
    """Write a panel a protocol: each bundle a line over its steps, each classical method a mark."""
    figure = Figure(figsize=(9, 4.2), dpi=120, layout="constrained")
    for axis, (protocol, title) in zip(figure.subplots(1, 2, sharey=True), TITLES.items()):
        for name, points in content["points"].items():
            x, y = [p["seconds"] for p in points], [p[protocol] for p in points]
            if "steps" not in points[0]:
                axis.plot(x, y, "D", markersize=6, color="0.35")
                axis.annotate(name, (x[0], y[0]), textcoords="offset points", xytext=(0, 8), ha="center", fontsize=8)
                continue
            (line,) = axis.plot(x, y, "o-", markersize=3, linewidth=1, label=name)
            about = {"textcoords": "offset points", "ha": "center", "fontsize": 6, "color": line.get_color()}
            for point in points:
                axis.annotate(str(point["steps"]), (point["seconds"], point[protocol]), xytext=(0, -8), **about)
        axis.set_xscale("log")
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("seconds a pair, one thread", fontsize=9)
        axis.grid(alpha=0.3)
        axis.tick_params(labelsize=8)
        axis.margins(x=0.1, y=0.15)
    first = figure.axes[0]
    first.set_ylabel(
        f"Dice of the myocardium, % ({content['dataset']} {content['split']}, {content['pairs']} pairs)", fontsize=8
    )
    handles, names = first.get_legend_handles_labels()
    told = "numbers are steps of refinement"
    figure.legend(handles, names, title=told, loc="outside lower center", ncols=4, fontsize=8, title_fontsize=8)
    drawn = BytesIO()
    figure.savefig(drawn)
    write_bytes(path, drawn.getvalue())

"""What the figures share: fonts, colours that colour-blind readers tell apart, and SVG that follows the page."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

P = ParamSpec("P")

# the page replaces these two by its own variables, so that charts follow light and dark
INK, RULE = "#1f2933", "#d3dae1"
GREY = "#7f8b97"  # readable on white and on near-black
WIDTH = 13.2  # inches: the page's column, so that its text and the figures' have the same size
FIXED, WARPED, MOVING = "#ffd23f", "#29b6f6", "#ff7ab6"  # contours, on dark images
# Okabe and Ito (2008) without black and yellow, which vanish on one of the two backgrounds
PALETTE = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9")
DASHES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (3, 3)))
MARKERS = ("o", "s", "^", "D", "v")
IMAGE_COLOURS = 128  # an example's panel has one colour map: more cannot be told apart

SETTINGS = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "figure.facecolor": "white",
    "figure.dpi": 150,
    "svg.fonttype": "path",
    "svg.hashsalt": "warpsure",
    "image.composite_image": False,
}


@dataclass(frozen=True)
class Look:
    """How one method is drawn, in every figure."""

    colour: str
    dash: str | tuple
    marker: str


def look(index: int) -> Look:
    """Return the look of the ``index``-th method: six colours, then the same with another dash and marker."""
    turn = index // len(PALETTE)
    return Look(PALETTE[index % len(PALETTE)], DASHES[turn % len(DASHES)], MARKERS[turn % len(MARKERS)])


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw under the report's settings, leaving matplotlib's own as they are."""

    @wraps(draw)
    def within(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with matplotlib.rc_context(SETTINGS):
            return draw(*args, **kwargs)

    return within


def label_panels(axes: Sequence[Axes], titles: Sequence[str]) -> None:
    """Give each panel its title, left-aligned and bold."""
    for axis, title in zip(axes, titles, strict=True):
        axis.set_title(title, loc="left", fontweight="bold")


def to_svg(figure: Figure, name: str) -> str:
    """Return the figure as an ``<svg>`` element for a page that defines --ink and --rule.

    ``name`` keeps its ids apart from those of the page's other figures.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context(SETTINGS):
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", facecolor="none", metadata=nothing, dpi=150)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].strip()
    svg = svg.replace(INK, "var(--ink)").replace(RULE, "var(--rule)")
    svg = re.sub(r'(<image\b[^>]*?) id="[^"]*"', r"\1", svg)  # equal bitmaps share theirs, and nothing refers to it
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    # hundredths of a point are enough for a path, not for the scale of a glyph
    svg = re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d{2})\d+", r"\1", path[0]), _shrink_images(svg))
    # the page's width decides, the figure's own width is its limit
    width = re.search(r'width="([\d.]+)pt"', svg)
    limit = f'style="max-width:{width[1]}pt"' if width else ""
    return re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', f'{limit} aria-hidden="true" focusable="false"', svg, count=1)


def _shrink_images(svg: str) -> str:
    """Write the embedded bitmaps with a palette: a third of their size."""
    return re.sub(r"data:image/png;base64,([A-Za-z0-9+/=\s]+)", lambda found: _with_palette(found[1]), svg)


def _with_palette(encoded: str) -> str:
    raw = base64.b64decode(encoded)
    image = Image.open(io.BytesIO(raw)).convert("RGBA")
    if image.getextrema()[3] == (255, 255):
        small = image.convert("RGB").quantize(IMAGE_COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    else:
        small = image.quantize(IMAGE_COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    out = io.BytesIO()
    small.save(out, format="png", optimize=True)
    data = min(out.getvalue(), raw, key=len)
    return "data:image/png;base64," + base64.b64encode(data).decode()

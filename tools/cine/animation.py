"""A cine that moves: each frame with what moved along from the reference frame."""

from __future__ import annotations

import io
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from PIL import Image

from common.grids import spacing_of
from common.metrics.strain import carried, reference_points
from tools.report.figures.style import GREY, PALETTE, styled

from .curves import Curves
from .motion import Motion
from .picture import colour_of, draw_sizes, draw_strains
from .reading import Cine

LINES = 6  # voxels of the reference frame between two lines of the grid
STEP = 80  # ms a frame where the file does not say
SHORTEST, LONGEST = 40, 200  # ms: slower than browsers refuse to show, faster than a film falls apart
DPI = 90
GREYS = 96  # in the palette of the animation, and as many steps of its colour map
LENGTHS = "viridis"


@dataclass(frozen=True)
class View:
    """The part of a cine that is shown: a slice, and a box in it."""

    slice: int
    box: tuple[slice, slice]


def view_of(motion: Motion, label: np.ndarray | None, chosen: int | None = None) -> View:
    """Choose the slice with the most label (the middle one without), and a box around the label or what was seen."""
    about = motion.seen if label is None else label > 0
    volume = about if about.ndim == 3 else about[..., None]
    number = chosen
    if number is None:
        number = volume.shape[2] // 2 if label is None else int(volume.sum((0, 1)).argmax())
    flat = volume.any(2)
    margin = 0 if label is None else 12
    limits = [(int(p.min()) - margin, int(p.max()) + 1 + margin) for p in np.nonzero(flat)]
    box = tuple(slice(max(0, low), min(n, high)) for (low, high), n in zip(limits, flat.shape, strict=True))
    return View(number, box)


def animation(
    cine: Cine, motion: Motion, view: View, label: np.ndarray | None = None, curves: Curves | None = None
) -> bytes:
    """Return an animated GIF: each frame with the outlines of the reference frame's labels, its grid, and the motion.

    From left to right: the outlines (at a share of one half) on the frame, a grid of the reference frame's voxels as
    it lies in this frame, and how far each point is from where it was, in mm; below, the curves up to here.
    """
    plane = _Plane(cine, motion, view, label)
    pictures = [_frame(plane, cine, frame, curves) for frame in range(len(cine.frames))]
    step = STEP if cine.times is None else float(np.clip(np.diff(cine.times).mean(), SHORTEST, LONGEST))
    palette = _palette(pictures[len(pictures) // 2])
    first, *others = [each.quantize(palette=palette, dither=Image.Dither.NONE) for each in pictures]
    buffer = io.BytesIO()
    first.save(buffer, "gif", save_all=True, append_images=others, duration=round(step / 10) * 10, loop=0)
    return buffer.getvalue()


def _palette(picture: Image.Image) -> Image.Image:
    """One palette for all frames, as with their own what stands still flickers: greys, the colour map, the rest."""
    greys = np.linspace(0, 255, GREYS).round().astype(np.uint8)[:, None].repeat(3, axis=1)
    mapped = matplotlib.colormaps[LENGTHS](np.linspace(0, 1, GREYS), bytes=True)[:, :3]
    rest = picture.quantize(256 - 2 * GREYS, method=Image.Quantize.MAXCOVERAGE).getpalette()
    palette = Image.new("P", (1, 1))
    palette.putpalette([*greys.ravel().tolist(), *mapped.ravel().tolist(), *rest])
    return palette


class _Plane:
    """One slice of everything, cut to the view."""

    def __init__(self, cine: Cine, motion: Motion, view: View, label: np.ndarray | None) -> None:
        self.cine, self.motion, self.view, self.label = cine, motion, view, label
        shown = np.stack([self.cut(frame) for frame in cine.frames])
        self.grey = Normalize(*np.percentile(shown, (0.5, 99.5)))
        self.lengths = np.stack([self.cut(np.linalg.norm(vectors, axis=-1)) for vectors in motion.vectors])
        self.widest = max(float(np.percentile(self.lengths, 99.5)), 1e-3)
        first, second = spacing_of(cine.affine)[:2]
        rows, columns = shown.shape[2], shown.shape[1]
        self.extent = (0, columns * first, rows * second, 0)
        self.aspect = rows * second / (columns * first)

    def cut(self, array: np.ndarray) -> np.ndarray:
        """(*spatial) -> the view, (i, j)."""
        return (array[..., self.view.slice] if array.ndim == 3 else array)[self.view.box]

    def image(self, axis: Axes, array: np.ndarray, **kwargs) -> None:
        axis.imshow(array.T, extent=self.extent, **kwargs)
        axis.set_axis_off()

    def lines(self, axis: Axes, array: np.ndarray, levels, colour: str, width: float) -> None:
        """Level lines of a map (i, j)."""
        left, right, bottom, top = self.extent
        across = (np.arange(array.shape[0]) + 0.5) * right / array.shape[0]
        down = (np.arange(array.shape[1]) + 0.5) * bottom / array.shape[1]
        levels = [level for level in levels if array.min() < level < array.max()]
        if levels:
            axis.contour(across, down, array.T, levels, colors=[colour], linewidths=width)


@styled
def _frame(plane: _Plane, cine: Cine, frame: int, curves: Curves | None) -> Image.Image:
    height = 2.7 * plane.aspect
    rows = 2 if curves is not None else 1
    figure = Figure(figsize=(9.0, height + 0.35 + (2.1 if rows == 2 else 0)), layout="constrained", dpi=DPI)
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(h_pad=0.08)  # a title is not cut at the upper edge
    parts = figure.subfigures(rows, 1, height_ratios=[height + 0.35, 2.1][:rows], squeeze=False)[:, 0]
    left, middle, right = parts[0].subplots(1, 3)
    points = reference_points(plane.motion.ddf(frame))
    for axis in (left, middle):
        plane.image(axis, plane.cut(cine.frames[frame]), cmap="gray", norm=plane.grey)
    if plane.label is not None:
        values = [int(v) for v in np.unique(plane.label) if v]
        for value in values:
            share = plane.cut(carried(plane.label == value, points))
            colour = colour_of(curves, value) if curves else PALETTE[values.index(value) % len(PALETTE)]
            plane.lines(left, share, [0.5], colour, 1.4)
    for axis in (0, 1):
        level = plane.cut(points[axis])
        plane.lines(middle, level, np.arange(0.5, cine.frames.shape[1 + axis], LINES), "#29b6f6", 0.7)
    scale = Normalize(0, plane.widest)
    plane.image(right, plane.lengths[frame], cmap=LENGTHS, norm=scale)
    bar = parts[0].colorbar(ScalarMappable(scale, LENGTHS), ax=right, fraction=0.05)
    bar.set_label("mm")
    now = f"frame {frame}" if cine.times is None else f"frame {frame}, {cine.times[frame]:.0f} ms"
    titles = (now, f"grid of frame {plane.motion.reference}", "moved by")
    for axis, title in zip((left, middle, right), titles, strict=True):
        axis.set_title(title, loc="left", fontweight="bold")
    if curves is not None:
        _below(parts[1], curves, cine, frame)
    figure.canvas.draw()
    return Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3].copy())


def _below(part, curves: Curves, cine: Cine, frame: int) -> None:
    plots = np.atleast_1d(part.subplots(1, 1 + bool(curves.strains)))
    draw_sizes(plots[0], curves, cine.times)
    if curves.strains:
        draw_strains(plots[1], curves, cine.times)
    for plot in plots:
        plot.axvline(frame if cine.times is None else cine.times[frame], color=GREY, linewidth=1.2)
        plot.legend()

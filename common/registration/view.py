"""One slice of the fixed image's grid, turned as a reader of images expects it."""

from __future__ import annotations

from dataclasses import dataclass

import nibabel as nib
import numpy as np

from ..forms import RAS_TO_LPS
from .grids import slice_axis_of
from .outcome import Registration

ENDS = ("RL", "AP", "IS")  # of the axes of LPS space, from their smaller to their larger coordinates
TOWARDS = (1, 1, -1)  # the way an axis of space runs in a picture: to L on the right, to P or I downwards


@dataclass(frozen=True, eq=False)
class View:
    """A slice whose arrays are shown with rows downwards.

    Attributes:
        across: the axis that the slice is cut across, None of a 2D image; index: which slice.
        turns: the axes that become rows and columns, and whether each is flipped.
        box: rows and columns shown.
        spacing: mm between rows and between columns.
        letters: of the picture's left, right, upper and lower edge; empty for a 2D image.
    """

    across: int | None
    index: int
    turns: tuple[tuple[int, bool], tuple[int, bool]]
    box: tuple[slice, slice]
    spacing: tuple[float, float]
    letters: tuple[str, str, str, str]

    def of(self, array: np.ndarray) -> np.ndarray:
        """The slice of ``array`` (*spatial): (rows, columns), what was seen of it."""
        return self._turned(array)[self.box]

    def moved(self, found: Registration) -> np.ndarray:
        """Displacement within the picture, in mm: (2, rows, columns), downwards and to the right."""
        affine = found.fixed.affine
        dims = found.field.dims
        directions = (RAS_TO_LPS @ affine)[:dims, :dims]
        directions = directions / np.linalg.norm(directions, axis=0)
        along = [found.own_field.vectors @ directions[:, axis] * (-1 if flip else 1) for axis, flip in self.turns]
        return np.stack([self.of(component) for component in along])

    def _turned(self, array: np.ndarray) -> np.ndarray:
        plane = array if self.across is None else np.take(array, self.index, axis=self.across)
        (rows, flip_rows), (columns, flip_columns) = self.turns
        plane = plane.T if rows > columns else plane
        return plane[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]


def choose_view(found: Registration) -> View:
    """The slice with most of the warped label, or else of the motion, and what was seen of it with a margin.

    A 2D image is shown as it is stored: where it was taken from the body, its file does not say.
    """
    fixed, seen = found.fixed, found.seen
    across, index, turns, letters = None, 0, ((1, False), (0, False)), ("",) * 4
    if fixed.array.ndim == 3:
        across = found.slice_axis
        across = slice_axis_of(fixed) if across is None else across
        index = _most_telling(found, across)
        turns, letters = _turns(fixed.affine, across)
    whole = View(across, index, turns, (slice(None), slice(None)), (1.0, 1.0), letters)
    (rows, _), (columns, _) = turns
    spacing = fixed.spacing[rows], fixed.spacing[columns]
    return View(across, index, turns, _box(whole.of(seen)), spacing, letters)


def _most_telling(found: Registration, across: int) -> int:
    shown = np.zeros(found.field.shape) if found.warped_label is None else found.warped_label > 0
    if not shown.any():
        shown = np.linalg.norm(found.own_field.vectors, axis=-1) * found.compared
    return int(shown.sum(tuple(axis for axis in range(3) if axis != across)).argmax())


def _turns(affine: np.ndarray, across: int) -> tuple:
    """Rows, columns and letters, from the axes of LPS space that the array's axes are nearest to."""
    nearest = nib.orientations.io_orientation(RAS_TO_LPS @ affine)
    axes = [axis for axis in range(3) if axis != across]
    columns, rows = sorted(axes, key=lambda axis: nearest[axis, 0])
    sides = []
    for axis in (rows, columns):
        space, way = int(nearest[axis, 0]), nearest[axis, 1]
        flip = way != TOWARDS[space]
        sides.append(((axis, bool(flip)), ENDS[space][:: TOWARDS[space]]))
    (down, vertical), (right, horizontal) = sides
    return (down, right), (*horizontal, *vertical)


def _box(seen: np.ndarray) -> tuple[slice, slice]:
    box = []
    for axis in (0, 1):
        inside = np.flatnonzero(seen.any(axis=1 - axis))
        low, high = (int(inside[0]), int(inside[-1]) + 1) if inside.size else (0, seen.shape[axis])
        margin = (high - low) // 10
        box.append(slice(max(low - margin, 0), high + margin))
    return box[0], box[1]

"""Images on different grids: the moving image and its label are brought onto the fixed image's, in space."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..engines.inference_cases import Case, case_of
from ..errors import InputError
from ..fields import Field
from ..grids import same_grid
from ..io import MedicalImage, stem
from ..io.pairs import NativePair
from ..physical import warp_image
from ..registration.grids import NetworkGrid
from ..registration.region import Framing
from ..registration.tasks import check_dimensions


def matched_case(pair: NativePair, framing: Framing, spatial_dims: int) -> tuple[Case, bool]:
    """Frame a pair for a network of ``spatial_dims``; tell too whether images were resampled for it.

    On one grid nothing is. On several, the moving image (linearly) and its label (to the nearest voxel) are resampled
    onto the fixed image's grid, whose last axis is the one across the slices of a stack. The network is shown what
    `register` shows it there; 0 is where the moving image is not known. The field is that of space, a point of the
    fixed image to its point of the moving one, but the warped image is then interpolated twice, which blurs it a
    little: ``python -m tools.register`` samples it once.

    Raises:
        InputError: images that do not overlap, or that the network cannot take; see also `case_of`.
    """
    name, fixed, others = stem(pair.moving.path), pair.fixed, (pair.moving, pair.moving_label)
    if all(on_grid_of(fixed, other) for other in others if other is not None):
        return case_of(pair, framing, spatial_dims, name), False
    check_dimensions(pair.moving, fixed, pair.moving_label)
    stack = spatial_dims == 2 and fixed.array.ndim == 3
    grid = NetworkGrid.over(fixed, spatial_dims, slice_axis=2 if stack else None)
    shown, covered = _brought(pair.moving, grid, order=1)
    label = None if pair.moving_label is None else _brought(pair.moving_label, grid, order=0)[0]
    case = case_of(NativePair(shown, fixed, label), framing, spatial_dims, name, covered)
    return replace(case, moving=_resampled(pair.moving, fixed)), True


def on_grid_of(fixed: MedicalImage, other: MedicalImage) -> bool:
    """Tell whether two images have one shape and lie at one place."""
    return fixed.array.shape == other.array.shape and same_grid(other.affine, fixed.affine)


def _brought(image: MedicalImage, grid: NetworkGrid, order: int) -> tuple[MedicalImage, np.ndarray]:
    """``image`` on the fixed image's grid, and where it is known there."""
    array, covered = grid.bring(image, order)
    if not covered.any():
        raise InputError(f"{image.path} and {grid.fixed.path} do not overlap in space; check their headers.")
    return MedicalImage(array, grid.fixed.affine, image.path), covered


def _resampled(image: MedicalImage, fixed: MedicalImage) -> np.ndarray:
    """The intensities of ``image`` on the grid of ``fixed``, 0 outside of it."""
    if on_grid_of(fixed, image):
        return image.array
    still = np.zeros((*fixed.array.shape, fixed.array.ndim), np.float32)
    return warp_image(image.array, image.affine, Field(still, fixed.affine))

"""The grid on which a network sees the fixed image, what other images look like on it, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import nibabel as nib
import numpy as np

from ..errors import InputError
from ..fields import Transform
from ..grids import resample, resampled_shape, same_grid, spacing_of
from ..io.images import MedicalImage
from ..outliers import without_outliers
from ..regridding import filled, on_grid
from .region import Region

IDENTITY = nib.orientations.axcodes2ornt("RAS")


@dataclass(frozen=True, eq=False)
class NetworkGrid:
    """A grid over a fixed image: its axes turned to those of the network, then resampled about its centre.

    Attributes:
        fixed: the image that it lies over.
        turn: nibabel's orientation that leads from the stored to the turned axes.
        turned: shape and (4, 4) affine of the turned image, whose voxels are the native ones.
        shape, affine: of the resampled grid.
        spatial_dims: of the network; with 2 the last turned axis of a stack runs across its slices.
    """

    fixed: MedicalImage
    turn: np.ndarray
    turned: tuple[tuple[int, ...], np.ndarray]
    shape: tuple[int, ...]
    affine: np.ndarray
    spatial_dims: int

    @classmethod
    def over(
        cls,
        fixed: MedicalImage,
        spatial_dims: int,
        spacing: Sequence[float] | None = None,
        axes: str = "stored",
        slice_axis: int | None = None,
    ) -> NetworkGrid:
        """Lay the grid over ``fixed``.

        Args:
            spacing: of the resampled voxels, mm, for the first axes; None keeps the image's own.
            axes: "stored" or "RAS".
            slice_axis: of a volume that a 2D network registers; None is `slice_axis_of`.

        Raises:
            InputError: an image that the network cannot take, or a slice axis that it does not have.
        """
        turn = _turn(fixed, spatial_dims, axes, slice_axis)
        affine = fixed.affine @ nib.orientations.inv_ornt_aff(turn, (*fixed.array.shape, 1)[:3])
        shape = tuple(nib.orientations.apply_orientation(fixed.array, turn[: fixed.array.ndim]).shape)
        new, placed = shape, affine
        if spacing is not None:
            sizes = resampled_shape(shape[:spatial_dims], spacing_of(affine)[:spatial_dims], spacing)
            if min(sizes) < 2:
                raise InputError(f"{fixed.path}: at {list(spacing)} mm only {list(sizes)} voxels are left; give less.")
            # one voxel of each column is enough to learn the affine
            placed = resample(np.broadcast_to(np.float32(0), shape), affine, spacing, order=0)[1]
            new = (*sizes, *shape[spatial_dims:])
        return cls(fixed, turn, (shape, affine), new, placed, spatial_dims)

    @property
    def spacing(self) -> tuple[float, ...]:
        """Voxel size in mm along each axis."""
        return spacing_of(self.affine)[: len(self.shape)]

    @property
    def slice_axis(self) -> int | None:
        """The stored axis across the slices that a 2D network registers one by one; None elsewhere."""
        stack = self.spatial_dims == 2 and len(self.shape) == 3
        return int(np.argmax(self.turn[:, 0] == 2)) if stack else None

    @property
    def fixed_shape(self) -> tuple[int, ...]:
        """Of the fixed image as stored, along the axes that the network registers."""
        return tuple(n for axis, n in enumerate(self.fixed.array.shape) if axis != self.slice_axis)

    def of_fixed(self, voxel: Sequence[float]) -> tuple[float, ...]:
        """Where a voxel of the fixed image lies in this grid, both along the axes that the network registers."""
        stored = [axis for axis in range(self.fixed.array.ndim) if axis != self.slice_axis]
        place = np.array([0.0, 0, 0, 1])
        place[stored] = voxel
        found = np.linalg.inv(self.affine) @ self.fixed.affine @ place
        return tuple(float(found[axis]) for axis in range(self.spatial_dims))

    def bring(
        self, image: MedicalImage, order: int = 1, initial: Transform | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return ``image`` on this grid and, bool, where it is seen there; elsewhere it has its smallest value.

        An image on the fixed image's own grid is turned and resampled voxel by voxel, any other is matched in space.

        Args:
            order: 1 for images, averaged where voxels grow and without their outliers; 0 for labels, which are 0 where
                they are not seen.
            initial: where points of the fixed image lie in ``image``, as far as that is known before.
        """
        shape = self.fixed.array.shape
        if initial is None and image.array.shape == shape and same_grid(image.affine, self.fixed.affine, shape):
            return self.bring_same(image, order), np.ones(self.shape, bool)
        array = without_outliers(image.array) if order else image.array
        values, seen = on_grid(array, image.affine, self.shape, self.affine, order, initial)
        return (filled(values, seen, self.spatial_dims) if order else values), seen

    def bring_same(self, image: MedicalImage, order: int = 1) -> np.ndarray:
        """Return an image on the fixed image's own grid, turned and resampled to this one, as `bring` does."""
        array = without_outliers(image.array) if order else image.array
        turned = np.ascontiguousarray(nib.orientations.apply_orientation(array, self.turn[: array.ndim]))
        if self.shape == turned.shape and same_grid(self.affine, self.turned[1]):
            return turned
        return resample(turned, self.turned[1], self.spacing[: self.spatial_dims], order)[0]

    def in_turned(self, region: Region) -> Region:
        """``region`` of this grid's voxels as one of the turned native voxels."""
        axes = range(len(region.shape))
        step = [self.spacing[a] / spacing_of(self.turned[1])[a] for a in axes]
        first = [(self.turned[0][a] - 1) / 2 - (self.shape[a] - 1) / 2 * step[a] for a in axes]
        return Region(
            tuple(f + r * s for f, r, s in zip(first, region.first, step, strict=True)),
            tuple(r * s for r, s in zip(region.step, step, strict=True)),
            region.shape,
        )

    def back(self, array: np.ndarray) -> np.ndarray:
        """Turn an array (*turned shape, ...) back to the fixed image's stored axes."""
        turn = self.turn[: len(self.turned[0])]
        inverse = nib.orientations.ornt_transform(IDENTITY[: len(turn)], turn)
        return np.ascontiguousarray(nib.orientations.apply_orientation(array, inverse))


def slice_axis_of(image: MedicalImage) -> int:
    """The axis across the slices of a volume: a lone slice's, else the one of the largest spacing, else the last."""
    if 1 in image.array.shape:
        return max(axis for axis, n in enumerate(image.array.shape) if n == 1)
    largest = max(image.spacing)
    return max(axis for axis, step in enumerate(image.spacing) if step > 0.99 * largest)


def _turn(fixed: MedicalImage, spatial_dims: int, axes: str, slice_axis: int | None) -> np.ndarray:
    shape = list(fixed.array.shape)
    if spatial_dims == 3:
        if len(shape) == 2 or min(shape) < 2:
            raise InputError(f"{fixed.path}: shape {shape} is no volume; use a bundle for 2D images.")
        return nib.orientations.io_orientation(fixed.affine) if axes == "RAS" else IDENTITY
    if len(shape) == 2:
        if slice_axis is not None:
            raise InputError(f"{fixed.path}: a 2D image has no slice axis; leave out --slice-axis.")
        return IDENTITY
    across = slice_axis_of(fixed) if slice_axis is None else slice_axis
    if across not in (0, 1, 2):
        raise InputError(f"slice axis is {across!r}; give 0, 1 or 2.")
    order = [axis for axis in range(3) if axis != across] + [across]
    if min(shape[axis] for axis in order[:2]) < 2:
        raise InputError(f"{fixed.path}: shape {shape} has no slices across axis {across}; give another --slice-axis.")
    return np.array([[order.index(axis), 1.0] for axis in range(3)])

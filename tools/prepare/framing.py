"""From a pair of native volumes to the files and entries of a prepared pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from common import grids as geometry
from common.data.prepared import IMAGE_KEYS, LABEL_KEYS
from common.io.images import MedicalImage
from common.nifti import save_image
from common.outliers import told_outliers, without_outliers
from common.regridding import filled, on_grid

from .cases import Result
from .volumes import BrokenInput, read_image, read_label, shape_and_affine


@dataclass(frozen=True)
class Frame:
    """Images and labels on one grid, with what is needed to find the way back to the native one.

    Attributes:
        arrays: key (``moving``, ``fixed``, ``moving_label``, ...) to an (X, Y, Z) array.
        affine: (4, 4) of the present grid.
        native_shape: shape as read; resampled_shape: after resampling, None without.
        start: the present grid's first voxel in the (resampled) volume.
        inside: True where the grid lies in the image, None for everywhere.
        remarks: what is to be said of the files.
        shifts: how slices were brought in line, as `native` tells it; empty where they were not.
    """

    arrays: dict[str, np.ndarray]
    affine: np.ndarray
    native_shape: tuple[int, ...]
    resampled_shape: tuple[int, ...] | None = None
    start: tuple[int, ...] = (0, 0, 0)
    inside: np.ndarray | None = None
    remarks: tuple[str, ...] = ()
    shifts: dict[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the present grid."""
        return next(iter(self.arrays.values())).shape

    def resampled(self, spacing: Sequence[float] | None) -> Frame:
        """Resample to ``spacing`` (mm), images linearly and labels to the nearest; None changes nothing."""
        if spacing is None:
            return self
        done = {k: geometry.resample(a, self.affine, spacing, _order(k)) for k, a in self.arrays.items()}
        arrays = {key: array for key, (array, _) in done.items()}
        affine = next(iter(done.values()))[1]
        return replace(self, arrays=arrays, affine=affine, resampled_shape=next(iter(arrays.values())).shape)

    def resized(self, size: Sequence[int]) -> Frame:
        """Stretch the first ``len(size)`` axes to ``size`` voxels over the same extent."""
        arrays = {key: geometry.resize(array, size, _order(key)) for key, array in self.arrays.items()}
        affine = geometry.resize_affine(self.affine, self.shape[: len(size)], size)
        return replace(self, arrays=arrays, affine=affine, resampled_shape=next(iter(arrays.values())).shape)

    def cropped(self, start: Sequence[int], size: Sequence[int]) -> Frame:
        """Keep the box at ``start``, zero where it leaves the image."""
        return replace(
            self,
            arrays={key: geometry.crop_or_pad(array, start, size) for key, array in self.arrays.items()},
            affine=geometry.crop_affine(self.affine, start),
            inside=geometry.crop_or_pad(np.ones(self.shape, bool), start, size),
            start=tuple(int(s) for s in start),
        )

    def normalised(self, spatial_dims: int, percentiles: tuple[float, float]) -> Frame:
        """Scale each image, a slice with ``spatial_dims`` 2 and the volume with 3, to [0, 1]."""
        inside = np.ones(self.shape, bool) if self.inside is None else self.inside
        arrays = dict(self.arrays)
        for key in set(arrays) - set(LABEL_KEYS):
            arrays[key] = _normalise(arrays[key], inside, spatial_dims, percentiles)
        return replace(self, arrays=arrays)

    def native(self) -> dict[str, Any]:
        """Describe the way back: the prepared voxel ``p`` is voxel ``p + crop_start`` of the (resampled) image.

        Before that, slice k across ``slice_axis`` was sampled ``slice_shifts_mm[k]`` further along the other two axes.
        """
        entry = {"crop_start": list(self.start), "native_shape": list(self.native_shape), **self.shifts}
        return entry if self.resampled_shape is None else {**entry, "resampled_shape": list(self.resampled_shape)}


def read_frame(files: dict[str, str], spatial_dims: int, fill: float | None = None) -> Frame:
    """Read the files of a pair (keys as in a prepared pair) onto the fixed image's grid; labels are optional.

    What lies on another grid is matched in space, by the resampler of a registration.

    Args:
        spatial_dims: with 2 what the moving image does not reach is filled slice by slice.
        fill: the value of what it does not reach; None is the smallest value that it has.

    Raises:
        BrokenInput: naming the file that cannot be read, or lies elsewhere in space.
    """
    sides = dict(zip(IMAGE_KEYS, LABEL_KEYS, strict=True))
    images, remarks = settled({key: read_image(files[key]) for key in sides})
    labels = {own: read_label(files[own], images[key]) for key, own in sides.items() if files.get(own)}
    fixed = images["fixed"]
    arrays = {key: _brought(image, fixed, spatial_dims, fill) for key, image in images.items()}
    for key, (label, _) in labels.items():
        arrays[key] = label.array if _alike(label, fixed) else _on_grid(label, fixed, order=0)[0]
    remarks += [remark for _, remark in labels.values() if remark]
    return Frame(arrays, fixed.affine, fixed.array.shape, remarks=tuple(remarks))


def settled(images: dict[str, MedicalImage]) -> tuple[dict[str, MedicalImage], list[str]]:
    """Return images without their outliers, which would be all that is left of them in [0, 1], and a remark on each."""
    remarks = [f"{image.path}: {told}" for image in images.values() if (told := told_outliers(image.array))]
    return {key: replace(image, array=without_outliers(image.array)) for key, image in images.items()}, remarks


def read_frame_of_one_grid(files: dict[str, str], spatial_dims: int) -> Frame:
    """Read two frames of one acquisition by `read_frame`, which have to have one shape.

    Raises:
        BrokenInput: as `read_frame`, or naming the image that has another one.
    """
    shapes = [shape_and_affine(files[key])[0] for key in IMAGE_KEYS]
    if shapes[0] != shapes[1]:
        raise BrokenInput(
            f"{files['fixed']}: shape {shapes[1]}, but {Path(files['moving']).name} is {shapes[0]}; "
            "repair it or pass --skip-broken"
        )
    return read_frame(files, spatial_dims)


def _brought(image: MedicalImage, fixed: MedicalImage, dims: int, fill: float | None) -> np.ndarray:
    if _alike(image, fixed):
        return image.array
    values, seen = _on_grid(image, fixed, order=1)
    if not seen.any():
        raise BrokenInput(
            f"{image.path}: lies in space where {fixed.path.name} does not; "
            "align their headers first or pass --skip-broken"
        )
    return filled(values, seen, dims, fill)


def _alike(image: MedicalImage, fixed: MedicalImage) -> bool:
    shape = fixed.array.shape
    return image.array.shape == shape and geometry.same_grid(image.affine, fixed.affine, shape)


def _on_grid(image: MedicalImage, fixed: MedicalImage, order: int) -> tuple[np.ndarray, np.ndarray]:
    return on_grid(image.array, image.affine, fixed.array.shape, fixed.affine, order)


def write_frame(
    frame: Frame, output: Path, name: str, entry: dict[str, Any], spatial_dims: int
) -> list[dict[str, Any]]:
    """Write the files of a normalised frame and return its pairs: one a slice, or the volume.

    Args:
        name: what the files are called after, and the pair's id (with the slice behind it in a stack).
        entry: what every pair of it says besides: ``subject``, ``group``, ``native``.
    """
    files = {}
    for key, array in frame.arrays.items():
        folder, role = ("labels", key.removesuffix("_label")) if key in LABEL_KEYS else ("images", key)
        files[key] = f"{folder}/{name}_{role}.nii.gz"
        save_image(output / files[key], array, frame.affine)
    if spatial_dims == 3:
        return [{"id": name, **files, **entry}]
    depth = frame.shape[2]
    ids = [name] if depth == 1 else [f"{name}_slice{k:02d}" for k in range(depth)]
    return [{"id": pair_id, **files, "slice": k, **entry} for k, pair_id in enumerate(ids)]


def result_of(frame: Frame, pairs: list[dict[str, Any]]) -> Result:
    """Return a case's result: its pairs, which labels (without 0) each map holds, and what is to be said of it."""
    maps = {key: frame.arrays[key] for key in LABEL_KEYS if key in frame.arrays}
    values = {key: [int(v) for v in np.unique(array) if v] for key, array in maps.items()}
    return {"pairs": pairs, "label_values": values, "remarks": list(frame.remarks)}


def _order(key: str) -> int:
    return 0 if key in LABEL_KEYS else 1


def _normalise(
    array: np.ndarray, inside: np.ndarray, spatial_dims: int, percentiles: tuple[float, float]
) -> np.ndarray:
    if spatial_dims == 3:
        return geometry.min_max(array, percentiles, inside)
    slices = [geometry.min_max(array[..., k], percentiles, inside[..., k]) for k in range(array.shape[2])]
    return np.stack(slices, axis=-1)

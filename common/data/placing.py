"""Bring a volume of any orientation, spacing and size onto the grid of a prepared data set, and results back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np

from .. import grids as geometry
from ..errors import InputError

NEEDED = ("size", "spacing", "percentiles", "channel")


class Volume(NamedTuple):
    """An (X, Y, Z) array and its (4, 4) affine, voxel index to RAS+ millimetres."""

    array: np.ndarray
    affine: np.ndarray


class Placed(NamedTuple):
    """A volume on a prepared grid.

    Attributes:
        array: (*size); affine: (4, 4) of that grid.
        inside: (*size) bool, whether a voxel is of the volume rather than padding.
        where: "crop_start", and "resampled_shape" if the volume was resampled, as ``native`` of a pair has them.
    """

    array: np.ndarray
    affine: np.ndarray
    inside: np.ndarray
    where: dict[str, list[int]]


def check_preparation(preparation: Mapping[str, Any], dataset_dir: str | Path) -> None:
    """Raise InputError unless a data set says how a new image is prepared like its own."""
    if missing := [key for key in NEEDED if key not in preparation]:
        raise InputError(
            f"{Path(dataset_dir) / 'dataset.json'}: its preparation has no {', '.join(missing)}, so a new image cannot "
            "be made like its own; prepare it again with `warpsure prepare msd`."
        )


def canonical(volume: Volume) -> Volume:
    """Return the volume with axes flipped and exchanged so that they run right, anterior, superior."""
    orientation = nib.orientations.io_orientation(volume.affine)
    array = nib.orientations.apply_orientation(volume.array, orientation)
    change = nib.orientations.inv_ornt_aff(orientation, volume.array.shape)
    return Volume(np.ascontiguousarray(array), volume.affine @ change)


def from_canonical(array: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Turn the axes of an array back from those of `canonical` to those of the original ``affine``."""
    orientation = nib.orientations.io_orientation(affine)
    ras = nib.orientations.axcodes2ornt("RAS")
    return np.ascontiguousarray(
        nib.orientations.apply_orientation(array, nib.orientations.ornt_transform(ras, orientation))
    )


def place(volume: Volume, size: Sequence[int], spacing: Sequence[float] | None, order: int = 1) -> Placed:
    """Resample a canonical volume to ``spacing`` (mm; None: as it is), and crop or pad it to ``size`` at its centre.

    Args:
        order: 1 for images, 0 for labels.
    """
    array, affine = volume
    where: dict[str, list[int]] = {}
    if spacing:
        array, affine = geometry.resample(array, affine, spacing, order)
        where["resampled_shape"] = list(array.shape)
    start = geometry.centre_start(array.shape, size)
    where["crop_start"] = list(start)
    inside = geometry.crop_or_pad(np.ones(array.shape, bool), start, size)
    return Placed(geometry.crop_or_pad(array, start, size), geometry.crop_affine(affine, start), inside, where)


def prepare(volume: Volume, preparation: Mapping[str, Any]) -> Placed:
    """Bring a file's image onto a prepared grid, in [0, 1], as ``warpsure prepare msd`` does."""
    placed = place(canonical(volume), preparation["size"], preparation["spacing"])
    low, high = preparation["percentiles"]
    return placed._replace(array=geometry.min_max(placed.array, (low, high), placed.inside))

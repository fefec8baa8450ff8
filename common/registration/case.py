"""The images of one registration: files of a user, or a pair of a prepared data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data.prepared import Dataset, load_arrays, source_file
from ..errors import InputError
from ..fields import Chain, Field
from ..grids import crop_affine, same_grid, spacing_of
from ..io.images import MedicalImage, read_affine, read_image, read_label, stem
from ..io.points import Points
from ..physical import warp_image
from .region import Region

NATIVE_KEYS = {"moving", "fixed", "crop_start", "native_shape"}


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a network is shown of images that were prepared before.

    Attributes:
        image: (S, 2, *region.shape), moving and fixed in [0, 1]; S slices of a stack, 1 in 3D.
        label: (S, 1, *region.shape), of the moving image, or absent.
        region: where they lie in the fixed image's voxels.
    """

    image: Tensor
    label: Tensor | None
    region: Region


@dataclass(frozen=True, eq=False)
class Case:
    """One registration to be made.

    Attributes:
        moving, fixed: on any grids, which are matched in space.
        label: of the moving image, on any grid, to be carried along.
        fixed_label: of the fixed image, on any grid, to be compared with the moving label.
        points: of the moving image, to be carried along.
        name: what files are called after; folder: below the output folder.
        frames: which images of 4D files moving and fixed are, for the report.
        prepared: what the network is shown, where that is not for `Framing` to choose.
        fill: what is written outside of the moving image; None is its `background`.
        initial: the motion from the fixed to the moving image that is known before, behind which the network's comes.
        initial_path: the file that it is of.
    """

    moving: MedicalImage
    fixed: MedicalImage
    label: MedicalImage | None = None
    points: Points | None = None
    name: str = ""
    folder: str = ""
    frames: tuple[int | None, int | None] = (None, None)
    prepared: Prepared | None = None
    fill: float | None = None
    fixed_label: MedicalImage | None = None
    initial: Chain | None = None
    initial_path: Path | None = None

    def __post_init__(self) -> None:
        for other in (self.fixed, self.label, self.fixed_label):
            if other is not None and other.array.ndim != self.moving.array.ndim:
                raise InputError(
                    f"{self.moving.path} is {self.moving.array.ndim}D but {other.path} is {other.array.ndim}D; "
                    "give images of one kind, a 2D image as a stack of one slice."
                )
        if self.initial is not None and self.initial.dims != self.fixed.array.ndim:
            named = self.initial_path or "the initial transform"
            dims = f"{self.initial.dims}D, but {self.fixed.path} is {self.fixed.array.ndim}D"
            raise InputError(f"{named}: {dims}; give a transform of its space.")
        if self.fixed_label is not None and self.label is None:
            raise InputError(f"{self.fixed_label.path}: nothing to compare it with; give the moving image's label.")
        for label, image, whose in ((self.label, self.moving, "moving"), (self.fixed_label, self.fixed, "fixed")):
            if label is not None and not _has_labels_in(label, image):
                where = f"no label of it lies in {image.path}"
                raise InputError(f"{label.path}: {where}; give the {whose} image's own label map.")
        object.__setattr__(self, "name", check_name(self.name or stem(self.moving.path)))

    @property
    def files(self) -> list[Path]:
        """What was read, as far as it is of files."""
        every = (self.moving, self.fixed, self.label, self.fixed_label, self.points)
        read = [each.path for each in every if each is not None]
        return read if self.initial_path is None else [*read, self.initial_path]


def check_name(name: str) -> str:
    """Return ``name``; raise InputError if files cannot be called after it."""
    if Path(name).name != name or name.startswith("."):
        raise InputError(f"name is {name!r}; give a file's name without folders.")
    return name


def _has_labels_in(label: MedicalImage, image: MedicalImage) -> bool:
    """Whether a label map, unless it is empty, has something where the image is."""
    if not label.array.any() or (label.array.shape == image.array.shape and same_grid(label.affine, image.affine)):
        return True
    still = Field(np.zeros((*image.array.shape, image.array.ndim), np.float32), image.affine)
    return bool(warp_image(label.array, label.affine, still, order=0).any())


def to_batch(array: np.ndarray, spatial_dims: int) -> Tensor:
    """Turn an image or stack into (S, 1, i, j), a volume into (1, 1, i, j, k)."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.movedim(2, 0)[:, None] if spatial_dims == 2 and array.ndim == 3 else tensor[None, None]


def case_of_pair(dataset: Dataset, pair: dict[str, Any], source: str | Path | None = None) -> Case:
    """Read a pair of a prepared data set.

    Args:
        source: the folder that the data set was prepared from, for results on the grids of its files; without it they
            are on the prepared grid.

    Raises:
        InputError: files that cannot be read, or a pair that does not say which files it was made of.
    """
    arrays, dims = load_arrays(dataset, pair, ("moving", "fixed", "moving_label")), dataset.spatial_dims
    shape, affine = arrays["fixed"].shape, read_affine(dataset.root / pair["fixed"])
    batches = {key: to_batch(array, dims).float() for key, array in arrays.items()}
    if dims == 2:
        affine = crop_affine(affine, (0, 0, int(pair["slice"])))
        arrays = {key: array[..., None] for key, array in arrays.items()}
    images = {key: MedicalImage(array, affine, dataset.root / pair[key]) for key, array in arrays.items()}
    region = Region.box([0] * dims, shape)
    if source:
        images = _native_images(dataset, pair, Path(source))
        region = native_region(pair["native"], shape, affine, images["fixed"].affine, dims)
    prepared = Prepared(torch.cat([batches["moving"], batches["fixed"]], dim=1), batches.get("moving_label"), region)
    return Case(images["moving"], images["fixed"], images.get("moving_label"), None, pair["id"], pair["id"],
                prepared=prepared)  # fmt: skip


def _native_images(dataset: Dataset, pair: dict[str, Any], root: Path) -> dict[str, MedicalImage]:
    native = pair.get("native") or {}
    if not set(native) >= NATIVE_KEYS:
        missing = ", ".join(sorted(NATIVE_KEYS - set(native)))
        raise InputError(f"{dataset.root}: native of pair {pair['id']} has no {missing}; leave out --source.")
    if "slice_shifts_mm" in native:
        shifts = "was prepared with --align-slices, and its field is not one of the files as they are"
        raise InputError(f"{dataset.root}: pair {pair['id']} {shifts}; leave out --source.")
    images = {key: read_image(source_file(dataset, root, native[key])) for key in ("moving", "fixed")}
    if native.get("moving_label"):
        images["moving_label"] = read_label(source_file(dataset, root, native["moving_label"]))
    if dataset.spatial_dims == 3 or images["fixed"].array.ndim == 2:
        return images
    k = int(pair["slice"]) + int(native["crop_start"][2])
    return {key: _slice(image, k) for key, image in images.items()}


def _slice(image: MedicalImage, k: int) -> MedicalImage:
    return MedicalImage(image.array[..., k : k + 1], crop_affine(image.affine, (0, 0, k)), image.path)


def native_region(
    native: dict[str, Any], shape: Sequence[int], affine: np.ndarray, native_affine: np.ndarray, dims: int
) -> Region:
    """Return where a prepared grid of ``shape`` and ``affine`` lies in its native image.

    ``native`` is that of the prepared pair: the image was resampled about its centre to ``resampled_shape`` (if there
    is one), then cropped at ``crop_start``.
    """
    start = [int(s) for s in native["crop_start"][:dims]]
    if "resampled_shape" not in native:
        return Region.box(start, shape)
    step = [new / old for new, old in zip(spacing_of(affine), spacing_of(native_affine), strict=True)][:dims]
    sizes = zip(native["native_shape"], native["resampled_shape"], start, step, strict=False)
    first = [(old - 1) / 2 + (s - (new - 1) / 2) * t for old, new, s, t in sizes]
    return Region(tuple(first), tuple(step), tuple(shape))

"""The images of a segmentation run, each with its atlas: a user's file, or a split of a prepared data set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..data import atlas, placing, prepared
from ..errors import InputError
from ..grids import spacing_of
from ..io import read_affine, read_image, stem
from ..registration.region import Region
from .inference_cases import native_region


@dataclass(frozen=True, eq=False)
class ImageToSegment:
    """One image on the prepared grid with its atlas, and the native grid that its segmentation goes to.

    Attributes:
        name: what the files are called after.
        image: (1, 3, *region.shape), the atlas and the image in [0, 1], and the atlas's label map.
        affine: (4, 4) of the native grid.
        shape: of the native grid, axes to RAS; region: where ``image`` lies in it.
        atlas: the subject that was taken as atlas; nlcc: how much it is like the image, 0 to 1.
    """

    name: str
    image: Tensor
    affine: np.ndarray
    shape: tuple[int, ...]
    region: Region
    atlas: str
    nlcc: float

    def network_input(self, network: nn.Module) -> Tensor:
        """What ``network`` takes."""
        return self.image


class ImagesToSegment:
    """The images of a run; iterating gives ``{"image": (1, 3, *spatial), "case": ImageToSegment}``.

    Give ``image`` and ``atlas_dir``, or ``dataset_dir`` and ``split``. An image of a file is brought to the atlases'
    grid as ``tools.prepare msd`` brought them: axes to RAS, resampled if they were, cropped or padded, normalised.

    Args:
        image: a volume of any orientation, spacing and size.
        atlas_dir: a prepared data set of pairs of two subjects; None is ``dataset_dir``.
        dataset_dir, split: a prepared data set whose images are segmented, in place of ``image``.
        source: the folder that it was prepared from, to segment the files themselves on their own grids; without it
            results are on the prepared grid.
        atlas_split: the split whose labelled images are the atlases; never one of the image's own subject.
        window: of the likeness, see `common.data.atlas`.
        num_classes: of the network; None does not compare it with the atlases' labels.
        name: what the files of ``image`` are called after; None is its own name.

    Raises:
        InputError: neither an image nor a data set, no atlases, or files that cannot be used.
    """

    spatial_dims = 3

    def __init__(
        self,
        image: str | Path | None = None,
        atlas_dir: str | Path | None = None,
        dataset_dir: str | Path | None = None,
        split: str = "test",
        source: str | Path | None = None,
        atlas_split: str = "train",
        window: int = 5,
        num_classes: int | None = None,
        name: str | None = None,
    ) -> None:
        if bool(image) == bool(dataset_dir) or not (atlas_dir or dataset_dir):
            raise InputError(
                f"image is {str(image or 'null')!r}, atlas_dir is {str(atlas_dir or 'null')!r} and dataset_dir is "
                f"{str(dataset_dir or 'null')!r}; give --image and --atlas_dir, or --dataset_dir and --split."
            )
        self.image, self.source, self.name = image, source, name
        self.atlas_set = prepared.read(str(atlas_dir or dataset_dir))
        check_labels(self.atlas_set, num_classes)
        if image or source:
            placing.check_preparation(self.atlas_set.preparation, self.atlas_set.root)
        if dataset_dir:
            self.dataset = prepared.read(dataset_dir)
            self.sides = [side for side in atlas.sides_of(self.dataset, split) if side["is_fixed"]]
        self.candidates, self.atlases = atlas.load_atlases(self.atlas_set, atlas_split, window)

    def __len__(self) -> int:
        return 1 if self.image else len(self.sides)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if self.image:
            case = self._of_file(Path(self.image), self.name or stem(self.image))
        else:
            case = self._of_side(self.sides[index])
        return {"image": case.image, "case": case}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[index] for index in range(len(self)))

    def _of_file(self, path: Path, name: str, subject: str | None = None) -> ImageToSegment:
        preparation = self.atlas_set.preparation
        image = read_image(path, preparation["channel"])
        if image.array.ndim != 3 or min(image.array.shape) < 2:
            raise InputError(f"{path}: shape {list(image.array.shape)} is no volume; atlases are volumes.")
        native = placing.Volume(image.array, image.affine)
        placed = placing.prepare(native, preparation)
        if not placed.array.any():
            raise InputError(f"{path}: constant in the middle {preparation['size']} voxels; check the file.")
        self._compare_spacing(path, placed.affine)
        turned = placing.canonical(native)
        where = {**placed.where, "native_shape": turned.array.shape}
        region = native_region(where, placed.array.shape, placed.affine, turned.affine, 3)
        grid = image.affine, turned.array.shape, region
        return self._case(name, _tensor(placed.array), _tensor(placed.inside), grid, subject)

    def _of_side(self, side: atlas.Side) -> ImageToSegment:
        name = stem(side["image"])
        if self.source:
            return self._of_file(self._native(side), name, side["subject"])
        image, mask = atlas.load_side(self.dataset, side)
        shape = tuple(image.shape[2:])
        grid = read_affine(self.dataset.root / side["image"]), shape, Region.box([0] * 3, shape)
        return self._case(name, image, mask, grid, side["subject"])

    def _case(self, name: str, image: Tensor, mask: Tensor | None, grid: tuple, subject: str | None) -> ImageToSegment:
        allowed = [subject is None or candidate["subject"] != subject for candidate in self.candidates]
        index, nlcc = atlas.best_atlas(image, mask, self.atlases, allowed)
        taken = self.candidates[index]
        pair = {"id": taken["subject"], "moving_label": taken["label"]}
        label = prepared.load_arrays(self.atlas_set, pair, ("moving_label",))["moving_label"]
        three = torch.cat([self.atlases.images[index : index + 1], image, _tensor(label)], dim=1)
        return ImageToSegment(name, three, *grid, taken["subject"], nlcc)

    def _native(self, side: atlas.Side) -> Path:
        if "native" not in side:
            path = self.dataset.root / "dataset.json"
            raise InputError(f"{path}: does not say which file {side['image']} was made of; leave out --source.")
        return Path(str(self.source)) / side["native"]["path"]

    def _compare_spacing(self, path: Path, affine: np.ndarray) -> None:
        """Say so if voxels differ in size from the atlases', whose set was not resampled."""
        theirs = spacing_of(read_affine(self.atlas_set.root / self.candidates[0]["image"]))
        if not np.allclose(spacing_of(affine), theirs, rtol=0.1):
            ours, theirs = ("x".join(f"{s:.3g}" for s in spacing) for spacing in (spacing_of(affine), theirs))
            print(f"warning: {path}: voxels of {ours} mm, but the atlases' are {theirs} mm and nothing is resampled; "
                  "prepare the data set with --spacing.")  # fmt: skip


def check_labels(dataset: prepared.Dataset, num_classes: int | None) -> None:
    """Raise InputError if the data set has labels that a network of ``num_classes`` has no class for."""
    if num_classes is not None and max(dataset.labels, default=0) >= num_classes:
        raise InputError(
            f"{dataset.root / 'dataset.json'}: labels up to {max(dataset.labels)}, but the network's num_classes is "
            f"{num_classes}; choose a network trained on these labels."
        )


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))[None, None]

"""A split of a prepared data set, held in memory where it fits and read as it goes where it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import PersistentDataset
from monai.transforms import Transform
from torch import Tensor

from ..errors import InputError
from ..io import read_affine
from . import prepared
from .pairing import ROLES, pairs_of

Side = tuple[dict[str, Any], int]  # a pair, and which of its images: 0 moving, 1 fixed


class PreparedPairs:
    """The pairs of one split, as tensors: images (1, *spatial) float32 in [0, 1], labels and masks uint8.

    An image that several pairs share is loaded once.

    Args:
        dataset_dir: a prepared data set (``warpsure prepare``).
        split: "train", "val" or "test".
        memory_gb: a split above this size is read from disk as it is needed, through MONAI's
            PersistentDataset, instead of being held in memory.
        cache_dir: where that keeps its decoded images; None stands for ``dataset_dir``/cache.
        labels: whether to load labels where the pairs have them.
        pairing, share, seed: which pairs of the split, see `pairing.pairs_of`.
        num_classes: classes of the labels that a network knows, background included; the labels must be there then.

    Attributes:
        stacked: role ("image", "label", "mask") -> all images (K, 1, *spatial), if in memory and of one size.
        sides: (P, 2), which images the pairs are made of.

    Raises:
        InputError: no such data set or split, or a file of it that cannot be used.
    """

    def __init__(
        self,
        dataset_dir: str | Path,
        split: str = "train",
        memory_gb: float = 4.0,
        cache_dir: str | Path | None = None,
        labels: bool = True,
        pairing: str | None = "listed",
        share: float = 1.0,
        seed: int = 0,
        num_classes: int | None = None,
    ) -> None:
        self.dataset = prepared.read(dataset_dir)
        self.pairs = pairs_of(self.dataset, split, pairing, share, seed)
        self.spatial_dims, self.split = self.dataset.spatial_dims, split
        self.roles = self._roles(labels)
        images, self.sides = self._images()
        if num_classes is not None and "label" not in self.roles:
            raise InputError(f"{self.dataset.root}: split {split!r} has pairs without labels; this network needs them.")
        load = LoadImage(self.dataset, self.roles, num_classes)
        first = load(load.request(images[0]))
        size_gb = len(images) * sum(t.numel() * t.element_size() for t in first.values()) / 2**30
        self.stacked: dict[str, Tensor] | None = None
        self._items: Any
        if size_gb > memory_gb:
            self._items = self._on_disk(load, images, Path(cache_dir or Path(dataset_dir) / "cache"))
            return
        self._items = [load(load.request(image)) for image in images]
        if len({item["image"].shape for item in self._items}) == 1:
            self.stacked = {role: torch.stack([item[role] for item in self._items]) for role in self.roles}
            self._items = [{k: v[i] for k, v in self.stacked.items()} for i in range(len(images))]
        if num_classes is not None and split == "train":
            self._refuse_unseen(num_classes)

    @property
    def spacing(self) -> tuple[float, ...]:
        """Edges of a voxel of the first pair's fixed image, mm."""
        affine = read_affine(self.dataset.root / self.pairs[0]["fixed"])
        return tuple(np.linalg.norm(affine[:3, : self.spatial_dims], axis=0).tolist())

    def _refuse_unseen(self, num_classes: int) -> None:
        """A class that no label of the training has could not be learned."""
        highest = max(int(item["label"].max()) for item in self._items)
        if highest < num_classes - 1:
            raise InputError(
                f"{self.dataset.root}: num_classes is {num_classes}, but no training label is above {highest}; "
                f"set num_classes to {highest + 1}."
            )

    def _roles(self, labels: bool) -> tuple[str, ...]:
        wanted = [role for role in ROLES if role != "label" or labels]
        return tuple(role for role in wanted if all(pair.get(key) for pair in self.pairs for key in ROLES[role]))

    def _images(self) -> tuple[list[Side], Tensor]:
        """The images, each where it is met first, and which of them each pair is made of."""
        numbers: dict[tuple, int] = {}
        images: list[Side] = []
        sides = []
        for pair in self.pairs:
            for side in (0, 1):
                files = (*(pair[ROLES[role][side]] for role in self.roles), pair.get("slice"))
                if files not in numbers:
                    numbers[files] = len(images)
                    images.append((pair, side))
                sides.append(numbers[files])
        return images, torch.tensor(sides).view(-1, 2)

    def _on_disk(self, load: LoadImage, images: list[Side], cache_dir: Path) -> PersistentDataset:
        try:
            return PersistentDataset([load.request(image) for image in images], load, cache_dir)
        except (OSError, ValueError) as error:
            raise InputError(f"{cache_dir}: cannot hold decoded pairs ({error}); choose another cache_dir.") from error

    @property
    def in_memory(self) -> bool:
        """Whether every pair is held in memory."""
        return isinstance(self._items, list)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        moving, fixed = (self._image(number) for number in self.sides[index].tolist())
        if moving["image"].shape != fixed["image"].shape:
            pair, shapes = self.pairs[index], [tuple(side["image"].shape[1:]) for side in (moving, fixed)]
            raise InputError(
                f"{self.dataset.root}: pair {pair['id']}: moving is {shapes[0]} but fixed is {shapes[1]}; "
                "prepare the data set again"
            )
        return {key: side[role] for role in self.roles for key, side in zip(ROLES[role], (moving, fixed))}

    def _image(self, number: int) -> dict[str, Tensor]:
        try:
            return self._items[number]
        except RuntimeError as error:  # as MONAI wraps whatever a transform raises
            if isinstance(error.__cause__, InputError):
                raise error.__cause__ from None
            raise

    def files(self, indices: list[int]) -> str:
        """The pairs of a batch as a person finds them: their ids and moving files."""
        return ", ".join(f"{self.pairs[i]['id']} ({self.pairs[i]['moving']})" for i in indices)


class LoadImage(Transform):
    """Read one image's tensors; a MONAI transform, because PersistentDataset stores what only such return.

    Args:
        dataset: that the image is of.
        roles: what to read of it: "image", "label", "mask".
        num_classes: label values must be below it; None allows any.
    """

    def __init__(self, dataset: prepared.Dataset, roles: tuple[str, ...], num_classes: int | None = None) -> None:
        self.dataset, self.roles, self.num_classes = dataset, roles, num_classes

    def request(self, image: Side) -> dict[str, Any]:
        """All that the result depends on: a change in any of it is another entry of the cache."""
        pair, side = image
        keys = [ROLES[role][side] for role in self.roles]
        paths = [self.dataset.root / pair[key] for key in keys]
        files = [(str(path.resolve()), *version(path)) for path in paths]
        about = {key: pair[key] for key in ("id", "slice", *keys) if key in pair}
        return {"pair": about, "keys": keys, "files": files, "spatial_dims": self.dataset.spatial_dims}

    def __call__(self, request: dict[str, Any]) -> dict[str, Tensor]:
        arrays = prepared.load_arrays(self.dataset, request["pair"], request["keys"])
        for role, key in zip(self.roles, request["keys"]):
            if role == "label":
                check_label(arrays[key], self.num_classes, self.dataset.root / request["pair"][key])
        return {
            role: torch.from_numpy(np.ascontiguousarray(arrays[key]))[None]
            for role, key in zip(self.roles, request["keys"])
        }


def check_label(label: np.ndarray, num_classes: int | None, path: Path) -> None:
    """Refuse a label map with a class that a network does not know.

    Raises:
        InputError: naming file and value.
    """
    if num_classes is not None and (highest := int(label.max())) >= num_classes:
        raise InputError(
            f"{path}: label value {highest}, but num_classes is {num_classes} (0 to {num_classes - 1}); "
            f"set num_classes to {highest + 1}, or renumber the labels."
        )


def version(path: Path) -> tuple[int, int]:
    """What changes when the file does: its time of modification and its size."""
    try:
        found = path.stat()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); prepare the data set again") from error
    return found.st_mtime_ns, found.st_size

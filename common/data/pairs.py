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
from . import prepared

KEYS = ("moving", "fixed", "moving_label", "fixed_label")


class PreparedPairs:
    """The pairs of one split, as tensors: images (1, *spatial) float32 in [0, 1], labels uint8.

    Args:
        dataset_dir: a prepared data set (``python -m tools.prepare``).
        split: "train", "val" or "test".
        memory_gb: a split above this size is read from disk as it is needed, through MONAI's
            PersistentDataset, instead of being held in memory.
        cache_dir: where that keeps its decoded pairs; None stands for ``dataset_dir``/cache.
        labels: whether to load labels where the pairs have them.

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
    ) -> None:
        self.dataset = prepared.read(dataset_dir)
        self.pairs = self.dataset.pairs(split)
        self.spatial_dims, self.split = self.dataset.spatial_dims, split
        self.keys = KEYS if labels and all(p.get(k) for p in self.pairs for k in KEYS[2:]) else KEYS[:2]
        load = LoadPair(self.dataset, self.keys)
        first = load({"pair": self.pairs[0]})
        size_gb = len(self.pairs) * sum(t.numel() * t.element_size() for t in first.values()) / 2**30
        self.stacked: dict[str, Tensor] | None = None
        self._items: Any
        if size_gb > memory_gb:
            self._items = self._on_disk(load, Path(cache_dir or Path(dataset_dir) / "cache"))
        else:
            self._items = [load({"pair": pair}) for pair in self.pairs]
            if len({item["moving"].shape for item in self._items}) == 1:
                self.stacked = {k: torch.stack([item[k] for item in self._items]) for k in self.keys}
                self._items = [{k: v[i] for k, v in self.stacked.items()} for i in range(len(self.pairs))]

    def _on_disk(self, load: LoadPair, cache_dir: Path) -> PersistentDataset:
        requests = [load.request(pair) for pair in self.pairs]
        try:
            return PersistentDataset(requests, load, cache_dir)
        except (OSError, ValueError) as error:
            raise InputError(f"{cache_dir}: cannot hold decoded pairs ({error}); choose another cache_dir.") from error

    @property
    def in_memory(self) -> bool:
        """Whether every pair is held in memory."""
        return isinstance(self._items, list)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        try:
            return self._items[index]
        except RuntimeError as error:  # as MONAI wraps whatever a transform raises
            if isinstance(error.__cause__, InputError):
                raise error.__cause__ from None
            raise

    def files(self, indices: list[int]) -> str:
        """The pairs of a batch as a person finds them: their ids and moving files."""
        return ", ".join(f"{self.pairs[i]['id']} ({self.pairs[i]['moving']})" for i in indices)


class LoadPair(Transform):
    """Read one pair's tensors; a MONAI transform, because PersistentDataset stores what only such return.

    Args:
        dataset: that the pairs are of.
        keys: what to read.
    """

    def __init__(self, dataset: prepared.Dataset, keys: tuple[str, ...]) -> None:
        self.dataset, self.keys = dataset, keys

    def request(self, pair: dict[str, Any]) -> dict[str, Any]:
        """All that the result depends on: a change in any of it is another entry of the cache."""
        paths = [self.dataset.root / pair[key] for key in self.keys]
        files = [(str(path.resolve()), *version(path)) for path in paths]
        return {"pair": pair, "keys": self.keys, "files": files, "spatial_dims": self.dataset.spatial_dims}

    def __call__(self, request: dict[str, Any]) -> dict[str, Tensor]:
        arrays = prepared.load_arrays(self.dataset, request["pair"], self.keys)
        return {key: torch.from_numpy(np.ascontiguousarray(array))[None] for key, array in arrays.items()}


def version(path: Path) -> tuple[int, int]:
    """What changes when the file does: its time of modification and its size."""
    try:
        found = path.stat()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); prepare the data set again") from error
    return found.st_mtime_ns, found.st_size

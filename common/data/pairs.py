"""A split of a prepared data set, held in memory where it fits and read as it goes where it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import PersistentDataset
from torch import Tensor

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
        first = self._load(self.pairs[0])
        size_gb = len(self.pairs) * sum(t.numel() * t.element_size() for t in first.values()) / 2**30
        self.stacked: dict[str, Tensor] | None = None
        self._items: Any
        if size_gb > memory_gb:
            self._items = PersistentDataset(self.pairs, self._load, cache_dir or Path(dataset_dir) / "cache")
        else:
            self._items = [self._load(pair) for pair in self.pairs]
            if len({item["moving"].shape for item in self._items}) == 1:
                self.stacked = {k: torch.stack([item[k] for item in self._items]) for k in self.keys}
                self._items = [{k: v[i] for k, v in self.stacked.items()} for i in range(len(self.pairs))]

    def _load(self, pair: dict[str, Any]) -> dict[str, Tensor]:
        arrays = prepared.load_arrays(self.dataset, pair, self.keys)
        return {key: torch.from_numpy(np.ascontiguousarray(array))[None] for key, array in arrays.items()}

    @property
    def in_memory(self) -> bool:
        """Whether every pair is held in memory."""
        return isinstance(self._items, list)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self._items[index]

    def files(self, indices: list[int]) -> str:
        """The pairs of a batch as a person finds them: their ids and moving files."""
        return ", ".join(f"{self.pairs[i]['id']} ({self.pairs[i]['moving']})" for i in indices)

"""Batches of pairs: the same order for the same seed, however the pairs are stored."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from ..errors import InputError
from ..parallel import rank, world_size
from .pairing import ROLES
from .pairs import PreparedPairs

Batch = dict[str, Tensor | list[int] | int]


class PairLoader:
    """Iterate over batches {moving, fixed, labels and masks where there are, index, count} on ``device``.

    The order depends on ``seed`` and the epoch alone, so a resumed run goes on where it was. Pairs held in
    memory are moved to the device once and a batch is an indexing; others come from worker processes. Of
    several processes each takes its share of every batch (``count`` says how many pairs are really its
    own: one without a share repeats a pair and counts 0).

    Args:
        dataset: the pairs.
        batch_size: pairs a batch, over all processes.
        shuffle: a new order each epoch.
        seed: of the order.
        device: where batches go.
        num_workers: processes that read, for pairs not held in memory.
        pairs_per_epoch: at most so many, others in each epoch if shuffled; None takes as many as are listed.

    Raises:
        InputError: if ``batch_size`` or ``pairs_per_epoch`` is below 1, or pairs of different sizes would have to be
            stacked.
    """

    def __init__(
        self,
        dataset: PreparedPairs,
        batch_size: int = 1,
        shuffle: bool = False,
        seed: int = 0,
        device: str | torch.device = "cpu",
        num_workers: int = 2,
        pairs_per_epoch: int | None = None,
    ) -> None:
        if batch_size is None or batch_size < 1:
            raise InputError(f"batch_size is {batch_size}: it must be at least 1.")
        if pairs_per_epoch is not None and pairs_per_epoch < 1:
            raise InputError(f"pairs_per_epoch is {pairs_per_epoch}: it must be null or at least 1.")
        if batch_size > 1 and dataset.in_memory and dataset.stacked is None:
            raise different_sizes(dataset, batch_size)
        self.dataset, self.batch_size, self.shuffle = dataset, batch_size, shuffle
        self.seed, self.device, self.num_workers, self.epoch = seed, torch.device(device), num_workers, 1
        wanted = pairs_per_epoch or len(dataset.dataset.pairs(dataset.split))
        self.pairs_per_epoch = min(wanted, len(dataset))
        stacked = dataset.stacked
        self._resident = None if stacked is None else {k: v.to(self.device) for k, v in stacked.items()}
        self._sides = dataset.sides.to(self.device)

    def __len__(self) -> int:
        return -(-self.pairs_per_epoch // self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of ``epoch`` (from 1)."""
        self.epoch = epoch

    def batches(self) -> list[list[int]]:
        """The indices of every batch of this epoch, over all processes."""
        order = torch.arange(len(self.dataset))
        if self.shuffle:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
            order = torch.randperm(len(self.dataset), generator=generator)
        return [batch.tolist() for batch in order[: self.pairs_per_epoch].split(self.batch_size)]

    def __iter__(self) -> Iterator[Batch]:
        batches = self.batches()
        shares = [batch[rank() :: world_size()] for batch in batches]
        wanted = [share or batch[:1] for share, batch in zip(shares, batches)]
        for tensors, indices, share, batch in zip(self._tensors(wanted), wanted, shares, batches):
            yield {**tensors, "index": indices, "count": len(share), "total": len(batch)}

    def _tensors(self, batches: list[list[int]]) -> Iterator[dict[str, Tensor]]:
        if self._resident is not None:
            for batch in batches:
                sides = self._sides[torch.tensor(batch, device=self.device)].unbind(1)
                yield {
                    key: images[rows]
                    for role, images in self._resident.items()
                    for key, rows in zip(ROLES[role], sides, strict=True)
                }
            return
        workers = 0 if self.dataset.in_memory else self.num_workers
        loader = DataLoader(
            Stacked(self.dataset, batches),
            batch_size=None,
            num_workers=workers,
            pin_memory=self.device.type == "cuda",
            generator=torch.Generator(),  # else every epoch would draw from the global random state
        )
        for tensors in loader:
            if isinstance(tensors, InputError):
                raise tensors
            yield {key: tensor.to(self.device, non_blocking=True) for key, tensor in tensors.items()}


class Stacked(Dataset):
    """Whole batches as items.

    Args:
        dataset: the pairs.
        batches: the indices of each.
    """

    def __init__(self, dataset: PreparedPairs, batches: list[list[int]]) -> None:
        self.dataset, self.indices = dataset, batches

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, number: int) -> dict[str, Tensor] | InputError:
        """A batch's tensors, or what is wrong with it: raised in a worker it would arrive as a traceback."""
        try:
            items = [self.dataset[index] for index in self.indices[number]]
            if len({item["moving"].shape for item in items}) > 1:
                raise different_sizes(self.dataset, len(items))
            return default_collate(items)
        except InputError as error:
            return error


def different_sizes(dataset: PreparedPairs, batch_size: int) -> InputError:
    """The error of pairs that cannot be stacked."""
    return InputError(f"{dataset.dataset.root}: its pairs differ in size: set batch_size to 1, not {batch_size}.")

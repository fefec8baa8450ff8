"""common.data.PairLoader: one order for one seed, from memory and from disk, by one process and by several."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from common.data import PairLoader, PreparedPairs, loader, prepared
from common.errors import InputError
from common.nifti import save_image

COUNT = 7


def write_pairs(root: Path, sizes: list[tuple[int, int]]) -> Path:
    """A prepared data set whose pair n holds the value n / 10 throughout, and labels n."""
    pairs = []
    for number, size in enumerate(sizes):
        files = {key: f"{key}/{number}.nii.gz" for key in ("moving", "fixed", "moving_label", "fixed_label")}
        for key, name in files.items():
            value = np.uint8(number) if "label" in key else np.float32(number / 10)
            save_image(root / name, np.full((*size, 1), value), np.eye(4))
        pairs.append({"id": f"pair{number}", "subject": f"{number}", "slice": 0, **files})
    prepared.write(prepared.Dataset(root, "toy", 2, {1: "one"}, (1,), splits={"train": pairs}))
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs"), [(6, 5)] * COUNT)


def order(batches: PairLoader, epoch: int = 1) -> list[list[int]]:
    batches.set_epoch(epoch)
    return [batch["index"] for batch in batches]


def test_the_same_seed_gives_the_same_order_and_epochs_differ(folder: Path) -> None:
    pairs = PreparedPairs(folder)
    first, second = (PairLoader(pairs, 2, shuffle=True, seed=3) for _ in range(2))
    orders = [order(first, epoch) for epoch in range(1, 5)]
    assert [order(second, epoch) for epoch in (4, 3, 2, 1)] == orders[::-1]
    assert all(one != two for one, two in zip(orders, orders[1:]))
    assert order(PairLoader(pairs, 2, shuffle=True, seed=4)) != orders[0]
    for found in orders:
        assert sorted(sum(found, [])) == list(range(COUNT))


def test_the_order_does_not_touch_the_global_random_state(folder: Path) -> None:
    for memory_gb in (4.0, 0.0):
        batches = PairLoader(PreparedPairs(folder, memory_gb=memory_gb), 2, shuffle=True, num_workers=0)
        before = torch.get_rng_state()
        order(batches)
        assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("batch_size", "lengths"), [(1, [1] * 7), (3, [3, 3, 1]), (7, [7]), (10, [7])])
def test_the_last_batch_is_what_is_left(folder: Path, batch_size: int, lengths: list[int]) -> None:
    batches = PairLoader(PreparedPairs(folder), batch_size)
    found = list(batches)
    assert len(batches) == len(found)
    assert [len(batch["index"]) for batch in found] == lengths
    assert [batch["moving"].shape[0] for batch in found] == lengths
    assert [(batch["count"], batch["total"]) for batch in found] == [(n, n) for n in lengths]


def test_without_shuffling_pairs_come_as_listed(folder: Path) -> None:
    assert sum(order(PairLoader(PreparedPairs(folder), 3), epoch=5), []) == list(range(COUNT))


@pytest.mark.parametrize("workers", [0, 2])
def test_disk_and_memory_give_equal_batches(folder: Path, tmp_path: Path, workers: int) -> None:
    disk = PreparedPairs(folder, memory_gb=0, cache_dir=tmp_path)
    there = PairLoader(disk, 3, shuffle=True, seed=1, num_workers=workers)
    here = PairLoader(PreparedPairs(folder), 3, shuffle=True, seed=1)
    for one, two in zip(there, here, strict=True):
        assert one.keys() == two.keys()
        assert one["index"] == two["index"]
        assert all(torch.equal(one[key], two[key]) for key in ("moving", "fixed", "moving_label", "fixed_label"))


def test_batches_hold_the_pairs_that_they_name(folder: Path) -> None:
    for batch in PairLoader(PreparedPairs(folder), 3, shuffle=True):
        assert batch["moving_label"][:, 0, 0, 0].tolist() == batch["index"]
        assert torch.allclose(batch["fixed"][:, 0, 0, 0], torch.tensor(batch["index"]) / 10)
        assert batch["moving"].shape[1:] == (1, 6, 5)


@pytest.mark.parametrize("processes", [2, 3, 4])
@pytest.mark.parametrize("batch_size", [3, 4])
def test_processes_share_every_batch(
    folder: Path, monkeypatch: pytest.MonkeyPatch, processes: int, batch_size: int
) -> None:
    pairs = PreparedPairs(folder)
    alone = PairLoader(pairs, batch_size, shuffle=True).batches()
    shares = []
    for number in range(processes):
        monkeypatch.setattr(loader, "rank", lambda number=number: number)
        monkeypatch.setattr(loader, "world_size", lambda: processes)
        shares.append(list(PairLoader(pairs, batch_size, shuffle=True)))
    assert {len(share) for share in shares} == {len(alone)}
    for whole, *parts in zip(alone, *shares):
        own = [index for part in parts for index in part["index"][: part["count"]]]
        assert sorted(own) == sorted(whole)
        assert all(part["total"] == len(whole) for part in parts)
        assert all(part["moving"].shape[0] >= 1 for part in parts)  # one without a share still takes part


@pytest.mark.parametrize("memory_gb", [4.0, 0.0])
@pytest.mark.parametrize("workers", [0, 1])
def test_pairs_of_different_sizes_need_batches_of_one(tmp_path: Path, memory_gb: float, workers: int) -> None:
    pairs = PreparedPairs(write_pairs(tmp_path, [(6, 5), (6, 4), (6, 5)]), memory_gb=memory_gb)
    with pytest.raises(InputError, match=r"its pairs differ in size: set batch_size to 1, not 2\.$"):
        list(PairLoader(pairs, 2, num_workers=workers))
    sizes = [tuple(batch["fixed"].shape) for batch in PairLoader(pairs, 1, num_workers=workers)]
    assert sizes == [(1, 1, 6, 5), (1, 1, 6, 4), (1, 1, 6, 5)]


def test_a_file_that_breaks_later_ends_in_one_line(tmp_path: Path) -> None:
    pairs = PreparedPairs(write_pairs(tmp_path, [(6, 5)] * 3), memory_gb=0)
    (tmp_path / "fixed/1.nii.gz").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"^\S*fixed/1.nii.gz: cannot be read") as error:
        list(PairLoader(pairs, 1, num_workers=1))
    assert "Traceback" not in str(error.value)


@pytest.mark.parametrize("batch_size", [0, -2])
def test_a_batch_size_below_one_is_refused(folder: Path, batch_size: int) -> None:
    with pytest.raises(InputError, match=f"batch_size is {batch_size}: it must be at least 1"):
        PairLoader(PreparedPairs(folder), batch_size)

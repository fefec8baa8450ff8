"""common.data.PreparedPairs: the same tensors from memory and from disk, and never those of another file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from common.data import PreparedPairs, prepared
from common.errors import InputError
from common.nifti import save_image


def write_pairs(root: Path, sizes: list[tuple[int, ...]], labels: bool = True, seed: int = 0) -> Path:
    """A prepared data set with a training pair of each size, of 2D images where a size has two axes."""
    random, pairs = np.random.default_rng(seed), []
    for number, size in enumerate(sizes):
        shape, files = (*size, 1) if len(size) == 2 else size, {}
        for role in ("moving", "fixed"):
            files[role] = f"images/{number}_{role}.nii.gz"
            save_image(root / files[role], random.random(shape, dtype=np.float32), np.eye(4))
            if labels:
                files[f"{role}_label"] = f"labels/{number}_{role}.nii.gz"
                label = random.integers(0, 3, shape).astype(np.uint8)
                save_image(root / files[f"{role}_label"], label, np.eye(4))
        pairs.append({"id": f"pair{number}", "subject": f"{number}", "slice": 0, **files})
    prepared.write(prepared.Dataset(root, "toy", len(sizes[0]), {1: "one"}, (1,), splits={"train": pairs}))
    return root


def equal(first: PreparedPairs, second: PreparedPairs) -> bool:
    both = list(zip(first, second))
    return all(one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one) for one, two in both)


@pytest.mark.parametrize("size", [(8, 6), (6, 5, 4)])
def test_tensors_are_as_documented(tmp_path: Path, size: tuple[int, ...]) -> None:
    pairs = PreparedPairs(write_pairs(tmp_path, [size] * 3))
    assert len(pairs) == 3
    assert pairs.in_memory
    assert pairs.stacked["image"].shape == (6, 1, *size)
    kinds = {"moving": torch.float32, "fixed": torch.float32, "moving_label": torch.uint8, "fixed_label": torch.uint8}
    assert {key: tensor.dtype for key, tensor in pairs[1].items()} == kinds
    assert all(tensor.shape == (1, *size) for tensor in pairs[1].values())
    stored = prepared.read_image(tmp_path / "images/1_fixed.nii.gz")[0].reshape(size)
    assert np.array_equal(pairs[1]["fixed"][0], stored)


@pytest.mark.parametrize("size", [(8, 6), (6, 5, 4)])
def test_memory_and_disk_hold_the_same(tmp_path: Path, size: tuple[int, ...]) -> None:
    folder = write_pairs(tmp_path, [size] * 3)
    memory, disk = PreparedPairs(folder), PreparedPairs(folder, memory_gb=0)
    assert not disk.in_memory
    assert equal(memory, disk)
    assert equal(memory, disk)  # now from the cache


def test_decoded_pairs_are_read_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, cache = write_pairs(tmp_path / "set", [(8, 6)] * 2), tmp_path / "cache"
    before = [dict(item) for item in PreparedPairs(folder, memory_gb=0, cache_dir=cache)]
    assert len(list(cache.glob("*.pt"))) == 4
    again = PreparedPairs(folder, memory_gb=0, cache_dir=cache)
    monkeypatch.setattr(prepared, "load_arrays", None)  # any decoding would fail
    assert all(torch.equal(again[i][key], before[i][key]) for i in range(2) for key in before[i])


@pytest.mark.parametrize("size", [(8, 6), (6, 5, 4)])
def test_the_cache_is_not_stale_when_files_change(tmp_path: Path, size: tuple[int, ...]) -> None:
    cache, folder = tmp_path / "cache", write_pairs(tmp_path / "set", [size] * 2)
    old = [dict(item) for item in PreparedPairs(folder, memory_gb=0, cache_dir=cache)]
    write_pairs(folder, [size] * 2, seed=1)  # the same names and pairs, other images
    for file in folder.rglob("*.nii.gz"):
        os.utime(file, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns + 1))
    new = PreparedPairs(folder, memory_gb=0, cache_dir=cache)
    assert equal(PreparedPairs(folder), new)
    assert not torch.equal(old[0]["moving"], new[0]["moving"])


def test_one_cache_serves_several_data_sets_and_keys(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    folders = [write_pairs(tmp_path / name, [(8, 6)], seed=seed) for seed, name in enumerate("ab")]
    for folder in folders:
        for labels in (True, False):
            disk = PreparedPairs(folder, memory_gb=0, cache_dir=cache, labels=labels)
            assert equal(PreparedPairs(folder, labels=labels), disk)


def test_pairs_without_labels_load_without(tmp_path: Path) -> None:
    folder = write_pairs(tmp_path, [(8, 6)] * 2, labels=False)
    assert set(PreparedPairs(folder)[0]) == set(PreparedPairs(folder, memory_gb=0)[0]) == {"moving", "fixed"}


def test_pairs_of_different_sizes_are_kept_apart(tmp_path: Path) -> None:
    pairs = PreparedPairs(write_pairs(tmp_path, [(8, 6), (7, 6)]))
    assert pairs.stacked is None
    assert [tuple(item["moving"].shape) for item in pairs] == [(1, 8, 6), (1, 7, 6)]


def test_files_are_named_as_a_person_finds_them(tmp_path: Path) -> None:
    pairs = PreparedPairs(write_pairs(tmp_path, [(8, 6)] * 3))
    assert pairs.files([2, 0]) == "pair2 (images/2_moving.nii.gz), pair0 (images/0_moving.nii.gz)"


@pytest.mark.parametrize("memory_gb", [4.0, 0.0])
def test_a_missing_file_is_named(tmp_path: Path, memory_gb: float) -> None:
    folder = write_pairs(tmp_path, [(8, 6)] * 2)
    (folder / "images/1_fixed.nii.gz").unlink()
    with pytest.raises(InputError, match="1_fixed.nii.gz"):
        PreparedPairs(folder, memory_gb=memory_gb)


def test_a_cache_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    folder = write_pairs(tmp_path / "set", [(8, 6)])
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/cache: cannot hold decoded pairs"):
        PreparedPairs(folder, memory_gb=0, cache_dir=tmp_path / "file" / "cache")


def test_an_unknown_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no pairs in split 'test'"):
        PreparedPairs(write_pairs(tmp_path, [(8, 6)]), split="test")

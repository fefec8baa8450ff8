"""common.data.pairing: which pairs a split gives, of how many subjects, and images that are loaded once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from common.data import PairLoader, PreparedPairs, prepared
from common.data.pairing import pairs_of
from common.errors import InputError
from common.nifti import save_image

LISTED = [("a", "b"), ("b", "c"), ("d", "a")]


def between_subjects(root: Path, listed: list[tuple[str, str]] = LISTED, missing: str = "") -> Path:
    """A set of pairs (moving, fixed) of volumes whose value is the subject's number, with labels and masks."""
    names = sorted({name for pair in listed for name in pair})
    for number, name in enumerate(names):
        image = np.full((6, 5, 4), number / 10, np.float32)
        image[0, 0, 0] = 1
        for role, array in (("image", image), ("label", np.full_like(image, 1, np.uint8)), ("mask", image < 0.9)):
            if role != missing:
                save_image(root / f"{role}s/{name}.nii.gz", array, np.eye(4))
    pairs = []
    for moving, fixed in listed:
        pair = {"id": f"{moving}_to_{fixed}", "subject": fixed, "moving_subject": moving, "slice": 0}
        for key, name in (("moving", moving), ("fixed", fixed)):
            files = {key: f"images/{name}.nii.gz", f"{key}_label": f"labels/{name}.nii.gz"}
            files[f"{key}_mask"] = f"masks/{name}.nii.gz"
            pair |= {k: v for k, v in files.items() if not (missing and v.startswith(missing))}
        pairs.append(pair)
    prepared.write(prepared.Dataset(root, "toy", 3, {1: "one"}, (1,), splits={"train": pairs, "val": pairs}))
    return root


def ids(root: Path, **settings: object) -> list[str]:
    return [pair["id"] for pair in pairs_of(prepared.read(root), "train", **settings)]


def test_all_ordered_pairs_of_two_subjects(tmp_path: Path) -> None:
    root = between_subjects(tmp_path)
    found = ids(root, pairing="all")
    assert sorted(found) == sorted(f"{m}_to_{f}" for m in "abcd" for f in "abcd" if m != f)
    assert ids(root, pairing=None) == found
    assert ids(root, pairing="listed") == [f"{moving}_to_{fixed}" for moving, fixed in LISTED]


def test_every_pair_has_the_files_of_its_two_subjects(tmp_path: Path) -> None:
    for pair in pairs_of(prepared.read(between_subjects(tmp_path)), "train", "all"):
        moving, fixed = pair["id"].split("_to_")
        assert (pair["moving_subject"], pair["subject"]) == (moving, fixed)
        for role in ("", "_label", "_mask"):
            assert Path(pair[f"moving{role}"]).name == f"{moving}.nii.gz"
            assert Path(pair[f"fixed{role}"]).name == f"{fixed}.nii.gz"


def test_images_are_held_once_and_batches_are_the_right_ones(tmp_path: Path) -> None:
    root = between_subjects(tmp_path)
    pairs, disk = (PreparedPairs(root, pairing="all", memory_gb=memory) for memory in (4.0, 0.0))
    assert pairs.stacked["image"].shape == (4, 1, 6, 5, 4)
    assert pairs.stacked["mask"].dtype == torch.uint8
    seen = 0
    for dataset in (pairs, disk):
        for batch in PairLoader(dataset, batch_size=5, pairs_per_epoch=12, num_workers=0):
            for row, index in enumerate(batch["index"]):
                moving, fixed = dataset.pairs[index]["id"].split("_to_")
                assert batch["moving"][row, 0, 1, 1, 1].item() == pytest.approx("abcd".index(moving) / 10)
                assert batch["fixed"][row, 0, 1, 1, 1].item() == pytest.approx("abcd".index(fixed) / 10)
                assert batch["fixed_mask"][row, 0].sum() == 6 * 5 * 4 - 1
                seen += 1
    assert seen == 24


def test_an_epoch_has_as_many_pairs_as_asked_for_and_others_than_the_last(tmp_path: Path) -> None:
    root = between_subjects(tmp_path)
    loader = PairLoader(PreparedPairs(root, pairing="all"), 2, shuffle=True, pairs_per_epoch=5)
    epochs = []
    for epoch in (1, 2, 1):
        loader.set_epoch(epoch)
        epochs.append([index for batch in loader for index in batch["index"]])
    assert len(loader) == 3 and len(epochs[0]) == 5
    assert epochs[0] == epochs[2] != epochs[1]
    assert len(PairLoader(PreparedPairs(root, pairing="all"), 1)) == len(LISTED)


def test_a_share_of_the_subjects_is_drawn_by_the_seed(tmp_path: Path) -> None:
    names = "abcdefghij"
    root = between_subjects(tmp_path, list(zip(names, names[1:])))
    kept = [ids(root, pairing="all", share=0.9, seed=seed) for seed in range(6)]
    left_out = [set(names) - {name for each in found for name in each.split("_to_")} for found in kept]
    assert all(len(found) == 9 * 8 for found in kept)
    assert all(len(each) == 1 for each in left_out) and len(set(map(frozenset, left_out))) > 1
    assert kept[0] == ids(root, pairing="all", share=0.9, seed=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pairing": "every"}, "pairing is 'every': it must be null or one of listed, all, atlas"),
        ({"share": 0.0}, "training_share is 0.0"),
        ({"share": 1.5}, "training_share is 1.5"),
        ({"share": 0.25, "pairing": "all"}, r"no pair left in split 'train' of 1 subject\(s\); raise training_share"),
    ],
)
def test_settings_that_cannot_be(settings: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        ids(between_subjects(tmp_path), **settings)


def test_pairs_of_one_subject_have_no_others(tiny_dataset: Path) -> None:
    dataset = prepared.read(tiny_dataset)
    assert pairs_of(dataset, "train", None) == dataset.pairs("train")
    with pytest.raises(InputError, match="its pairs are of one subject each; leave it at 'listed'"):
        pairs_of(dataset, "train", "all")


def test_labels_that_a_network_does_not_know_are_named(tiny_dataset: Path) -> None:
    PreparedPairs(tiny_dataset, num_classes=3)
    message = r"labels/pair\d+_\w+.nii.gz: label value 2, but num_classes is 2 \(0 to 1\); set num_classes to 3"
    with pytest.raises(InputError, match=message):
        PreparedPairs(tiny_dataset, num_classes=2)
    with pytest.raises(InputError, match="num_classes is 5, but no training label is above 2; set num_classes to 3"):
        PreparedPairs(tiny_dataset, num_classes=5)
    PreparedPairs(tiny_dataset, "val", num_classes=5)


def test_a_network_of_labels_needs_labels(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="split 'train' has pairs without labels; this network needs them"):
        PreparedPairs(between_subjects(tmp_path, missing="label"), num_classes=3)

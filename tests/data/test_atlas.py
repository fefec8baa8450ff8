"""common.data.atlas: the labelled image that is most like another, found as the correlation says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from common.data import prepared
from common.data.atlas import Atlases, atlas_pairs, best_atlas, similarities
from common.data.sides import sides_of
from common.errors import InputError
from common.nifti import save_image
from common.similarity import squared_correlation

SHAPE = (9, 12, 10)
SPLITS = {"train": "abcd", "test": "ef"}


def correlation(image: torch.Tensor, mask: torch.Tensor, other: torch.Tensor, window: int) -> float:
    return float((squared_correlation(other, image, window) * mask).sum() / mask.sum())


def make_dataset(root: Path, splits: dict[str, str] = SPLITS) -> prepared.Dataset:
    """Every subject is the fixed image of two pairs; its image is real but for two voxels of padding at one end."""
    random = np.random.default_rng(0)
    mask = np.zeros(SHAPE, np.uint8)
    mask[:-2] = 1
    for subject in "".join(splits.values()):
        save_image(root / f"images/{subject}.nii.gz", random.random(SHAPE) * mask, np.eye(4))
        save_image(root / f"labels/{subject}.nii.gz", mask, np.eye(4))
        save_image(root / f"masks/{subject}.nii.gz", mask, np.eye(4))
    pairs = {
        split: [make_pair(names[i - shift], name) for i, name in enumerate(names) for shift in (1, 2)]
        for split, names in splits.items()
    }
    dataset = prepared.Dataset(root, "toy", 3, {1: "one"}, (1,), splits=pairs)
    prepared.write(dataset)
    return dataset


def make_pair(moving: str, fixed: str) -> dict:
    pair = {"id": f"{moving}_to_{fixed}", "subject": fixed, "moving_subject": moving}
    for key, name in (("moving", moving), ("fixed", fixed)):
        pair |= {key: f"images/{name}.nii.gz"}
        pair |= {f"{key}_{role}": f"{role}s/{name}.nii.gz" for role in ("label", "mask")}
    native = {"moving": f"{moving}.nii.gz", "fixed": f"{fixed}.nii.gz", "crop_start": [0, 0, ord(fixed)]}
    return {**pair, "native": {**native, "moving_crop_start": [0, 0, ord(moving)]}}


@pytest.mark.parametrize("window", [3, 5])
def test_likeness_is_the_correlation_of_the_loss_over_the_mask(window: int) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(4, 1, *SHAPE, generator=generator)
    image = 0.5 * images[1:2] + 0.5 * torch.rand(1, 1, *SHAPE, generator=generator)
    mask = (torch.rand(1, 1, *SHAPE, generator=generator) > 0.9).float()
    mask[..., :4] = 0  # the box around the mask is smaller than the image, on one side by more than a window
    expected = [correlation(image, mask, other[None], window) for other in images]
    found = similarities(image, mask, Atlases.of(images, window))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    everywhere = similarities(image, None, Atlases.of(images, window))
    expected = [float(squared_correlation(other[None], image, window).mean()) for other in images]
    np.testing.assert_allclose(everywhere, expected, atol=1e-6)


def test_contrast_and_brightness_do_not_matter() -> None:
    images = torch.rand(5, 1, 12, 12, 12, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(1, 1, 12, 12, 12)
    mask[..., 3:9, 3:9, 3:9] = 1  # no window leaves the image, where zeros are not brightened
    index, nlcc = best_atlas(0.9 - 0.5 * images[3:4], mask, Atlases.of(images))
    assert index == 3 and nlcc == pytest.approx(1, abs=1e-3)
    index, nlcc = best_atlas(images[3:4], mask, Atlases.of(images), [True, True, True, False, True])
    assert index != 3 and nlcc < 0.5


def test_every_image_of_a_split_gets_the_training_image_most_like_it(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path)
    pairs = atlas_pairs(dataset, "test")
    assert [pair["subject"] for pair in pairs] == ["e", "f"]
    load = {s: torch.tensor(prepared.read_image(tmp_path / f"images/{s}.nii.gz")[0])[None, None] for s in "abcdef"}
    mask = torch.tensor(prepared.read_image(tmp_path / "masks/e.nii.gz")[0])[None, None].float()
    for pair in pairs:
        fixed, moving = pair["subject"], pair["moving_subject"]
        likeness = {name: correlation(load[fixed], mask, load[name], 5) for name in "abcd"}
        assert moving == max(likeness, key=likeness.get)
        assert pair.pop("nlcc") == pytest.approx(likeness[moving], abs=1e-6)
        assert pair == make_pair(moving, fixed)


def test_no_subject_is_its_own_atlas(tmp_path: Path) -> None:
    pairs = atlas_pairs(make_dataset(tmp_path), "train")
    assert [pair["subject"] for pair in pairs] == list("abcd")
    assert all(pair["moving_subject"] != pair["subject"] for pair in pairs)
    alone = make_dataset(tmp_path / "alone", {"train": "ab", "test": "cd"})
    alone.splits["train"] = [pair | {"moving_label": None} for pair in alone.splits["train"] if pair["subject"] == "a"]
    with pytest.raises(InputError, match="no atlas is of another subject"):
        atlas_pairs(alone, "train")


def test_sides_are_the_images_of_pairs(tmp_path: Path) -> None:
    sides = sides_of(make_dataset(tmp_path), "test")
    assert [side["subject"] for side in sides] == ["e", "f"]
    assert sides[0]["native"] == {"path": "e.nii.gz", "crop_start": [0, 0, ord("e")]}


def test_what_cannot_be_an_atlas_is_said(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path)
    with pytest.raises(InputError, match="no pairs in split 'val'"):
        atlas_pairs(dataset, "val")
    with pytest.raises(InputError, match="window is 4"):
        atlas_pairs(dataset, "test", window=4)
    with pytest.raises(InputError, match="dataset.json: its pairs are slices of one subject"):
        atlas_pairs(replace(dataset, spatial_dims=2), "test")
    own = {split: [p | {"moving_subject": p["subject"]} for p in pairs] for split, pairs in dataset.splits.items()}
    with pytest.raises(InputError, match="its pairs are images of one subject"):
        atlas_pairs(replace(dataset, splits=own), "test")
    keys = ("moving_label", "fixed_label")
    bare = {s: [{k: v for k, v in p.items() if k not in keys} for p in pairs] for s, pairs in dataset.splits.items()}
    with pytest.raises(InputError, match="no image of split 'train' has a label"):
        atlas_pairs(replace(dataset, splits=bare), "test")
    for role in ("image", "mask"):
        save_image(tmp_path / f"{role}s/c.nii.gz", np.ones((4, 5, 6)), np.eye(4))
    with pytest.raises(InputError, match=r"images/c.nii.gz: size \[4, 5, 6\]"):
        atlas_pairs(dataset, "test")


def test_an_image_without_a_likeness_is_refused() -> None:
    atlases = Atlases.of(torch.rand(2, 1, 6, 6, 6))
    with pytest.raises(InputError, match=r"size \[6, 6, 7\]"):
        best_atlas(torch.rand(1, 1, 6, 6, 7), None, atlases)
    with pytest.raises(InputError, match="mask of the image is empty"):
        best_atlas(torch.rand(1, 1, 6, 6, 6), torch.zeros(1, 1, 6, 6, 6), atlases)

"""The quick Dice by which weights are chosen is the evaluation's, for any labels, masks and fields."""

from __future__ import annotations

from math import nan

import numpy as np
import pytest
import torch
from torch import Tensor

from common.engines.evaluation_scores import score_pair
from common.engines.validation import label_dice, warped_dice

SHAPE = (9, 8, 4)
CLASSES = 4


def labels_of(rng: np.random.Generator) -> np.ndarray:
    """A map of a few boxes; some classes are missing, often."""
    found = np.zeros(SHAPE, np.uint8)
    for label in rng.permutation([1, 2, 3])[: rng.integers(0, 4)]:
        low = [rng.integers(0, size - 1) for size in SHAPE]
        found[tuple(slice(start, start + rng.integers(1, 5)) for start in low)] = label
    return found


def mask_of(rng: np.random.Generator) -> np.ndarray | None:
    """All, or all but the padding at the end of an axis."""
    if rng.random() < 0.3:
        return None
    mask = np.ones(SHAPE, np.uint8)
    mask[:, rng.integers(2, 8) :] = 0
    return mask


def field_of(rng: np.random.Generator) -> np.ndarray:
    """Of thirds, whose weights no rounding brings across a threshold; some carry the labels away, some are broken."""
    if rng.random() < 0.1:
        return np.full((3, *SHAPE), nan, np.float32)
    scale = 40 if rng.random() < 0.2 else 2
    return (rng.integers(-scale, scale + 1, (3, *[1] * 3)) / 3 * np.ones((3, *SHAPE))).astype(np.float32)


def tensor(array: np.ndarray | None) -> Tensor | None:
    return None if array is None else torch.from_numpy(array)[None, None]


def row_of(moving: np.ndarray, fixed: np.ndarray, ddf: np.ndarray, mask: np.ndarray | None, **more: np.ndarray) -> dict:
    """What an evaluation says of a pair."""
    arrays = {"fixed": np.zeros(SHAPE), "moving_label": moving, "fixed_label": fixed}
    arrays |= {} if mask is None else {"fixed_mask": mask}
    prediction = {"ddf": ddf, "warped": np.zeros(SHAPE), **more}
    return score_pair(arrays, prediction, None, (1, 3), (1.0, 1.0, 1.0))[0]


def shares_of(label: np.ndarray) -> np.ndarray:
    return np.stack([label == c for c in range(CLASSES)]).astype(np.float32)


def test_a_class_seen_where_there_is_none_counts_against_a_prediction() -> None:
    fixed, ours = (np.zeros(SHAPE, np.uint8) for _ in range(2))
    fixed[:2] = ours[:2] = 1
    ours[5] = 2
    row = row_of(fixed, fixed, np.zeros((3, *SHAPE), np.float32), None, segmentation=shares_of(ours))
    quick = label_dice(tensor(shares_of(ours))[0], tensor(fixed), None)
    assert row["label/dsc"] == quick.item() == 50


def test_quick_dice_of_predicted_labels_is_the_evaluation_s() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        fixed, ours, mask = labels_of(rng), labels_of(rng), mask_of(rng)
        shares = shares_of(ours)
        if rng.random() < 0.1:
            shares[1, 2, 3, 1] = nan
        row = row_of(fixed, fixed, np.zeros((3, *SHAPE), np.float32), mask, segmentation=shares)
        quick = label_dice(torch.from_numpy(shares)[None], tensor(fixed), tensor(mask))
        assert quick.item() == pytest.approx(row["label/dsc"], abs=1e-4, nan_ok=True)


def test_quick_dice_of_warped_labels_is_the_evaluation_s() -> None:
    rng, seen = np.random.default_rng(0), []
    for _ in range(200):
        moving, fixed, ddf, mask = labels_of(rng), labels_of(rng), field_of(rng), mask_of(rng)
        row = row_of(moving, fixed, ddf, mask)
        quick = warped_dice(tensor(moving), tensor(fixed), torch.from_numpy(ddf)[None], (1, 3), tensor(mask))
        for protocol in ("published", "standard"):
            assert quick[protocol].item() == pytest.approx(row[f"{protocol}/dsc"], abs=1e-4, nan_ok=True)
            seen.append(row[f"{protocol}/dsc"])
    assert np.isnan(seen).any() and 0 in seen and np.nanmax(seen) > 20
    both = np.array(seen).reshape(-1, 2)
    assert (np.isnan(both[:, 0]) & (both[:, 1] == 0)).any()  # a label that has left: the protocols differ


def test_pairs_of_a_batch_are_judged_one_by_one() -> None:
    rng = np.random.default_rng(1)
    maps = [(labels_of(rng), labels_of(rng), field_of(rng)) for _ in range(8)]
    moving, fixed, ddf = (torch.from_numpy(np.stack(each)) for each in zip(*maps))
    together = warped_dice(moving[:, None], fixed[:, None], ddf, (1, 2, 3), None)
    alone = [warped_dice(tensor(m), tensor(f), torch.from_numpy(u)[None], (1, 2, 3), None) for m, f, u in maps]
    for protocol, values in together.items():
        assert torch.equal(values.nan_to_num(-1), torch.cat([each[protocol] for each in alone]).nan_to_num(-1))

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from common.errors import InputError
from common.metrics import average_labels, evaluate_labels, evaluate_pair, warp_mask
from common.spatial import warp

KEYS = {f"published/{name}" for name in ("dsc", "hd", "hd95", "asd")} | {
    f"standard/{name}" for name in ("dsc", "hd", "hd95", "asd", "hd_mm", "hd95_mm", "asd_mm")
}


def labels_2d() -> np.ndarray:
    label = np.zeros((24, 20), dtype=np.uint8)
    label[6:12, 5:11] = 2
    label[8:10, 7:9] = 3
    return label


def shift(label: np.ndarray, *vector: float) -> np.ndarray:
    return np.broadcast_to(np.reshape(vector, (-1, *[1] * label.ndim)), (label.ndim, *label.shape)).astype(np.float32)


def smooth_field(shape: tuple[int, ...], size: float) -> np.ndarray:
    random = torch.Generator().manual_seed(0)
    coarse = torch.randn(1, len(shape), *[4] * len(shape), generator=random)
    mode = "bilinear" if len(shape) == 2 else "trilinear"
    return size * torch.nn.functional.interpolate(coarse, shape, mode=mode, align_corners=True)[0].numpy()


@pytest.mark.parametrize("shape", [(30, 26), (14, 12, 10)])
def test_the_mask_warp_is_the_warp_of_the_image(shape):
    mask = np.random.default_rng(0).random(shape) > 0.4
    field = smooth_field(shape, 3.0)
    expected = warp(torch.from_numpy(mask)[None, None].float(), torch.from_numpy(field)[None])[0, 0]
    np.testing.assert_allclose(warp_mask(mask, field), expected.numpy(), atol=1e-4)


def test_a_whole_shift_moves_the_mask_exactly():
    mask = labels_2d() == 2
    moved = warp_mask(mask, shift(mask, 3, -2))
    assert np.array_equal(moved, np.roll(mask, (-3, 2), (0, 1)))


def test_no_field_and_a_zero_field_are_the_same():
    moving, fixed = labels_2d(), np.roll(labels_2d(), 2, 0)
    undeformed = evaluate_pair(moving, fixed, None, [2, 3], (1.5, 1.25))
    assert set(undeformed) == KEYS
    assert undeformed == evaluate_pair(moving, fixed, shift(moving, 0, 0), [2, 3], (1.5, 1.25))


def test_the_true_shift_is_perfect_in_both_protocols():
    moving = labels_2d()
    scores = evaluate_pair(moving, np.roll(moving, (4, 1), (0, 1)), shift(moving, -4, -1), [2, 3], (1, 1))
    assert all(value == (100 if "dsc" in name else 0) for name, value in scores.items())


def test_the_published_threshold_dilates_and_the_standard_one_does_not():
    moving = np.zeros((12, 12), dtype=np.uint8)
    moving[4:8, 4:8] = 2
    # A quarter of a pixel along one axis: 0 < weight < 0.5 in one more row of 4 pixels.
    scores = evaluate_pair(moving, moving, shift(moving, 0.25, 0), [2], (2, 2))
    assert scores["standard/dsc"] == 100
    assert scores["standard/hd_mm"] == 0
    assert scores["published/dsc"] == pytest.approx(100 * 2 * 16 / (16 + 20))
    assert scores["published/hd"] == 1


@pytest.mark.parametrize("share", [0.49, 0.1, 0.001])
def test_any_share_of_a_pixel_counts_in_the_published_protocol(share):
    moving = np.zeros((12, 14), dtype=np.uint8)
    moving[4:8, 4:8] = 2
    field = shift(moving, share, 0)
    warped = warp_mask(moving, field)
    assert warped[3, 4:8] == pytest.approx(share, rel=1e-3) and warped[7, 4:8] == pytest.approx(1 - share)
    scores = evaluate_pair(moving, moving, field, [2])
    assert scores["published/dsc"] == pytest.approx(100 * 8 / 9)  # 16 pixels and 20, of which 16 are shared
    assert scores["published/asd"] == pytest.approx(2 / 12)  # of 12 border pixels the two inside the longer square
    assert scores["standard/dsc"] == 100


def test_half_of_a_pixel_counts_in_the_standard_protocol():
    moving = np.zeros((12, 12), dtype=np.uint8)
    moving[4:8, 4:8] = 2
    scores = evaluate_pair(moving, moving, shift(moving, 0.5, 0), [2])
    assert scores["standard/dsc"] == pytest.approx(100 * 2 * 16 / (16 + 20))


def test_the_published_distance_starts_at_the_fixed_border():
    fixed, moving = np.zeros((2, 16, 16), dtype=np.uint8)
    fixed[4, 4], moving[4, 4], moving[4, 10] = 2, 2, 2
    scores = evaluate_pair(moving, fixed, None, [2])
    assert (scores["published/asd"], scores["standard/asd"]) == (0, 2)


@pytest.mark.parametrize("missing", ["moving", "fixed"])
def test_a_label_that_one_image_lacks_is_not_a_number(missing):
    moving, fixed = labels_2d(), labels_2d()
    (moving if missing == "moving" else fixed)[:] = 0
    assert all(math.isnan(value) for value in evaluate_pair(moving, fixed, None, [2], (1, 1)).values())


def test_a_label_that_the_field_removes_fails_by_the_standard_protocol():
    moving = labels_2d()
    scores = evaluate_pair(moving, moving, shift(moving, 100, 0), [2], (1, 1))
    assert scores.pop("standard/dsc") == 0
    assert all(math.isnan(value) for value in scores.values())


def test_labels_are_averaged_over_those_that_have_a_value():
    moving, fixed = labels_2d(), np.roll(labels_2d(), 1, 1)
    each = evaluate_labels(moving, fixed, None, [2, 3, 7], (1, 1))
    assert math.isnan(each[7]["standard/hd"])
    average = evaluate_pair(moving, fixed, None, [2, 3, 7], (1, 1))
    assert average == average_labels({label: each[label] for label in (2, 3)})
    assert average["standard/dsc"] == pytest.approx((each[2]["standard/dsc"] + each[3]["standard/dsc"]) / 2)


def test_volumes_with_thick_slices():
    moving = np.zeros((10, 10, 6), dtype=np.uint8)
    moving[3:6, 3:6, 1:4] = 1
    scores = evaluate_pair(moving, np.roll(moving, 1, 2), torch.zeros(3, 10, 10, 6), [1], (1.5, 1.5, 8))
    assert (scores["standard/hd"], scores["standard/hd_mm"]) == (1, 8)


def test_a_field_that_is_not_finite_has_no_score():
    field = shift(labels_2d(), 0, 0).copy()
    field[0, 3, 3] = np.nan
    assert all(math.isnan(value) for value in evaluate_pair(labels_2d(), labels_2d(), field, [2], (1, 1)).values())


def test_bad_input_is_named():
    label = labels_2d()
    with pytest.raises(InputError, match="no label"):
        evaluate_pair(label, label, None, [])
    with pytest.raises(InputError, match="does not fit a mask"):
        evaluate_pair(label, label, np.zeros((2, 24, 21)), [2])
    with pytest.raises(InputError, match="shapes differ"):
        evaluate_pair(label, label.T, None, [2])
    with pytest.raises(InputError, match="spacing"):
        evaluate_pair(label, label, None, [2], (1, 1, 1))


def test_what_lies_in_the_padding_belongs_to_no_label():
    moving, fixed = labels_2d(), labels_2d()
    mask = np.ones(moving.shape, np.uint8)
    mask[:, 15:] = 0
    field = shift(moving, 0, 0)
    field[1, :, 15:] = -10  # brings the structure back a second time
    assert evaluate_pair(moving, fixed, field, [2, 3])["standard/dsc"] < 100
    assert evaluate_pair(moving, fixed, field, [2, 3], mask=mask)["standard/dsc"] == 100
    mask[:, 8:] = 0  # cuts through both structures
    assert evaluate_pair(moving, fixed, None, [2, 3], mask=mask)["standard/dsc"] == 100
    whole = evaluate_pair(moving, fixed, field, [2, 3], (1, 1), mask=np.ones_like(mask))
    assert whole == evaluate_pair(moving, fixed, field, [2, 3], (1, 1))
    with pytest.raises(InputError, match="shapes differ"):
        evaluate_pair(moving, fixed, field, [2], mask=mask.T)

"""Shifts of slices are found and undone, and where there is nothing to find nothing moves."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from shifted_stack import SPACING, known_shifts, stack

from common.errors import InputError
from common.slices import shifted, slice_shifts, stack_axis

PLANE = np.array(SPACING[:2])
NONE = np.zeros((8, 2))


def length(shifts: np.ndarray) -> float:
    return float(np.linalg.norm(shifts, axis=1).mean())


def cine(shifts: np.ndarray, seed: int = 0) -> tuple[list[np.ndarray], np.ndarray]:
    """Two phases, and where either has a label."""
    (first, label), (second, other) = stack(shifts, seed=seed), stack(shifts, 0.8, seed + 50)
    return [first, second], (label > 0) | (other > 0)


@pytest.mark.parametrize("labelled", [True, False])
def test_known_shifts_are_found(labelled: bool) -> None:
    left = []
    for seed in range(3):
        known = known_shifts(seed)
        images, region = cine(known, seed)
        found = slice_shifts(images, SPACING, 2, region if labelled else None) * PLANE
        left.append(length(found - known))
        assert left[-1] < length(known) / 3
    assert np.mean(left) < 0.5


def test_one_image_is_enough_and_what_is_aligned_stays() -> None:
    known = known_shifts(3)
    (image, *_), _ = cine(known)
    found = slice_shifts([image], SPACING)
    assert length(found * PLANE - known) < length(known) / 4
    again = slice_shifts([shifted(image, found)], SPACING)
    assert length(again * PLANE) < 0.3


@pytest.mark.parametrize("labelled", [True, False])
def test_without_shifts_nothing_moves(labelled: bool) -> None:
    images, region = cine(NONE)
    assert length(slice_shifts(images, SPACING, 2, region if labelled else None) * PLANE) < (0.3 if labelled else 0.4)


def test_an_oblique_heart_stays_oblique() -> None:
    slope = np.outer(np.arange(8) - 3.5, [0.8, -0.5])
    images, region = cine(slope)
    assert length(slope) > 1.8 and length(slice_shifts(images, SPACING, 2, region) * PLANE) < 0.35


@pytest.mark.parametrize("axis", [0, 1])
def test_any_axis_may_be_across_the_slices(axis: int) -> None:
    images, region = cine(known_shifts(1))
    expected = slice_shifts(images, SPACING, 2, region)
    turned = [np.moveaxis(each, 2, axis) for each in (*images, region)]
    spacing = [*SPACING[:2]]
    spacing.insert(axis, SPACING[2])
    np.testing.assert_allclose(slice_shifts(turned[:2], spacing, axis, turned[2]), expected, atol=1e-6)
    moved = shifted(turned[0], expected, axis)
    np.testing.assert_array_equal(np.moveaxis(moved, axis, 2), shifted(images[0], expected))


def test_intensities_do_not_matter() -> None:
    images, region = cine(known_shifts(2))
    gains = np.linspace(0.5, 2, 8)
    expected = slice_shifts(images, SPACING, 2, region)
    bright = [1000 + 3 * each * gains for each in images]
    assert np.abs(slice_shifts(bright, SPACING, 2, region) - expected).max() * 1.6 < 0.3


def test_no_slice_is_shifted_further_than_the_limit() -> None:
    images, region = cine(known_shifts(0))
    found = slice_shifts(images, SPACING, 2, region, limit=2.0) * PLANE
    assert 0 < np.linalg.norm(found, axis=1).max() <= 2 + 1e-9


@pytest.mark.parametrize("count", [1, 2])
def test_of_one_or_two_slices_nothing_can_be_told(count: int) -> None:
    images, _ = cine(known_shifts(0))
    np.testing.assert_array_equal(slice_shifts([each[..., :count] for each in images], SPACING), np.zeros((count, 2)))


def test_slices_without_structure_are_left_alone() -> None:
    np.testing.assert_allclose(slice_shifts([np.full((20, 22, 5), 3.0)] * 2, SPACING), 0, atol=1e-9)
    known = known_shifts(0)
    images, region = cine(known)
    for each in images:
        each[..., -1] = 40
    found = slice_shifts(images, SPACING, 2, region) * PLANE
    assert np.linalg.norm(found[-1]) < 0.5 and length((found - known)[:-1]) < 1


def test_labels_follow_images() -> None:
    shifts = np.array([[2.0, -3.0], [0.0, 1.0], [-1.0, 0.0]])
    label = np.random.default_rng(0).integers(0, 4, (9, 11, 3)).astype(np.uint8)
    moved = shifted(label, shifts, order=0)
    assert moved.dtype == np.uint8
    np.testing.assert_array_equal(moved, shifted(label.astype(np.float32), shifts))
    np.testing.assert_array_equal(moved[:-2, 3:, 0], label[2:, :-3, 0])
    np.testing.assert_array_equal(shifted(label, shifts + 0.4, order=0), moved)
    ramp = np.arange(9.0, dtype=np.float32)[:, None, None] * np.ones((9, 11, 3), np.float32)
    np.testing.assert_allclose(shifted(ramp, shifts + 0.25)[3:-3, :, 0], ramp[3:-3, :, 0] + 2.25, atol=1e-5)


def test_what_is_a_stack_is_told_by_its_voxels() -> None:
    assert stack_axis((1.5, 1.5, 8)) == 2 and stack_axis((6, 1.5, 1.2)) == 0
    assert stack_axis((1, 1, 1)) is None and stack_axis((1, 1.2, 1.4)) is None


GOOD: dict[str, Any] = {"images": [np.ones((4, 5, 3)), np.ones((4, 5, 3))], "spacing": SPACING}
BAD = [
    ({"images": []}, "no images: slices are aligned in stacks"),
    ({"images": [np.ones((4, 5))]}, "[4, 5]: slices are aligned in stacks"),
    ({"images": [np.ones((4, 5, 3)), np.ones((4, 5, 2))]}, "[4, 5, 2] and [4, 5, 3]: slices"),
    ({"region": np.ones((4, 4, 3), bool)}, "[4, 4, 3] and [4, 5, 3]: slices"),
    ({"images": [np.full((4, 5, 3), np.nan)]}, "NaN or infinite"),
    ({"slice_axis": 3}, "slice_axis is 3; give 0, 1 or 2."),
    ({"spacing": (1, 2)}, "spacing is [1, 2]; give three lengths"),
    ({"spacing": (1, 2, 0)}, "spacing is [1, 2, 0]; give three lengths"),
    ({"limit": -1.0}, "limit is -1.0; give a length"),
    ({"limit": np.nan}, "limit is nan; give a length"),
]


@pytest.mark.parametrize(("given", "told"), BAD)
def test_bad_input_is_refused_in_a_line(given: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=re.escape(told)):
        slice_shifts(**GOOD | given)


def test_shifts_are_one_a_slice() -> None:
    with pytest.raises(ValueError, match=re.escape("Shifts of shape [2, 2] for 3 slices")):
        shifted(np.ones((4, 5, 3)), np.zeros((2, 2)))

from __future__ import annotations

import math

import numpy as np
import pytest

from common.errors import InputError
from common.metrics import class_dice, overlap


def test_each_class_has_its_dice() -> None:
    rng = np.random.default_rng(0)
    ours, true = rng.integers(0, 4, (2, 9, 8, 7))
    found = class_dice(ours, true, 4)
    assert found == {c: pytest.approx(100 * overlap(true == c, ours == c).dice) for c in (1, 2, 3)}
    assert class_dice(true, true, 4) == {1: 100, 2: 100, 3: 100}


def test_only_a_class_that_both_lack_has_none() -> None:
    true = np.zeros((4, 4), int)
    true[0] = 1
    found = class_dice(np.where(true == 1, 2, 0), true, 4)
    assert (found[1], found[2]) == (0, 0) and math.isnan(found[3])


def test_padding_does_not_count() -> None:
    true = np.zeros((4, 6), int)
    true[:, 1:3] = 1
    ours, mask = true.copy(), np.ones((4, 6), np.uint8)
    ours[:, 4:] = 1
    mask[:, 4:] = 0
    assert class_dice(ours, true, 2)[1] == pytest.approx(200 * 8 / 24)
    assert class_dice(ours, true, 2, mask)[1] == 100


def test_shapes_that_differ_are_named() -> None:
    with pytest.raises(InputError, match="shapes differ"):
        class_dice(np.zeros((3, 4)), np.zeros((4, 3)), 2)
    with pytest.raises(InputError, match="shapes differ"):
        class_dice(np.zeros((3, 4)), np.zeros((3, 4)), 2, np.ones((4, 3)))

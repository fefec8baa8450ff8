"""A box that is larger than what a network was trained to see is covered by windows, and blended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_registration import blob, grid_around, toy_bundle

from common.registration.bundle import open_bundle
from common.registration.card import Card
from common.registration.case import Case
from common.registration.register import register_case
from common.registration.windows import Windows

BOXES = [((20,), (8,)), ((128, 200), (128, 128)), ((129, 128), (128, 128)), ((31, 17, 9), (8, 9, 16)), ((5, 6), None)]


@pytest.mark.parametrize(("box", "size"), BOXES, ids=str)
def test_windows_cover_a_box_and_overlap(box: tuple[int, ...], size: tuple[int, ...] | None) -> None:
    windows = Windows.over(box, size)
    counted = np.zeros(box, int)
    for start in windows.starts:
        assert all(s >= 0 and s + n <= b for s, n, b in zip(start, windows.size, box, strict=True))
        counted[tuple(slice(s, s + n) for s, n in zip(start, windows.size, strict=True))] += 1
    assert counted.min() >= 1
    assert all(n <= b for n, b in zip(windows.size, box, strict=True))
    for axis, n in enumerate(windows.size):
        places = sorted({start[axis] for start in windows.starts})
        assert all(b - a <= 0.75 * n + 1 for a, b in zip(places, places[1:], strict=False))


def test_what_all_windows_agree_on_is_what_is_blended() -> None:
    windows = Windows.over((40, 23), (16, 16))
    whole = torch.rand(3, 2, 40, 23)
    parts = [whole[:, :, i : i + 16, j : j + 16] for i, j in windows.starts]
    torch.testing.assert_close(windows.blend(torch.cat(parts)), whole)


def test_between_two_windows_one_fades_into_the_other() -> None:
    windows = Windows.over((24, 8), (16, 8))
    assert len(windows) == 2
    blended = windows.blend(torch.cat([torch.zeros(1, 1, 16, 8), torch.ones(1, 1, 16, 8)]))[0, 0, :, 0]
    assert not blended[:8].any() and (blended[16:] == 1).all()
    assert (blended[8:16].diff() > 0).all() and blended[8] < 0.1 and blended[15] > 0.9


def test_a_motion_is_found_in_windows_as_in_the_whole(tmp_path: Path) -> None:
    shape, affine = (60, 44, 3), grid_around((60, 44, 3), (1.0, 1.0, 6.0))
    fixed, moving = (blob(shape, affine, np.array([x, 0.0, 0.0])) for x in (0.0, 2.0))
    whole = open_bundle(toy_bundle(tmp_path / "toy", 2))
    trained = Card(size=(32, 32))
    parts = replace(whole, framing=replace(whole.framing, trained=trained), batch_size=5)
    found, expected = (register_case(bundle, Case(moving, fixed)) for bundle in (parts, whole))
    assert found.seen.all() and found.network_shape == (60, 44)
    middle = np.s_[28:32, 20:24, 1]
    np.testing.assert_allclose(found.field.vectors[middle], expected.field.vectors[middle], atol=0.3)

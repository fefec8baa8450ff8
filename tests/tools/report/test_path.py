"""tools.report.figures.path: the animation's frames, their order and durations, its size."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageSequence

from tools.report.figures.path import BAR, CAPTION, GAP, HOLD_MS, STEP_MS, path_animation


def discs(steps: int, shape: tuple[int, int] = (64, 48)) -> np.ndarray:
    """A disc that shrinks."""
    i, j = np.mgrid[: shape[0], : shape[1]]
    radii = np.linspace(20, 10, steps)[:, None, None]
    return (np.hypot(i - 30, j - 24) < radii).astype(np.float32)


def frames_of(content: bytes) -> tuple[list[np.ndarray], list[int]]:
    frames, durations = [], []
    for frame in ImageSequence.Iterator(Image.open(io.BytesIO(content))):
        frame.load()
        durations.append(frame.info["duration"])
        frames.append(np.asarray(frame.convert("RGB"), dtype=int))
    return frames, durations


def test_it_goes_there_and_back_and_rests_at_both_ends() -> None:
    path = discs(6)
    content = path_animation(path, path[-1])
    frames, durations = frames_of(content)
    assert len(frames) == 10
    assert durations == [HOLD_MS, *[STEP_MS] * 4, HOLD_MS, *[STEP_MS] * 4]
    assert Image.open(io.BytesIO(content)).info["loop"] == 0
    assert all(abs(frames[k] - frames[-k]).mean() < 3 for k in range(1, 5))
    assert abs(frames[0] - frames[5]).mean() > 5


def panel(frame: np.ndarray, place: int) -> np.ndarray:
    """One of the three, without its edge."""
    width = (frame.shape[1] - 2 * GAP) // 3
    left = place * (width + GAP)
    return frame[CAPTION + 4 : -(GAP + BAR + 4), left + 4 : left + width - 4]


def test_panels_are_the_image_the_fixed_one_and_their_difference() -> None:
    path = discs(4)
    frames, _ = frames_of(path_animation(path, path[-1]))
    first, last = frames[0], frames[3]
    assert abs(panel(first, 1) - panel(last, 1)).mean() < 2
    assert abs(panel(last, 0) - panel(last, 1)).mean() < 2
    assert abs(panel(first, 0) - panel(first, 1)).mean() > 20
    assert panel(last, 2).mean() < 5 < panel(first, 2).mean()


def test_axes_are_i_to_the_right_and_j_down() -> None:
    path = np.zeros((2, 64, 32))
    path[:, 48:, :8] = 1  # large i, small j
    frame = panel(frames_of(path_animation(path, path[-1]))[0][0], 0)
    height, width = frame.shape[:2]
    assert width == pytest.approx(2 * height, rel=0.1)
    assert frame[: height // 5, -width // 5 :].mean() > 200 > 50 > frame[-height // 5 :].mean()


def test_the_bar_says_how_far_the_way_is() -> None:
    path = discs(5)
    frames, _ = frames_of(path_animation(path, path[-1]))
    lit = [(frame[-2, :, 2] > 150).mean() for frame in frames[:5]]
    assert lit == pytest.approx([0, 0.25, 0.5, 0.75, 1], abs=0.05)


@pytest.mark.parametrize(("steps", "size"), [(11, 128), (21, 256)])
def test_noisy_images_are_small_too(steps: int, size: int) -> None:
    random = np.random.default_rng(0)
    noise = random.uniform(0, 0.3, (size, size))
    path = discs(steps, (size, size)) + noise + random.normal(0, 0.05, (steps, size, size))
    assert len(path_animation(path, path[-1], limit=150_000)) <= 150_000


def test_images_without_any_contrast() -> None:
    frames, _ = frames_of(path_animation(np.zeros((2, 16, 16)), np.zeros((16, 16))))
    assert len(frames) == 2


@pytest.mark.parametrize(
    ("warped", "fixed", "limit", "message"),
    [
        ((1, 16, 16), (16, 16), 150_000, r"shape \[1, 16, 16\] does not lead to an image of \[16, 16\]"),
        ((3, 16, 16), (16, 17), 150_000, r"does not lead to an image of \[16, 17\]"),
        ((3, 16, 16), (16, 16), 100, "above 100"),
    ],
)
def test_what_is_no_path_is_refused(warped: tuple, fixed: tuple, limit: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        path_animation(np.ones(warped), np.ones(fixed), limit)

"""The continuous deformation of a pair as a small animation, for a page or a README."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .panels import DARK, ERROR_MAP
from .style import WARPED

PANEL = 200  # pixels of a panel's longer side
GAP, CAPTION, BAR = 6, 22, 5
STEP_MS, HOLD_MS = 110, 900
QUALITIES = (80, 60, 40, 20, 5)
INK = "#f2f5f7"
FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"  # the other figures' own


def path_animation(warped: np.ndarray, fixed: np.ndarray, limit: int = 150_000) -> bytes:
    """Show the way to the fixed image and back, as an animated WebP image that repeats for ever.

    From left to right: the image at eta, the fixed image, their absolute difference on one scale; below, how far the
    way is. The quality falls until the animation is small enough.

    Args:
        warped: (steps, H, W), warped images at eta from 0 to 1 in equal steps; with axes (i, j), shown with j down.
        fixed: (H, W).
        limit: bytes not to exceed.

    Raises:
        ValueError: for fewer than two images, images of another shape than ``fixed``, or a limit out of reach.
    """
    if warped.ndim != 3 or len(warped) < 2 or warped.shape[1:] != fixed.shape:
        raise ValueError(f"A path of shape {list(warped.shape)} does not lead to an image of {list(fixed.shape)}.")
    frames = _frames(warped, fixed)
    durations = [STEP_MS] * len(frames)
    durations[0] = durations[-1] = HOLD_MS
    there_and_back, times = frames + frames[-2:0:-1], durations + durations[-2:0:-1]
    for quality in QUALITIES:
        content = _animated(there_and_back, times, quality)
        if len(content) <= limit:
            return content
    raise ValueError(f"{len(frames)} steps of {list(fixed.shape)} take {len(content)} bytes, above {limit}.")


def _frames(warped: np.ndarray, fixed: np.ndarray) -> list[Image.Image]:
    top = float(np.percentile([*warped, fixed], 99.5)) or 1.0  # a few bright voxels need not be told apart
    widest = float(np.percentile(abs(fixed - warped), 99.5)) or 1.0
    etas = np.linspace(0, 1, len(warped))
    return [
        _frame(
            [_coloured(image / top, "gray"), _coloured(fixed / top, "gray"),
             _coloured(abs(fixed - image) / widest, ERROR_MAP)],
            eta,
        )
        for eta, image in zip(etas, warped, strict=True)
    ]  # fmt: skip


def _coloured(image: np.ndarray, colours: str) -> Image.Image:
    rgb = matplotlib.colormaps[colours](np.clip(image.T, 0, 1), bytes=True)[..., :3]
    picture = Image.fromarray(np.ascontiguousarray(rgb))
    scale = PANEL / max(picture.size)
    size = [max(1, round(n * scale)) for n in picture.size]
    return picture.resize(size, Image.Resampling.BICUBIC)


def _frame(panels: list[Image.Image], eta: float) -> Image.Image:
    width, height = panels[0].size
    canvas = Image.new("RGB", (3 * width + 2 * GAP, CAPTION + height + GAP + BAR), DARK)
    draw, font = ImageDraw.Draw(canvas), ImageFont.truetype(FONT, 12)
    captions = (f"warped, \N{GREEK SMALL LETTER ETA} = {eta:.2f}", "fixed", "|fixed \N{MINUS SIGN} warped|")
    for place, (panel, caption) in enumerate(zip(panels, captions, strict=True)):
        left = place * (width + GAP)
        canvas.paste(panel, (left, CAPTION))
        draw.text((left + 4, 3), caption, fill=INK, font=font)
    below = CAPTION + height + GAP
    draw.rectangle((0, below, round(eta * canvas.width), below + BAR), fill=WARPED)
    return canvas


def _animated(frames: list[Image.Image], durations: list[int], quality: int) -> bytes:
    buffer = io.BytesIO()
    first, *others = frames
    first.save(buffer, "webp", save_all=True, append_images=others, duration=durations, loop=0, quality=quality)
    return buffer.getvalue()

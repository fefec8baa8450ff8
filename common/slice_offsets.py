"""How far the content of one slice of a stack lies from its neighbours', by their correlation at every offset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SMOOTH = 2.0
"""Mm: a Gaussian over the images, so that noise does not count."""
HOLD = 5e-4
"""Correlation per mm^2 that an offset loses with its distance from where it is expected."""
FLAT = 1e-6
"""Share of the images' variance below which a slice has no structure."""


@dataclass(frozen=True, eq=False)
class Likeness:
    """The correlation of two slices of a stack at every offset of whole voxels.

    Attributes:
        first, second: the slices.
        surface: (2 * R + 1, 2 * S + 1); its middle is no offset: ``first(x)`` is compared with ``second(x + d)``.
        plane: mm of a voxel.
    """

    first: int
    second: int
    surface: np.ndarray
    plane: np.ndarray

    def peak(self, expected: np.ndarray) -> tuple[np.ndarray, float]:
        """The offset (2,) in mm where it is highest near ``expected``, to a part of a voxel, and how alike they are.

        At the end of the offsets there is no peak, and nothing that they have in common: 0.
        """
        reach = np.array(self.surface.shape) // 2
        steps = np.indices(self.surface.shape) - reach[:, None, None]
        apart = steps * self.plane[:, None, None] - expected[:, None, None]
        held = self.surface - HOLD * (apart**2).sum(0)
        top = np.array(np.unravel_index(held.argmax(), held.shape))
        if (np.abs(top - reach) == reach).any():
            return expected, 0.0
        i, j = top
        vertex = _vertex(held[i - 1 : i + 2, j]), _vertex(held[i, j - 1 : j + 2])
        return (top - reach + vertex) * self.plane, max(float(self.surface[i, j]), 0.0)


def _vertex(three: np.ndarray) -> float:
    """Where the parabola through three values, the middle one the highest, has its vertex: -0.5 to 0.5."""
    bend = 2 * three[1] - three[0] - three[2]
    return float(0.5 * (three[2] - three[0]) / bend) if bend > 0 else 0.0


def likenesses(stacks: Sequence[np.ndarray], plane: np.ndarray, weights: np.ndarray, limit: float) -> list[Likeness]:
    """Compare each slice with the next one and the one behind it, over offsets up to ``limit`` mm.

    Args:
        stacks: (slices, i, j), all of which are compared, the mean being taken.
        weights: (slices, i, j), how much each place counts; a pair is compared over those of either slice.
    """
    from scipy.ndimage import gaussian_filter  # slow to import

    reach = np.ceil(limit / plane).astype(int) + 1
    images = np.stack([gaussian_filter(stack, (0, *(SMOOTH / plane))) for stack in stacks], axis=1)
    images, weights = _cut(images, weights, reach)
    flat = FLAT * images.var(axis=(0, 2, 3))
    found = []
    for step in (1, 2):
        for k in range(len(images) - step):
            there = _correlation(images[k], images[k + step], weights[k], reach, flat)
            back = _correlation(images[k + step], images[k], weights[k + step], reach, flat)
            found.append(Likeness(k, k + step, (there + back[::-1, ::-1]) / 2, plane))
    return found


def _cut(images: np.ndarray, weights: np.ndarray, reach: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Leave out what counts nowhere, whatever the offset."""
    counts = np.argwhere((weights > 1e-3 * weights.max()).any(axis=0))
    start, stop = np.maximum(counts.min(axis=0) - reach, 0), counts.max(axis=0) + reach + 1
    rows, columns = (slice(a, b) for a, b in zip(start, stop, strict=True))
    return images[..., rows, columns], weights[..., rows, columns]


def _correlation(a: np.ndarray, b: np.ndarray, weight: np.ndarray, reach: np.ndarray, flat: np.ndarray) -> np.ndarray:
    """Correlate ``a(x)`` with ``b(x + d)``, both (images, i, j), over ``weight(x)`` at all offsets d up to ``reach``.

    With w of sum 1 and E[f] = sum w f: (E[a b_d] - E[a] E[b_d]) / sqrt(var a var b_d), 0 where either is flat; each
    sum over x is one product of Fourier transforms.
    """
    size = [n + 2 * r for n, r in zip(a.shape[1:], reach, strict=True)]
    share = (weight / weight.sum()).astype(float)
    b = b - b.mean(axis=(1, 2), keepdims=True)  # float32 to float64 differences of squares stay exact enough
    centred = a - (a * share).sum(axis=(1, 2), keepdims=True)
    window = np.conj(np.fft.rfft2(share, size))
    sums = np.fft.irfft2(np.stack([
        np.conj(np.fft.rfft2(centred * share, size)) * np.fft.rfft2(b, size),
        window * np.fft.rfft2(b, size),
        window * np.fft.rfft2(b * b, size),
    ]), size)  # fmt: skip
    rows, columns = (np.arange(-r, r + 1) % n for r, n in zip(reach, size, strict=True))
    product, mean, square = sums[:, :, rows][..., columns]
    own, other = (centred**2 * share).sum(axis=(1, 2))[:, None, None], square - mean**2
    seen = (own > flat[:, None, None]) & (other > flat[:, None, None])
    return np.where(seen, product / np.sqrt(np.where(seen, own * other, 1)), 0).mean(axis=0)

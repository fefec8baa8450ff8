"""Random displacements with a given standard deviation and a stated correlation over space."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import fft


def correlated_noise(
    random: np.random.Generator, count: int, shape: Sequence[int], spacing: Sequence[float], length: float
) -> np.ndarray:
    """Draw (count, *shape) Gaussian fields of variance 1 whose values correlate by exp(-d^2 / (2 length^2)).

    Stationary: the covariance is diagonalised by the Fourier transform on a torus that is longer than the grid by four
    lengths on each axis, so that opposite faces do not correlate (Dietrich and Newsam, 1997).

    Args:
        spacing: mm of a voxel along each axis.
        length: mm; d is the distance of two voxels.
    """
    wanted = [n + int(np.ceil(4 * length / h)) if n > 1 else 1 for n, h in zip(shape, spacing, strict=True)]
    larger = [fft.next_fast_len(n, real=True) for n in wanted]
    root = np.ones((), np.float32)
    for n, h in zip(larger, spacing, strict=True):
        distance = np.minimum(np.arange(n), n - np.arange(n)) * h
        spectrum = fft.fft(np.exp(-(distance**2) / (2 * length**2))).real.clip(0)
        root = root[..., None] * np.sqrt(spectrum / spectrum.mean()).astype(np.float32)
    axes = tuple(range(1, len(larger) + 1))
    white = random.standard_normal((count, *larger), dtype=np.float32)
    half = root[..., : larger[-1] // 2 + 1]
    drawn = fft.irfftn(fft.rfftn(white, axes=axes) * half, larger, axes=axes)
    return drawn[(slice(None), *[slice(n) for n in shape])]

"""A studies folder of a few images, oblique in space."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from common.nifti import save_image

AFFINE = np.array([[1.2, -0.5, 0.1, -30], [0.6, 1.1, -0.2, 12], [0.05, 0.3, 6, 40], [0, 0, 0, 1.0]])
SHIFT = np.outer([5, 0, 0, 0], [0, 0, 0, 1])  # mm


def image(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Blobs of smooth noise, values from 0 to about 100."""
    noise = gaussian_filter(np.random.default_rng(seed).random(shape), [2, 2, *[0] * (len(shape) - 2)])
    return (100 * (noise - noise.min()) / np.ptp(noise)).astype(np.float32)


@pytest.fixture(scope="session")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stacks ``a`` and ``b`` of one grid, ``other`` of another, a ``cine`` of 5 frames, a label map of ``a``."""
    folder = tmp_path_factory.mktemp("studies")
    for seed, name in enumerate("ab"):
        save_image(folder / f"{name}.nii.gz", image((40, 36, 3), seed), AFFINE)
    save_image(folder / "shifted.nii.gz", image((40, 36, 3), 2), AFFINE + SHIFT)
    save_image(folder / "small.nii.gz", image((30, 36, 3), 3), AFFINE)
    save_image(folder / "cine.nii.gz", image((40, 36, 3, 5), 4), AFFINE)
    label = (image((40, 36, 3), 0) > 50).astype(np.uint8)
    save_image(folder / "labels" / "final" / "a.nii.gz", label, AFFINE)
    save_image(folder / "a_seg.nii.gz", 2 * label, AFFINE)
    (folder / "text.nii.gz").write_text("no image")
    return folder

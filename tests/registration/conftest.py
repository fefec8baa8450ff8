"""What tests of registration share: files on an oblique grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.nifti import save_image

SPACING = (1.5, 2.0, 5.0)  # mm


@pytest.fixture
def affine() -> np.ndarray:
    """Of an oblique, anisotropic grid."""
    angle = 0.4
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    affine[:3, :3] = affine[:3, :3] @ np.diag(SPACING)
    affine[:3, 3] = [5, -7, 11]
    return affine


@pytest.fixture
def files(tmp_path: Path, affine: np.ndarray) -> dict[str, Path]:
    """A stack of 37 x 30 x 4 with intensities of its own, and a label."""
    rng = np.random.default_rng(0)
    moving = 100 + 900 * rng.random((37, 30, 4)).astype(np.float32)
    label = np.zeros((37, 30, 4), np.uint8)
    label[12:20, 10:18, 1:3] = 3
    arrays = {"moving": moving, "fixed": np.roll(moving, -2, 0) + 5, "moving_label": label}
    for name, array in arrays.items():
        save_image(tmp_path / f"{name}.nii.gz", array, affine)
    return {name: tmp_path / f"{name}.nii.gz" for name in arrays}

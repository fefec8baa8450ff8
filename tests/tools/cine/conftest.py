"""A ring that contracts and relaxes, and its motion, known exactly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from ring_cine import SCALES, centred, ring

from common.fields import to_physical
from tools.cine.motion import Motion

Save = Callable[..., Path]


@pytest.fixture(scope="session")
def affine() -> np.ndarray:
    """An oblique grid of 1.5 x 1.5 x 8 mm."""
    c, s = np.cos(0.4), np.sin(0.4)
    turned = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    affine = np.eye(4)
    affine[:3, :3] = turned @ np.diag([-1.5, -1.5, 8])
    affine[:3, 3] = [40, 30, -10]
    return affine


def save_cine(path: Path, frames: np.ndarray, affine: np.ndarray, step: float = 40, unit: str = "msec") -> Path:
    """Write (T, i, j[, k]) as a 4D file."""
    frames = frames if frames.ndim == 4 else frames[..., None]
    image = nib.Nifti1Image(np.moveaxis(frames, 0, 3), affine)
    image.header.set_xyzt_units("mm", unit)
    image.header["pixdim"][4] = step
    nib.save(image, path)
    return path


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """``save(name, frames, affine, step, unit)``: a 4D file in this test's folder."""
    return lambda name, *args: save_cine(tmp_path / name, *args)


@pytest.fixture(scope="module")
def ring_cine(tmp_path_factory: pytest.TempPathFactory, affine: np.ndarray) -> tuple[Path, Path]:
    """The files of a stack of two slices of 64 x 64 over four frames, and of its labels over time."""
    made, folder = [ring(64, scale) for scale in SCALES], tmp_path_factory.mktemp("cine")
    images, labels = (np.stack([np.stack([each[kind]] * 2, axis=-1) for each in made]) for kind in (0, 1))
    return save_cine(folder / "ring.nii.gz", images, affine), save_cine(folder / "ring_gt.nii.gz", labels, affine)


@pytest.fixture
def contraction(affine: np.ndarray) -> Callable[..., Motion]:
    """``contraction(size, scales, uncertainty)``: the motion of a plane that shrinks about its middle."""

    def make(size: int = 96, scales: tuple[float, ...] = SCALES, uncertainty: float | None = None) -> Motion:
        vectors = [to_physical((centred(size) * (1 / s - 1))[..., None], affine) for s in scales]
        maps = {}
        if uncertainty is not None:
            maps["uncertainty_mm"] = np.full((len(scales), size, size, 1), uncertainty, np.float32)
            maps["uncertainty_mm"][0] = 0
        seen = np.ones((size, size, 1), bool)
        return Motion(np.stack(vectors).astype(np.float32), affine, 2, 0, seen, maps)

    return make

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest


def rotation(degrees: tuple[float, float, float]) -> np.ndarray:
    """Rotate about x, then y, then z."""
    x, y, z = np.deg2rad(degrees)
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


@pytest.fixture
def oblique() -> np.ndarray:
    """An affine that is rotated about every axis, left-handed, with oblong voxels."""
    affine = np.eye(4)
    affine[:3, :3] = rotation((20, -35, 50)) @ np.diag([-1.2, 0.8, 5.0])
    affine[:3, 3] = [10, -20, 30]
    return affine


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a NIfTI file into the test's folder."""

    def write(name: str, array: np.ndarray, affine: np.ndarray | None = None) -> Path:
        nib.save(nib.Nifti1Image(array, np.eye(4) if affine is None else affine), tmp_path / name)
        return tmp_path / name

    return write


@pytest.fixture(scope="session")
def itk():
    """ITK, whose wrapping crashes where its own warnings are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = pytest.importorskip("itk")
        module.Image, module.imread  # noqa: B018  loads the parts that warn
        yield module

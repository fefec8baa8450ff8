"""Fields to and from ANTs itself, where antspyx is installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.fields import Field, lps_frame
from common.io import read_field, read_image, write_field
from common.nifti import save_image
from common.physical import grid_points, transform_points, warp_image

ants = pytest.importorskip("ants", reason="antspyx is not installed")


def grid(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """Turned, perhaps flipped, and anisotropic, with its middle at the origin of space."""
    random, dims, affine = np.random.default_rng(seed), len(shape), np.eye(4)
    turn = np.linalg.qr(random.normal(size=(dims, dims)))[0]
    affine[:dims, :dims] = turn * random.uniform(0.7, 2.0, dims)
    affine[:dims, 3] = -affine[:dims, :dims] @ ((np.array(shape) - 1) / 2)
    return affine


def blobs(shape: tuple[int, ...], affine: np.ndarray, shift: float = 0.0) -> np.ndarray:
    """A few round blobs in space, moved by ``shift`` mm along every axis."""
    points, random = grid_points(shape, affine), np.random.default_rng(1)
    centres = random.uniform(-6, 6, (8, len(shape))) + shift
    return sum(np.exp(-((points - c) ** 2).sum(-1) / 12) for c in centres).astype(np.float32) / 3


def inside(field: Field, shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    """Where the field points into an image: at the border programs differ."""
    matrix, origin = lps_frame(affine, field.dims)
    index = (grid_points(field.shape, field.affine) + field.vectors - origin) @ np.linalg.inv(matrix).T
    return ((index >= 0) & (index <= np.array(shape) - 1)).all(-1)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(("format", "name"), [("ants", "f_Warp.nii.gz"), ("itk", "f.h5"), ("itk", "f.tfm")])
def test_ants_applies_what_we_write(tmp_path: Path, dims: int, format: str, name: str) -> None:
    shape, other = (20, 18, 15)[:dims], (17, 24, 16)[:dims]
    affine, moving_affine = grid(1, shape), grid(2, other)
    random = np.random.default_rng(0)
    moving = random.random(other).astype(np.float32)
    vectors = np.sin(grid_points(shape, affine) / 5 + random.uniform(0, 6, dims)) * 3
    field = Field(vectors, affine)
    save_image(tmp_path / "moving.nii.gz", moving, moving_affine)
    save_image(tmp_path / "fixed.nii.gz", np.zeros(shape, np.float32), affine)
    path = str(write_field(tmp_path / name, field, format))
    images = [ants.image_read(str(tmp_path / f"{key}.nii.gz")) for key in ("fixed", "moving")]
    theirs = ants.apply_transforms(*images, transformlist=[path], interpolator="linear").numpy()
    where = inside(field, other, moving_affine)
    assert 0.3 < where.mean() < 1
    np.testing.assert_allclose(warp_image(moving, moving_affine, field)[where], theirs[where], atol=1e-5)
    pandas = pytest.importorskip("pandas")
    places = grid_points(shape, affine)[(slice(4, 8),) * dims].reshape(-1, dims) + 0.2
    table = pandas.DataFrame(places, columns=list("xyz")[:dims])
    moved = ants.apply_transforms_to_points(dims, table, [path]).to_numpy()
    np.testing.assert_allclose(transform_points(places, field), moved, atol=1e-5)


@pytest.mark.parametrize("dims", [2, 3])
def test_we_apply_what_ants_registers(tmp_path: Path, dims: int) -> None:
    shape, other = (28, 26, 24)[:dims], (30, 27, 25)[:dims]
    affine, moving_affine = grid(1, shape), grid(2, other)
    save_image(tmp_path / "fixed.nii.gz", blobs(shape, affine), affine)
    save_image(tmp_path / "moving.nii.gz", blobs(other, moving_affine, 1.5), moving_affine)
    fixed, moving = (ants.image_read(str(tmp_path / f"{key}.nii.gz")) for key in ("fixed", "moving"))
    found = ants.registration(
        fixed, moving, "SyNOnly", initial_transform="identity", reg_iterations=(20, 10), outprefix=f"{tmp_path}/syn",
        syn_metric="meansquares",
    )  # fmt: skip
    warp = next(path for path in found["fwdtransforms"] if "Warp" in path)
    theirs = ants.apply_transforms(fixed, moving, [warp], interpolator="linear").numpy()
    field, image = read_field(warp), read_image(tmp_path / "moving.nii.gz")
    assert np.linalg.norm(field.vectors, axis=-1).max() > 1
    where = inside(field, other, moving_affine)
    assert where.mean() > 0.3
    np.testing.assert_allclose(warp_image(image.array, image.affine, field)[where], theirs[where], atol=1e-5)

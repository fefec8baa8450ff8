from __future__ import annotations

import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from common.errors import InputError
from common.fields import Field, to_physical, to_voxels
from common.io import read_field, write_field
from common.nifti import save_image
from common.spatial import warp


def smooth(shape: tuple[int, ...], size: float, seed: int) -> np.ndarray:
    """A map of a few random waves, at most ``size`` large."""
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*[np.linspace(0, 1, n) for n in shape], indexing="ij")
    waves = sum(np.sin(2 * np.pi * sum(rng.uniform(-1, 1) * a for a in axes) + rng.uniform(0, 6)) for _ in range(4))
    return (size * waves / 4).astype(np.float32)


def image_in_zeros(shape: tuple[int, ...]) -> np.ndarray:
    """A random image with a margin of zeros: programs differ in what they sample half a voxel outside."""
    array = np.zeros(shape, np.float32)
    inner = tuple(slice(2, -2) if n > 6 else slice(None) for n in shape)
    array[inner] = np.random.default_rng(0).random(array[inner].shape)
    return array


def warped_by_itk(itk, moving: Path, field: Path) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image, vectors = itk.imread(str(moving), itk.F), itk.imread(str(field))
        warper = itk.WarpImageFilter[type(image), type(image), type(vectors)].New()
        warper.SetInput(image)
        warper.SetDisplacementField(vectors)
        warper.SetOutputParametersFromImage(image)
        warper.Update()
        return itk.array_from_image(warper.GetOutput()).T


def resampled_by_itk(itk, moving: Path, field: Path, dims: int) -> np.ndarray:
    """The same by ITK's transform; loading what that needs takes many seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image, read = itk.imread(str(moving), itk.F), itk.imread(str(field))
        # resampling is wrapped for double precision only
        kind = itk.Image[itk.Vector[itk.D, dims], dims]
        vectors = itk.image_view_from_array(itk.array_from_image(read).astype(np.float64), ttype=kind)
        vectors.SetOrigin(read.GetOrigin())
        vectors.SetSpacing(read.GetSpacing())
        vectors.SetDirection(read.GetDirection())
        transform = itk.DisplacementFieldTransform[itk.D, dims].New()
        transform.SetDisplacementField(vectors)
        resampler = itk.ResampleImageFilter.New(image, transform=transform)
        resampler.SetReferenceImage(image)
        resampler.UseReferenceImageOn()
        resampler.Update()
        return itk.array_from_image(resampler.GetOutput()).T


def volume(folder: Path, affine: np.ndarray) -> np.ndarray:
    """Write a moving volume and a field, and return what we make of them."""
    shape = (15, 18, 9)
    moving = image_in_zeros(shape)
    ddf = np.stack([smooth(shape, size, seed) for seed, size in enumerate((2.5, 2.0, 1.5))])
    save_image(folder / "moving.nii.gz", moving, affine)
    write_field(folder / "field.nii.gz", Field(to_physical(ddf, affine), affine))
    ours = warp(torch.tensor(moving)[None, None], torch.tensor(ddf)[None])[0, 0].numpy()
    assert np.abs(ours - moving).max() > 0.3
    return ours


def test_itk_warps_a_volume_on_an_oblique_grid_as_we_do(itk, tmp_path: Path, oblique: np.ndarray) -> None:
    ours = volume(tmp_path, oblique)
    theirs = warped_by_itk(itk, tmp_path / "moving.nii.gz", tmp_path / "field.nii.gz")
    np.testing.assert_allclose(theirs, ours, atol=2e-4)


@pytest.mark.slow
def test_itk_resamples_a_volume_by_the_field_as_a_transform(itk, tmp_path: Path, oblique: np.ndarray) -> None:
    ours = volume(tmp_path, oblique)
    theirs = resampled_by_itk(itk, tmp_path / "moving.nii.gz", tmp_path / "field.nii.gz", 3)
    np.testing.assert_allclose(theirs, ours, atol=2e-4)


@pytest.mark.parametrize("slices", [5, 1])
def test_itk_warps_a_stack_slice_by_slice_as_we_do(itk, tmp_path: Path, oblique: np.ndarray, slices: int) -> None:
    shape = (20, 17, slices)
    moving = image_in_zeros(shape)
    ddf = np.stack([smooth(shape, 3.0, 5), smooth(shape, 2.0, 6)])
    save_image(tmp_path / "moving.nii.gz", moving, oblique)
    write_field(tmp_path / "field.nii.gz", Field(to_physical(ddf, oblique), oblique))
    ours = warp(torch.tensor(moving).movedim(2, 0)[:, None], torch.tensor(ddf).movedim(3, 0))[:, 0]
    theirs = warped_by_itk(itk, tmp_path / "moving.nii.gz", tmp_path / "field.nii.gz")
    np.testing.assert_allclose(theirs, ours.movedim(0, 2).numpy(), atol=2e-4)


def test_itk_warps_a_2d_image_as_we_do(itk, tmp_path: Path) -> None:
    affine = np.diag([-1.5, 0.7, 1, 1.0])
    affine[:2, 3] = [30, -12]
    moving = image_in_zeros((20, 17))
    ddf = np.stack([smooth((20, 17), 3.0, 5), smooth((20, 17), 2.0, 6)])
    save_image(tmp_path / "moving.nii.gz", moving, affine)
    write_field(tmp_path / "field.nii.gz", Field(to_physical(ddf, affine), affine))
    ours = warp(torch.tensor(moving)[None, None], torch.tensor(ddf)[None])[0, 0].numpy()
    theirs = warped_by_itk(itk, tmp_path / "moving.nii.gz", tmp_path / "field.nii.gz")
    np.testing.assert_allclose(theirs, ours, atol=2e-4)


def test_a_stored_vector_is_in_lps_millimetres(tmp_path: Path) -> None:
    ddf = np.zeros((3, 4, 5, 6), np.float32)
    ddf[0], ddf[1], ddf[2] = 1, 2, 3
    write_field(
        tmp_path / "field.nii.gz", Field(to_physical(ddf, np.diag([2.0, 3.0, 4.0, 1.0])), np.diag([2.0, 3.0, 4.0, 1.0]))
    )
    image = nib.load(tmp_path / "field.nii.gz")
    assert image.shape == (4, 5, 6, 1, 3)
    assert image.header["intent_code"] == 1007
    np.testing.assert_allclose(np.asarray(image.dataobj)[1, 1, 1, 0], [-2, -6, 12])


@pytest.mark.parametrize("shape", [(3, 6, 5, 4), (2, 6, 5, 4), (2, 6, 5)])
def test_voxels_come_back_from_the_file(tmp_path: Path, oblique: np.ndarray, shape: tuple[int, ...]) -> None:
    ddf = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    np.testing.assert_allclose(to_voxels(to_physical(ddf, oblique), oblique)[: shape[0]], ddf, atol=1e-5)
    write_field(tmp_path / "field.nii.gz", Field(to_physical(ddf, oblique), oblique))
    field = read_field(tmp_path / "field.nii.gz")
    read = to_voxels(field.vectors, field.affine)
    np.testing.assert_allclose(read[: shape[0]], ddf, atol=1e-4)
    np.testing.assert_allclose(read[shape[0] :], 0, atol=1e-4)
    np.testing.assert_allclose(field.affine, oblique, atol=1e-4)


def test_a_lone_slice_is_stored_twice_and_read_once(tmp_path: Path, oblique: np.ndarray) -> None:
    ddf = np.random.default_rng(1).normal(size=(2, 6, 5, 1)).astype(np.float32)
    write_field(tmp_path / "field.nii.gz", Field(to_physical(ddf, oblique), oblique))
    assert nib.load(tmp_path / "field.nii.gz").shape == (6, 5, 2, 1, 3)
    field = read_field(tmp_path / "field.nii.gz")
    np.testing.assert_allclose(to_voxels(field.vectors, field.affine)[:2], ddf, atol=1e-4)


def test_an_image_is_no_field(write) -> None:
    with pytest.raises(InputError, match=r"image.nii.gz: shape \[4, 4, 4\] is not that of a displacement field"):
        read_field(write("image.nii.gz", np.zeros((4, 4, 4), np.float32)))
    with pytest.raises(InputError, match="absent.nii.gz: cannot be read"):
        read_field("absent.nii.gz")

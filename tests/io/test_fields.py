"""Displacement fields as files: what comes back, and what ITK itself does with them."""

from __future__ import annotations

import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from common.errors import InputError
from common.fields import Field, lps_frame, to_physical, to_voxels
from common.io import read_field, write_field
from common.io.fields import FORMATS
from common.nifti import save_image
from common.physical import grid_points, jacobian_determinant, transform_points, warp_image

FILES = [("nifti", "f.nii.gz"), ("nifti", "f.nii"), ("ants", "f.nii.gz"), ("itk", "f.h5"), ("itk", "f.tfm")]


def grid(seed: int, shape: tuple[int, ...], spacing: float = 1.0) -> np.ndarray:
    """Turned, perhaps flipped, and anisotropic, with its middle at the origin of space."""
    random, dims, affine = np.random.default_rng(seed), len(shape), np.eye(4)
    turn = np.linalg.qr(random.normal(size=(dims, dims)))[0]
    affine[:dims, :dims] = turn * random.uniform(0.7, 2.0, dims) * spacing
    affine[:dims, 3] = -affine[:dims, :dims] @ ((np.array(shape) - 1) / 2)
    return affine


def waves(shape: tuple[int, ...], size: float, seed: int) -> np.ndarray:
    """Smooth random vectors, (*shape, D), at most ``size`` mm along each axis."""
    random, axes = np.random.default_rng(seed), np.meshgrid(*[np.linspace(0, 1, n) for n in shape], indexing="ij")
    phases = random.uniform(-3, 3, (len(shape), len(shape) + 1))
    return size * np.stack([np.sin(sum(w * a for w, a in zip(row, axes)) + row[-1]) for row in phases], axis=-1)


def field_of(shape: tuple[int, ...], seed: int = 0) -> Field:
    return Field(waves(shape, 3.0, seed), grid(seed, shape))


def inside(field: Field, shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    """Where the field points into an image: at the border programs differ."""
    matrix, origin = lps_frame(affine, field.dims)
    index = (grid_points(field.shape, field.affine) + field.vectors - origin) @ np.linalg.inv(matrix).T
    return ((index >= 0) & (index <= np.array(shape) - 1)).all(-1)


@pytest.mark.parametrize("shape", [(7, 6, 5), (7, 6, 1), (7, 6)])
@pytest.mark.parametrize(("format", "name"), FILES)
def test_a_field_comes_back(tmp_path: Path, shape: tuple[int, ...], format: str, name: str) -> None:
    field = field_of(shape)
    assert write_field(tmp_path / name, field, format) == tmp_path / name
    assert [file.name for file in tmp_path.iterdir()] == [name]
    read = read_field(tmp_path / name)
    np.testing.assert_allclose(read.vectors, field.vectors, atol=1e-6)
    for ours, theirs in zip(lps_frame(field.affine, field.dims), lps_frame(read.affine, field.dims)):
        np.testing.assert_allclose(theirs, ours, atol=1e-5)


def test_the_same_field_is_the_same_file(tmp_path: Path) -> None:
    for name in ("a.nii.gz", "b.nii.gz"):
        write_field(tmp_path / name, field_of((5, 4, 3)))
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_learn2reg_has_voxels_along_array_axes(tmp_path: Path) -> None:
    """The challenge warps by ``map_coordinates(moving, identity + disp)``."""
    from scipy.ndimage import map_coordinates

    shape = (9, 8, 7)
    field, moving = field_of(shape), np.random.default_rng(0).random(shape)
    write_field(tmp_path / "disp_1_2.nii.gz", field, "l2r")
    image = nib.load(tmp_path / "disp_1_2.nii.gz")
    disp = np.moveaxis(np.asarray(image.dataobj), -1, 0)
    assert image.shape == (9, 8, 7, 3)
    np.testing.assert_allclose(disp, to_voxels(field.vectors, field.affine), atol=1e-5)
    theirs = map_coordinates(moving, np.indices(shape) + disp, order=1)
    where = inside(field, shape, field.affine)
    np.testing.assert_allclose(warp_image(moving, field.affine, field)[where], theirs[where], atol=1e-5)
    np.testing.assert_allclose(read_field(tmp_path / "disp_1_2.nii.gz").vectors, field.vectors, atol=1e-5)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", ["f.h5", "f.tfm"])
def test_itk_resamples_between_two_grids_as_we_do(itk, tmp_path: Path, dims: int, name: str) -> None:
    shape, other = (20, 18, 15)[:dims], (17, 24, 16)[:dims]
    field, moving_affine = field_of(shape, 1), grid(2, other)
    moving = np.random.default_rng(0).random(other).astype(np.float32)
    save_image(tmp_path / "moving.nii.gz", moving, moving_affine)
    save_image(tmp_path / "fixed.nii.gz", np.zeros(shape, np.float32), field.affine)
    write_field(tmp_path / name, field, "itk")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = [itk.imread(str(tmp_path / f"{key}.nii.gz"), itk.F) for key in ("moving", "fixed")]
        transform = itk.down_cast(itk.transformread(str(tmp_path / name))[0])
        out = itk.resample_image_filter(read[0], reference_image=read[1], use_reference_image=True, transform=transform)
        theirs = itk.array_from_image(out).T
        places = grid_points(shape, field.affine)[(slice(3, 6),) * dims].reshape(-1, dims) + 0.2
        points = [list(transform.TransformPoint([float(v) for v in place])) for place in places]
    where = inside(field, other, moving_affine)
    assert 0.3 < where.mean() < 1
    np.testing.assert_allclose(warp_image(moving, moving_affine, field)[where], theirs[where], atol=1e-5)
    np.testing.assert_allclose(transform_points(places, field), points, atol=1e-5)


def test_itk_finds_the_same_determinant_within_the_border(itk, tmp_path: Path) -> None:
    """Central differences too, but ITK's filter ignores how a grid is turned, so this one is not."""
    field = Field(waves((9, 10, 8), 3.0, 3), np.diag([-1.2, -0.8, 2.0, 1.0]))
    write_field(tmp_path / "f.nii.gz", field)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = itk.displacement_field_jacobian_determinant_filter(itk.imread(str(tmp_path / "f.nii.gz")))
        theirs = itk.array_from_image(theirs).T
    inner = (slice(1, -1),) * 3
    ours = jacobian_determinant(field)
    assert ours.std() > 0.05
    np.testing.assert_allclose(ours[inner], theirs[inner], rtol=1e-4)


@pytest.mark.parametrize("ending", ["mha", "nrrd"])
@pytest.mark.parametrize("shape", [(7, 6, 5), (7, 6)])
def test_a_vector_image_of_itk_is_read(itk, tmp_path: Path, shape: tuple[int, ...], ending: str) -> None:
    field = field_of(shape, 4)
    write_field(tmp_path / "f.nii.gz", field)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        itk.imwrite(itk.imread(str(tmp_path / "f.nii.gz")), str(tmp_path / f"f.{ending}"))
    read = read_field(tmp_path / f"f.{ending}")
    np.testing.assert_allclose(read.vectors, field.vectors, atol=1e-6)
    points = np.zeros((1, field.dims))
    np.testing.assert_allclose(transform_points(points, read), transform_points(points, field), atol=1e-4)


def test_vectors_stored_in_ras_are_turned_as_itk_does(itk, tmp_path: Path) -> None:
    field = field_of((7, 6, 5))
    image = nib.Nifti1Image(field.vectors[:, :, :, None], field.affine)
    image.header.set_intent(1006)
    nib.save(image, tmp_path / "f.nii.gz")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = itk.array_from_image(itk.imread(str(tmp_path / "f.nii.gz"))).transpose(2, 1, 0, 3)
    np.testing.assert_allclose(read_field(tmp_path / "f.nii.gz").vectors, theirs, atol=1e-6)


def test_bad_fields_are_named(itk, tmp_path: Path, write) -> None:
    def message(path: Path) -> str:
        with pytest.raises(InputError) as caught:
            read_field(path)
        assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)
        return str(caught.value)

    assert "no such file" in message(tmp_path / "absent.h5")
    (tmp_path / "field.png").write_bytes(b"")
    assert "unknown format" in message(tmp_path / "field.png")
    for name in ("broken.h5", "broken.tfm", "broken.nii.gz", "broken.mha"):
        (tmp_path / name).write_bytes(b"nothing of the kind")
        assert "cannot be read" in message(tmp_path / name)
    assert "is not that of a displacement field" in message(write("i.nii", np.zeros((4, 4, 4), np.float32)))
    assert "is not that of a displacement field" in message(write("c.nii", np.zeros((4, 4, 4, 3), np.int16)))
    vectors = np.zeros((4, 4, 4, 1, 3), np.float32)
    vectors[0, 1, 2, 0, 1] = np.nan
    assert "1 vectors of the field are NaN" in message(write("nan_field.nii", vectors))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        itk.transformwrite([itk.AffineTransform[itk.D, 3].New()], str(tmp_path / "affine.tfm"))
    assert "holds a linear transform" in message(tmp_path / "affine.tfm")


def test_nothing_is_written_for_a_bad_request(tmp_path: Path) -> None:
    flat = field_of((5, 4))
    for name, format, said in [
        ("f.nii.gz", "vtk", "format 'vtk' is unknown"),
        ("f.nii.gz", "itk", "format itk has the ending .h5 or .hdf5 or .tfm"),
        ("f.h5", "ants", "format ants has the ending"),
        ("f.nii.gz", "l2r", "Learn2Reg has no 2D fields"),
    ]:
        with pytest.raises(InputError, match=said):
            write_field(tmp_path / name, flat, format)
    (tmp_path / "file").write_text("")
    for name, format in (("f.nii.gz", "nifti"), ("f.h5", "itk")):
        with pytest.raises(InputError, match="cannot be written"):
            write_field(tmp_path / "file" / name, flat, format)
    assert [file.name for file in tmp_path.iterdir()] == ["file"] and set(FORMATS) == {"nifti", "itk", "ants", "l2r"}


def test_voxels_and_space_agree(oblique: np.ndarray) -> None:
    """One voxel along i is the first column of the affine, with x and y turned into LPS."""
    ddf = np.zeros((3, 2, 2, 2))
    ddf[0] = 1
    expected = oblique[:3, 0] * [-1, -1, 1]
    np.testing.assert_allclose(to_physical(ddf, oblique)[0, 0, 0], expected)

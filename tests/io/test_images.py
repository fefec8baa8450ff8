from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from common.errors import InputError
from common.forms import nifti_affine
from common.io import read_image, read_label, stem

Write = Callable[..., Path]


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).random((7, 6, 5)).astype(np.float32)


def affine_of_itk(itk, path: Path) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = itk.imread(str(path))
        affine = np.eye(4)
        affine[:3, :3] = itk.array_from_matrix(read.GetDirection()) * [read.GetSpacing()[a] for a in range(3)]
        affine[:3, 3] = [read.GetOrigin()[a] for a in range(3)]
    return np.diag([-1, -1, 1, 1]) @ affine


@pytest.mark.parametrize("ending", ["nii", "nii.gz", "mha", "nrrd"])
def test_every_format_gives_the_same_axes_and_place(
    itk, tmp_path: Path, write: Write, image: np.ndarray, oblique: np.ndarray, ending: str
) -> None:
    path = write("image.nii", image, oblique)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        itk.imwrite(itk.imread(str(path)), str(tmp_path / f"copy.{ending}"))
    read = read_image(tmp_path / f"copy.{ending}")
    np.testing.assert_array_equal(read.array, image)
    np.testing.assert_allclose(read.affine, oblique, atol=1e-4)
    np.testing.assert_allclose(read.spacing, [1.2, 0.8, 5.0], rtol=1e-5)


@pytest.mark.parametrize(("qform", "sform"), [(1, 1), (1, 2), (2, 1), (2, 2), (1, 0), (0, 1), (0, 2), (3, 4), (0, 0)])
def test_the_affine_is_the_one_that_itk_reads(
    itk, tmp_path: Path, image: np.ndarray, oblique: np.ndarray, qform: int, sform: int
) -> None:
    other = np.diag([1, -1, -1, 1.0]) @ oblique
    header = nib.Nifti1Image(image, oblique).header
    header.set_qform(other, 1)
    header.set_sform(oblique, 1)
    header["qform_code"], header["sform_code"] = qform, sform
    nib.save(nib.Nifti1Image(image, None, header), tmp_path / "image.nii")
    ours = nifti_affine(nib.load(tmp_path / "image.nii").header)
    np.testing.assert_allclose(ours, affine_of_itk(itk, tmp_path / "image.nii"), atol=1e-4)


def test_an_sform_of_unit_columns_takes_the_voxel_size_of_the_header(itk, tmp_path: Path, image: np.ndarray) -> None:
    header = nib.Nifti1Image(image, np.diag([-1.0, -1, 1, 1])).header
    header["pixdim"][1:4] = [1.5, 1.4, 10]
    header["qform_code"], header["sform_code"] = 0, 2
    nib.save(nib.Nifti1Image(image, None, header), tmp_path / "image.nii")
    read = read_image(tmp_path / "image.nii")
    np.testing.assert_allclose(read.affine, affine_of_itk(itk, tmp_path / "image.nii"), atol=1e-4)
    np.testing.assert_allclose(read.spacing, [1.5, 1.4, 10], rtol=1e-6)


def test_axes_of_one_behind_the_third_are_dropped(write: Write, image: np.ndarray) -> None:
    assert read_image(write("image.nii", image[..., None])).array.shape == (7, 6, 5)


def test_bad_images_are_named(tmp_path: Path, write: Write, image: np.ndarray) -> None:
    def message(path: Path) -> str:
        with pytest.raises(InputError) as caught:
            read_image(path)
        assert path.name in str(caught.value)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "no such file" in message(tmp_path / "absent.nii.gz")
    (tmp_path / "image.png").write_bytes(b"\x89PNG")
    assert "unknown format" in message(tmp_path / "image.png")
    (tmp_path / "text.nii.gz").write_text("not an image")
    assert "cannot be read" in message(tmp_path / "text.nii.gz")
    (tmp_path / "text.mha").write_text("not an image")
    assert "cannot be read" in message(tmp_path / "text.mha")
    for ending in ("nii", "nii.gz"):
        whole = write(f"whole.{ending}", image).read_bytes()
        (tmp_path / f"cut.{ending}").write_bytes(whole[: len(whole) * 2 // 3])
        assert "cannot be read" in message(tmp_path / f"cut.{ending}")
    broken = image.copy()
    broken[1, 2, 3], broken[0, 0, 0] = np.nan, np.inf
    assert "2 voxels are NaN or infinite" in message(write("nan.nii", broken))
    assert "every voxel is 3" in message(write("constant.nii", np.full((4, 4, 4), 3, np.int16)))
    assert "4D of shape [7, 6, 5, 2]" in message(write("cine.nii", np.stack([image, image], axis=-1)))
    colour = np.zeros((4, 4, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    assert "colour" in message(write("colour.nii", colour))


def test_a_vector_image_is_refused(itk, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        itk.imwrite(itk.image_from_array(np.zeros((4, 5, 6, 3), np.float32), is_vector=True), str(tmp_path / "v.mha"))
    with pytest.raises(InputError, match="v.mha: 3 values a voxel"):
        read_image(tmp_path / "v.mha")


def test_labels_are_whole_numbers(write: Write, image: np.ndarray) -> None:
    assert read_label(write("label.nii", np.round(3 * image))).array.dtype == np.uint8
    assert read_label(write("empty.nii", np.zeros((4, 4, 4), np.uint8))).array.max() == 0
    assert read_label(write("many.nii", np.full((4, 4, 4), 1000, np.int16))).array.max() == 1000
    with pytest.raises(InputError, match="image.nii: a label map has whole numbers only"):
        read_label(write("image.nii", image))


def test_a_stem_has_no_format() -> None:
    assert [stem(p) for p in ("a/b.nii.gz", "b.nii", "b.c.mha", "b")] == ["b", "b", "b.c", "b"]


def test_a_channel_of_a_4d_file_is_read_where_one_is_asked_for(write: Write, image: np.ndarray) -> None:
    path = write("both.nii.gz", np.stack([image, 2 * image], axis=-1))
    np.testing.assert_array_equal(read_image(path, channel=1).array, 2 * image)
    with pytest.raises(InputError, match="holds images 0 to 1; there is no 2"):
        read_image(path, channel=2)
    with pytest.raises(InputError, match="4D of shape"):
        read_image(path)

"""Headers of NIfTI against ITK: what it reads is read in the same place with the same numbers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nifti_headers import Change, by_itk, put

from common.errors import InputError
from common.forms import frame_time
from common.io import read_field, read_image, write_image
from common.nifti import load_nifti, nifti_header

NAN, INF = float("nan"), float("inf")
IMAGE = np.random.default_rng(0).integers(0, 100, (5, 4, 3)).astype(np.int16)
CODES = ((1, 1), (1, 2), (2, 1), (0, 1), (0, 2), (1, 0), (0, 0), (3, 4), (-1, 2), (99, 1))
SHEARED = np.array([[2, 0.3, 0, 5], [0, 3, 0, -6], [0, 0, 4, 7], [0, 0, 0, 1.0]])


def fields(**values: Any) -> Change:
    """Set fields of a header; ``pixdim_1=…`` sets one of many."""

    def change(header: Any) -> None:
        for name, value in values.items():
            key, _, at = name.partition("__")
            if at:
                header[key][int(at)] = value
            else:
                header[key] = value

    return change


def forms(q: int, s: int, sform: np.ndarray | None = None, **more: Any) -> Change:
    rows = {} if sform is None else {f"srow_{axis}": sform[n] for n, axis in enumerate("xyz")}
    return fields(qform_code=q, sform_code=s, **rows, **more)


def grids() -> Iterator[tuple[str, Change]]:
    """Headers that differ in what says where the voxels lie."""
    other = np.array([[0, -3, 0, 1], [2, 0, 0, 2], [0, 0, 4, 3], [0, 0, 0, 1.0]])
    kinds = {"other": other, "unit": np.sign(other) + np.diag([0, 0, 0, 0]), "sheared": SHEARED, "none": other * 0,
             "NaN": other * NAN, "infinite": np.where(other == 2, INF, other), "flat": other * [[1], [1], [0], [1]],
             "NaN offset": other + [[0, 0, 0, NAN], [0] * 4, [0] * 4, [0] * 4]}  # fmt: skip
    for (q, s), (name, sform) in product(CODES, kinds.items()):
        yield f"codes {q} {s}, sform {name}", forms(q, s, sform)
    for (q, s), size in product(CODES[:7], (-2, 0, NAN, INF, 5, 0.01)):
        yield f"codes {q} {s}, pixdim {size}", forms(q, s, pixdim__2=size)
    for units, (q, s) in product((0, 1, 2, 3, 11, 17, 18, 27, 4, 7, 255), ((1, 1), (1, 0), (0, 1), (0, 0))):
        yield f"units {units}, codes {q} {s}", forms(q, s, xyzt_units=units)
    for quaternion in (
        (0, 0, 0),
        (0.9, 0.9, 0.9),
        (NAN, 0, 0),
        (INF, 0, 0.5),
        (2, 0, 0),
        (0.6, 0, 0.8),
        (0.5, -0.5, 0),
    ):
        names = dict(zip(("quatern_b", "quatern_c", "quatern_d"), quaternion))
        for handed in (1, -1, 0, NAN):
            yield f"quaternion {quaternion}, {handed}", forms(1, 0, pixdim__0=handed, **names)
    for offset, (q, s) in product((NAN, INF, 1e5), ((1, 0), (1, 2))):
        yield f"offset {offset}, codes {q} {s}", forms(q, s, qoffset_x=offset)


def orientations() -> Iterator[np.ndarray]:
    """All ways in which axes of voxels lie along those of space, two of them oblique."""
    for perm in ((0, 1, 2), (1, 2, 0), (2, 0, 1), (0, 2, 1), (2, 1, 0), (1, 0, 2)):
        for signs in product((-1.0, 1.0), repeat=3):
            affine = np.zeros((4, 4))
            affine[list(perm), range(3)] = np.array(signs) * [1.5, 2.5, 6.0]
            affine[:, 3] = [11, -12, 13, 1]
            yield affine


@pytest.mark.parametrize(("name", "change"), [pytest.param(*case, id=case[0]) for case in grids()])
def test_the_grid_is_that_of_itk(
    itk: ModuleType, tmp_path: Path, oblique: np.ndarray, capfd: pytest.CaptureFixture[str], name: str, change: Change
) -> None:
    path = put(tmp_path / "image.nii", IMAGE, oblique, change)
    try:
        ours = read_image(path)
    except InputError as error:
        assert "image.nii: cannot be read (its sform" in str(error) and "\n" not in str(error)
        ours = None
    said = capfd.readouterr().out
    theirs = by_itk(itk, path)
    if theirs is None or not np.isfinite(theirs[1]).all():
        assert ours is None or ("ITK refuses" in said and said.count("\n") == 1)
        assert ours is None or "not finite" not in said or np.allclose(ours.affine, oblique, atol=1e-4), "its qform"
        return
    assert ours is not None and (not said or "not finite" in said)
    np.testing.assert_array_equal(ours.array, theirs[0])
    np.testing.assert_allclose(ours.affine, theirs[1], rtol=1e-6, atol=1e-6 * np.abs(theirs[1]).max())


def test_every_orientation_is_that_of_itk(itk: ModuleType, tmp_path: Path) -> None:
    for affine, (q, s) in product(orientations(), ((1, 0), (0, 1), (1, 1))):
        path = put(tmp_path / "image.nii", IMAGE, affine, forms(q, s))
        theirs = by_itk(itk, path)
        assert theirs is not None
        np.testing.assert_allclose(read_image(path).affine, theirs[1], rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("slope", [0, 1, 2.5, -1, NAN, INF, 1e-5, 1e-20])
@pytest.mark.parametrize("intercept", [0, -7, NAN, INF])
def test_numbers_are_scaled_as_itk_does(itk: ModuleType, tmp_path: Path, slope: float, intercept: float) -> None:
    path = put(tmp_path / "image.nii.gz", IMAGE, np.eye(4), fields(scl_slope=slope, scl_inter=intercept))
    theirs = by_itk(itk, path)
    assert theirs is not None
    np.testing.assert_allclose(read_image(path).array, theirs[0], rtol=1e-6)


@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", ">i2", ">f4", ">u8"])
@pytest.mark.parametrize("slope", [1, 0.5])
def test_every_type_of_number_is_read(itk: ModuleType, tmp_path: Path, kind: str, slope: float) -> None:
    array = np.arange(60).reshape(5, 4, 3).astype(kind)
    header = nib.Nifti1Header(endianness=">" if kind.startswith(">") else "<")
    header.set_slope_inter(slope, 0)
    header.set_data_dtype(array.dtype)
    image = nib.Nifti1Image(array, np.eye(4), header, dtype=array.dtype)
    image.header["scl_slope"] = slope
    nib.save(image, tmp_path / "image.nii")
    read = read_image(tmp_path / "image.nii").array
    assert read.dtype == np.float32 and read.dtype.isnative
    theirs = by_itk(itk, tmp_path / "image.nii")
    assert theirs is not None
    np.testing.assert_allclose(read, theirs[0], rtol=1e-6)


@pytest.mark.parametrize("units", [1, 2, 3])
def test_what_is_written_on_a_grid_lies_there_for_itk(
    itk: ModuleType, tmp_path: Path, oblique: np.ndarray, units: int
) -> None:
    other = np.array([[0, -3, 0, 1], [2, 0, 0, 2], [0, 0, 4, 3], [0, 0, 0, 1.0]])
    for number, (q, s) in enumerate(CODES):
        path = put(tmp_path / f"{number}.nii", IMAGE, oblique, forms(q, s, other, xyzt_units=units))
        read = read_image(path)
        copy = write_image(tmp_path / f"copy_{number}.nii.gz", read.array, read.affine)
        first, second = by_itk(itk, path), by_itk(itk, copy)
        assert first is not None and second is not None
        np.testing.assert_allclose(second[1], first[1], rtol=1e-6, atol=1e-6 * np.abs(first[1]).max())
        np.testing.assert_allclose(load_nifti(path).header.get_best_affine(), read.affine, rtol=1e-6, atol=1e-5)


def test_a_sheared_grid_is_kept_and_no_other_is_written_for_itk(
    itk: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = put(tmp_path / "image.nii", IMAGE, np.diag([2, 3, 4, 1.0]), forms(0, 1, SHEARED))
    read = read_image(path)
    assert "image.nii: its axes are not at right angles" in capfd.readouterr().out
    np.testing.assert_allclose(read.spacing, [2, 3, 4], rtol=1e-6)
    copy = write_image(tmp_path / "copy.nii", read.array, read.affine)
    np.testing.assert_allclose(read_image(copy).affine, read.affine, rtol=1e-6)
    assert by_itk(itk, copy) is None, "it has no word for shear, and must not read another grid"


@pytest.mark.parametrize(("units", "step", "ms"), [(10, 0.05, 50), (18, 40, 40), (26, 40000, 40), (2, 3, None),
                                                   (10, NAN, None), (10, INF, None), (10, -1, None), (34, 3, None),
                                                   (255, 3, None)])  # fmt: skip
def test_the_time_of_a_frame_is_in_milliseconds(tmp_path: Path, units: int, step: float, ms: float | None) -> None:
    path = put(tmp_path / "cine.nii", IMAGE[..., None], np.eye(4), fields(xyzt_units=units, pixdim__4=step))
    assert frame_time(nifti_header(path)) == ms == frame_time(load_nifti(path).header)


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_voxels_of_no_image_are_refused(tmp_path: Path, size: float) -> None:
    path = put(tmp_path / "image.nii", IMAGE, np.eye(4), fields(pixdim__1=size))
    with pytest.raises(InputError, match="image.nii: voxels of 1e.30 x 1 x 1 mm"):
        read_image(path)


def test_a_field_on_a_grid_in_micrometres_is_read_in_millimetres(tmp_path: Path) -> None:
    affine = np.diag([2000, 3000, 4000, 1.0])
    vectors = np.ones((5, 4, 3, 1, 3), np.float32)
    path = put(tmp_path / "a_field.nii", vectors, affine, fields(xyzt_units=3, intent_code=1007))
    np.testing.assert_allclose(read_field(path).affine, np.diag([2, 3, 4, 1.0]), rtol=1e-6)

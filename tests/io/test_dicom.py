"""DICOM series, written by ITK slice by slice."""

from __future__ import annotations

import locale
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from dicom_files import write_slice

from common.errors import InputError
from common.io import read_frames, read_image, stem
from common.io.itk_images import from_itk
from common.physical import grid_points

MR = "1.2.840.10008.5.1.4.1.1.4"
WriteSeries = Callable[..., None]


@pytest.fixture(autouse=True)
def restored_locale() -> Iterator[None]:
    """ITK's DICOM classes, by which the tests write (not read), leave the process in the C locale."""
    before = locale.setlocale(locale.LC_ALL)
    yield
    locale.setlocale(locale.LC_ALL, before)


@pytest.fixture
def write_series(itk) -> WriteSeries:
    """``write_series(folder, volume, affine, uid, skip, frame)``: one file a slice, named against their order.

    With ``timed`` their instance numbers run against their trigger times, which go first; without there are no times.
    """

    def write(
        folder: Path,
        volume: np.ndarray,
        affine: np.ndarray,
        uid: str = "1.2.3.4",
        skip: tuple[int, ...] = (),
        frame: int = 0,
        timed: bool = True,
    ) -> None:
        folder.mkdir(exist_ok=True)
        matrix = np.diag([-1, -1, 1]) @ affine[:3, :3]
        spacing = np.linalg.norm(matrix, axis=0)
        for k in (k for k in range(volume.shape[2]) if k not in skip):
            corner = grid_points((1, 1, volume.shape[2]), affine)[0, 0, k]
            tags = {
                "0008|0016": MR, "0008|0060": "MR", "0020|000e": uid, "0020|000d": "1.2.3",
                "0008|0018": f"{uid}.{frame}.{k + 1}", "0020|0013": str(k + 1 + 100 * (9 - frame if timed else frame)),
                "0020|0032": "\\".join(f"{v:.8f}" for v in corner),
                "0020|0037": "\\".join(f"{v:.9f}" for v in (matrix / spacing)[:, :2].T.ravel()),
                "0028|0030": f"{spacing[1]}\\{spacing[0]}", "0018|0050": str(spacing[2]),
                **({"0018|1060": str(30.0 * frame)} if timed else {}),
            }  # fmt: skip
            _write_slice(
                itk, folder / f"{frame}_{90 - k}.dcm", volume[:, :, k], matrix / spacing, spacing, corner, tags
            )

    return write


def _write_slice(
    itk,
    path: Path,
    slice_: np.ndarray,
    direction: np.ndarray,
    spacing: np.ndarray,
    corner: np.ndarray,
    tags: dict[str, str],
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = itk.image_from_array(np.ascontiguousarray(slice_.T[None].astype(np.int16)))
        image.SetSpacing([float(v) for v in spacing])
        image.SetOrigin([float(v) for v in corner])
        image.SetDirection(itk.matrix_from_array(np.ascontiguousarray(direction)))
        header = image.GetMetaDataDictionary()
        for key, value in tags.items():
            header[key] = value
        output = itk.GDCMImageIO.New()
        output.SetKeepOriginalUID(True)
        writer = itk.ImageFileWriter[type(image)].New(Input=image, FileName=str(path), ImageIO=output)
        writer.Update()


@pytest.fixture
def right_handed(oblique: np.ndarray) -> np.ndarray:
    """DICOM stacks its slices along the normal, so that its grids are right-handed in LPS."""
    affine = oblique.copy()
    affine[:3, 0] *= -1 if np.linalg.det(oblique[:3, :3]) < 0 else 1
    return affine


@pytest.fixture
def volume() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 1000, (9, 7, 5))


def test_a_folder_is_a_volume_in_its_place(
    tmp_path: Path, write_series: WriteSeries, volume: np.ndarray, right_handed: np.ndarray
) -> None:
    write_series(tmp_path / "series", volume, right_handed)
    read = read_image(tmp_path / "series")
    np.testing.assert_array_equal(read.array, volume)
    np.testing.assert_allclose(read.affine, right_handed, atol=1e-4)
    assert stem(tmp_path / "series") == "series" and stem("a/b.dcm") == "b"


def test_any_of_its_files_stands_for_a_series(
    tmp_path: Path, write_series: WriteSeries, volume: np.ndarray, right_handed: np.ndarray
) -> None:
    write_series(tmp_path / "study", volume, right_handed, uid="1.2.3.4")
    for file in (tmp_path / "study").iterdir():
        file.rename(file.with_name(f"a{file.stem}"))  # as many archives name them, without an ending
    write_series(tmp_path / "study", 2 * volume[:, :, :4], right_handed, uid="1.2.3.5")
    np.testing.assert_array_equal(read_image(tmp_path / "study" / "a0_88").array, volume)
    np.testing.assert_array_equal(read_image(tmp_path / "study" / "0_88.dcm").array, 2 * volume[:, :, :4])
    with pytest.raises(InputError, match="2 DICOM series in this folder; give a file of the one you mean: 0_87.*a0_86"):
        read_image(tmp_path / "study")


@pytest.mark.parametrize("timed", [True, False])
def test_files_at_one_position_are_frames(
    tmp_path: Path, write_series: WriteSeries, volume: np.ndarray, right_handed: np.ndarray, timed: bool
) -> None:
    for frame in (1, 2, 0):
        write_series(tmp_path / "cine", volume + 1000 * frame, right_handed, frame=frame, timed=timed)
    frames = read_frames(tmp_path / "cine")
    assert len(frames) == 3
    for number, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.array, volume + 1000 * number)
    np.testing.assert_array_equal(read_image(tmp_path / "cine", channel=2).array, volume + 2000)
    with pytest.raises(InputError, match="4D of shape"):
        read_image(tmp_path / "cine")
    (tmp_path / "cine" / "1_88.dcm").unlink()
    with pytest.raises(InputError, match="cine: 2 to 3 DICOM files or frames at a position"):
        read_image(tmp_path / "cine")


def test_a_single_file_is_a_stack_of_one_slice(
    tmp_path: Path, write_series: WriteSeries, volume: np.ndarray, right_handed: np.ndarray
) -> None:
    write_series(tmp_path / "one", volume[:, :, :1], right_handed)
    read = read_image(tmp_path / "one" / "0_90.dcm")
    np.testing.assert_array_equal(read.array, volume[:, :, :1])
    np.testing.assert_allclose(read.affine, right_handed, atol=1e-4)


def test_captures_that_say_where_they_lie_are_a_volume(itk, tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 1000, (3, 7, 9)).astype(np.uint16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        itk.imwrite(itk.image_from_array(frames), str(tmp_path / "capture.dcm"))  # a secondary capture with positions
    read = read_image(tmp_path / "capture.dcm")
    np.testing.assert_array_equal(read.array, frames.T)
    np.testing.assert_allclose(read.affine, np.diag([-1, -1, 1, 1]))


def test_an_enhanced_image_is_a_volume(itk, tmp_path: Path) -> None:
    volume = np.random.default_rng(0).integers(0, 1000, (9, 7, 3)).astype(np.int16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = itk.image_from_array(np.ascontiguousarray(volume.T))
        image.SetSpacing([1.5, 1.2, 8.0])
        image.GetMetaDataDictionary()["0008|0016"] = f"{MR}.1"
        image.GetMetaDataDictionary()["0008|0060"] = "MR"
        writer = itk.ImageFileWriter[type(image)].New(Input=image, FileName=str(tmp_path / "enhanced.dcm"))
        writer.SetImageIO(itk.GDCMImageIO.New())
        writer.Update()
    read = read_image(tmp_path / "enhanced.dcm")
    np.testing.assert_array_equal(read.array, volume)
    np.testing.assert_allclose(read.spacing, [1.5, 1.2, 8.0], atol=1e-6)


def test_colours_are_refused(itk, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (7, 9, 3)).astype(np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        itk.imwrite(itk.image_from_array(pixels, ttype=itk.Image[itk.RGBPixel[itk.UC], 2]), str(tmp_path / "rgb.dcm"))
    with pytest.raises(InputError, match=r"rgb\.dcm: 3 values a voxel; give one grey channel"):
        read_image(tmp_path / "rgb.dcm")


def test_a_missing_slice_is_noticed(
    tmp_path: Path, write_series: WriteSeries, volume: np.ndarray, right_handed: np.ndarray
) -> None:
    write_series(tmp_path / "gap", volume, right_handed, skip=(2,))
    with pytest.raises(InputError, match=r"gap: from 0_89.dcm to 0_87.dcm it is 10.00 mm, .*a slice is missing"):
        read_image(tmp_path / "gap")


def test_tilted_and_mixed_slices_are_refused(
    tmp_path: Path, write_series: WriteSeries, volume: np.ndarray, right_handed: np.ndarray
) -> None:
    write_series(tmp_path / "mixed", volume, right_handed)
    write_series(tmp_path / "mixed", volume[:-1], right_handed @ np.diag([1, 1, 1.5, 1]), frame=1)
    with pytest.raises(InputError, match="unlike .* of the same series"):
        read_image(tmp_path / "mixed")
    write_series(tmp_path / "wider", volume, right_handed)
    write_series(tmp_path / "wider", volume, right_handed @ np.diag([1.1, 1, 1, 1]), frame=1)
    with pytest.raises(InputError, match="or turned or spaced otherwise"):
        read_image(tmp_path / "wider")
    for k in range(5):
        shifted = right_handed.copy()
        shifted[:3, 3] += k * (right_handed[:3, 2] + 1.5 * right_handed[:3, 0])
        write_series(tmp_path / "tilted", volume[:, :, k : k + 1] + k, shifted, frame=k)
    with pytest.raises(InputError, match="tilted"):
        read_image(tmp_path / "tilted")


def test_folders_and_files_without_images_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.dcm").write_text("not an image")
    with pytest.raises(InputError, match="empty: no DICOM series in this folder"):
        read_image(tmp_path / "empty")
    with pytest.raises(InputError, match=r"text\.dcm: cannot be read"):
        read_image(tmp_path / "text.dcm")
    (tmp_path / "slide.tiff").write_bytes(b"II*\0")
    with pytest.raises(InputError, match="unknown format; a picture does not say where it lies"):
        read_image(tmp_path / "slide.tiff")


@pytest.mark.parametrize("digits", [9, 6, 4])  # of the cosines: those of real headers are rounded
def test_single_images_are_as_itk_reads_them(itk, tmp_path: Path, digits: int, oblique: np.ndarray) -> None:
    random = np.random.default_rng(digits)
    volume, axes = random.integers(0, 4000, (9, 7, 6)), oblique[:3, :3] / np.linalg.norm(oblique[:3, :3], axis=0)
    normal = np.cross(axes[:, 0], axes[:, 1])
    for k in range(6):
        write_slice(
            tmp_path / f"{random.integers(10**6)}.dcm", volume[..., k], 0, 9 - k,
            ImageOrientationPatient=[f"{v:.{digits}f}" for v in axes[:, :2].T.ravel()],
            ImagePositionPatient=[f"{v:.6f}" for v in oblique[:3, 3] + 4.3 * k * normal],
            PixelSpacing=["1.3", "0.7"], SliceThickness="6", RescaleSlope="1.5", RescaleIntercept="-1024",
        )  # fmt: skip
    read = read_image(tmp_path)
    names = itk.GDCMSeriesFileNames.New()
    names.SetDirectory(str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        array, affine = from_itk(itk.imread(names.GetFileNames(names.GetSeriesUIDs()[0])), tmp_path)
    np.testing.assert_allclose(read.affine, affine, atol=1e-6)
    np.testing.assert_allclose(read.array, array, rtol=1e-6)

"""Files of every kind of number and container: read as what they are, or refused in a line."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import nibabel as nib
import numpy as np
import pytest
from nifti_headers import by_itk, put

from common.errors import InputError
from common.io import read_frames, read_image, read_label, write_image
from common.io.given import image_of, label_of
from common.io.images import read_loop
from common.label_values import label_values

Write = Callable[..., Path]
VOLUME = np.arange(60).reshape(5, 4, 3)
SIZES = "Offset = 10 20 30\nElementSpacing = 1.5 2 4\nDimSize = 5 4 3\n"


def meta(path: Path, array: np.ndarray, kind: str, channels: int = 1) -> Path:
    """Write a MetaImage of ``array`` ([channel,] i, j, k)."""
    head = f"ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n{SIZES}"
    head += f"ElementNumberOfChannels = {channels}\nElementType = {kind}\nElementDataFile = LOCAL\n"
    path.write_bytes(head.encode() + array.tobytes(order="F"))
    return path


def nrrd(path: Path, array: np.ndarray, kind: str, layers: bool = False) -> Path:
    """Write an NRRD of ``array`` ([layer,] i, j, k)."""
    sizes = " ".join(map(str, array.shape))
    head = f"NRRD0005\ntype: {kind}\ndimension: {array.ndim}\nspace: left-posterior-superior\nsizes: {sizes}\n"
    none = "none " if layers else ""
    head += f"space directions: {none}(1.5,0,0) (0,2,0) (0,0,4)\nspace origin: (10,20,30)\nendian: little\n"
    head += f"kinds: {'list ' if layers else ''}domain domain domain\nencoding: raw\n\n"
    path.write_bytes(head.encode() + array.tobytes(order="F"))
    return path


def refused(path: Path, read: Callable[..., object] = read_image) -> str:
    with pytest.raises(InputError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(str(path)) and "\n" not in message
    return message.removeprefix(str(path))


@pytest.mark.parametrize(("dtype", "kind", "name"), [
    ("i1", "MET_CHAR", "int8"), ("u1", "MET_UCHAR", "uint8"), ("<i2", "MET_SHORT", "int16"),
    ("<u2", "MET_USHORT", "uint16"), ("<i4", "MET_INT", "int32"), ("<u4", "MET_UINT", "uint32"),
    ("<i8", "MET_LONG_LONG", "int64"), ("<u8", "MET_ULONG_LONG", "uint64"), ("<f4", "MET_FLOAT", "float"),
    ("<f8", "MET_DOUBLE", "double"),
])  # fmt: skip
def test_every_type_of_number_is_read_from_files_of_itk(tmp_path: Path, dtype: str, kind: str, name: str) -> None:
    array = VOLUME.astype(dtype)
    affine = np.array([[-1.5, 0, 0, -10], [0, -2, 0, -20], [0, 0, 4, 30], [0, 0, 0, 1]])
    for path in (meta(tmp_path / "a.mha", array, kind), nrrd(tmp_path / "a.nrrd", array, name)):
        for read in (read_image, read_label):
            np.testing.assert_array_equal(read(path).array, array)
            np.testing.assert_allclose(read(path).affine, affine)


def test_labels_of_64_bits_are_not_rounded(tmp_path: Path) -> None:
    array = np.where(VOLUME > 30, 2**31 - 1, 2**24 + 1).astype("<i8")
    np.testing.assert_array_equal(read_label(meta(tmp_path / "a.mha", array, "MET_LONG_LONG")).array, array)


def test_several_values_a_voxel_are_refused(tmp_path: Path) -> None:
    layers = np.zeros((2, 5, 4, 3), np.uint8)
    for kind, dtype in (("MET_UCHAR", "u1"), ("MET_DOUBLE", "f8"), ("MET_LONG_LONG", "i8")):
        path = meta(tmp_path / "a.mha", layers.astype(dtype), kind, 2)
        assert "2 values a voxel" in refused(path) and "2 values a voxel" in refused(path, read_label)
    path = nrrd(tmp_path / "two.seg.nrrd", layers, "uint8", layers=True)
    assert "layers of a segmentation" in refused(path, read_label)


@pytest.mark.parametrize("fields", [[("R", "u1"), ("G", "u1"), ("B", "u1")], [(c, "u1") for c in "RGBA"]])
def test_colours_are_refused(tmp_path: Path, fields: list[tuple[str, str]]) -> None:
    for shape in ((5, 4, 3), (5, 4, 3, 2)):
        nib.save(nib.Nifti1Image(np.zeros(shape, fields), np.eye(4)), tmp_path / "a.nii.gz")
        for read in (read_frames, read_loop, read_image if len(shape) == 3 else read_frames):
            assert "a colour image" in refused(tmp_path / "a.nii.gz", read)
        assert "no type of a label map" in refused(tmp_path / "a.nii.gz", lambda path: read_label(path, 0))


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_complex_numbers_are_refused(tmp_path: Path, dtype: type) -> None:
    path = put(tmp_path / "a.nii.gz", (VOLUME + 1j).astype(dtype), np.eye(4))
    assert "complex numbers; give their magnitude" in refused(path)
    assert "no type of a label map" in refused(path, read_label)
    with pytest.raises(InputError, match="mine: complex numbers"):
        image_of((VOLUME + 1j, np.eye(4)), name="mine")
    with pytest.raises(InputError, match="mine: numbers of type object"):
        image_of((VOLUME.astype(object), np.eye(4)), name="mine")


def test_numbers_beyond_float32_are_refused(write: Write) -> None:
    assert "NaN or infinite" in refused(write("a.nii", VOLUME * 1e300))


@pytest.mark.parametrize(("value", "message"), [
    (100000.4, "not 100000"), (0.4, "not 0.4"), (np.nan, "not NaN or Inf"), (np.inf, "not NaN or Inf"),
    (5e9, "5000000000 is not in -2147483648 to 4294967295"), (-3e9, "-3000000000 is not in"), (1.01, "not 1.01"),
])  # fmt: skip
def test_what_is_no_label_is_refused_everywhere(write: Write, value: float, message: str) -> None:
    array = np.where(VOLUME > 30, value, 0)
    for name, each in {"a.nii": array, "flat.nii": array[..., 2], "cine.nii": np.stack([array] * 2, -1)}.items():
        path = write(name, each.astype(np.float64))
        assert message in refused(path, lambda path: read_label(path, 0))
    with pytest.raises(InputError, match="mine: "):
        label_of((array, np.eye(4)), "mine")
    with pytest.raises(InputError):
        label_values(array, "mine", 0, 255)


def test_labels_are_whole_up_to_the_digits_of_float32(write: Write) -> None:
    near = (2 * (VOLUME > 30) * np.float32(1.000004)).astype(np.float32)
    for array in (near, near[..., 2], np.stack([near, near], -1)):
        label = read_label(write("near.nii", array), 1).array
        assert label.dtype == np.uint8 and set(np.unique(label)) == {0, 2}
    large = np.where(VOLUME > 30, 100_001, 7).astype(np.float32) * np.float32(1.0000001)
    assert set(np.unique(read_label(write("large.nii", large)).array)) == {7, 100_001}


def test_labels_keep_their_values(tmp_path: Path) -> None:
    for dtype, value in (
        ("u4", 2**31 - 1),
        ("u4", 3_000_000_000),
        ("f8", 3_000_000_000),
        ("u8", 70_000),
        ("i8", -3),
        ("i1", -1),
        ("u2", 65_535),
        ("f8", 300),
    ):
        path = put(tmp_path / "a.nii.gz", np.where(VOLUME > 30, value, 0).astype(dtype), np.eye(4))
        assert set(np.unique(read_label(path).array)) == {0, value}
        write_image(tmp_path / "copy.nii.gz", read_label(path).array, np.eye(4))
        np.testing.assert_array_equal(read_label(tmp_path / "copy.nii.gz").array, np.where(VOLUME > 30, value, 0))
    for dtype, value, background in (("u8", 2**32, 0), ("i8", 3_000_000_000, -1)):
        path = put(tmp_path / "a.nii.gz", np.where(VOLUME > 30, value, background).astype(dtype), np.eye(4))
        assert f"label value {value} is not in" in refused(path, read_label)
    assert "-1 is not in 0 to 255" in refused(
        Path("a"), lambda path: label_values(np.array([-1, 2], np.int16), path, 0, 255)
    )


@pytest.mark.parametrize("ending", [".hdr", ".img", ".HDR"])
def test_a_pair_is_read_by_either_name(itk: ModuleType, tmp_path: Path, oblique: np.ndarray, ending: str) -> None:
    image = nib.Nifti1Pair(VOLUME.astype(np.int16), oblique)
    nib.save(image, tmp_path / "a.img")
    for own in (".hdr", ".img"):
        if ending.isupper():
            (tmp_path / f"a{own}").rename(tmp_path / f"a{own.upper()}")
    read = read_image(tmp_path / f"a{ending}")
    np.testing.assert_array_equal(read.array, VOLUME)
    np.testing.assert_allclose(read.affine, oblique, atol=1e-5)
    (tmp_path / ("a.IMG" if ending.isupper() else "a.img")).unlink()
    with pytest.raises(InputError, match=r"a\.(img|IMG): .*no such file"):
        read_image(tmp_path / f"a{'.HDR' if ending.isupper() else '.hdr'}")


def test_analyze_is_read_as_itk_reads_it(itk: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nib.save(nib.AnalyzeImage(VOLUME.astype(np.int16), np.diag([2, 3, 4, 1.0])), tmp_path / "a.img")
    read, theirs = read_image(tmp_path / "a.hdr"), by_itk(itk, tmp_path / "a.hdr")
    assert theirs is not None and "does not tell left from right" in capsys.readouterr().out
    np.testing.assert_array_equal(read.array, theirs[0])
    np.testing.assert_allclose(read.affine, theirs[1])


@pytest.mark.parametrize("ending", ["mgz", "mgh"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
def test_volumes_of_freesurfer_are_read(tmp_path: Path, oblique: np.ndarray, ending: str, dtype: type) -> None:
    path = tmp_path / f"a.{ending}"
    nib.save(nib.MGHImage(VOLUME.astype(dtype), oblique), path)
    for read in (read_image(path), read_label(path)):
        np.testing.assert_array_equal(read.array, VOLUME)
        np.testing.assert_allclose(read.affine, oblique, atol=1e-5)
    nib.save(nib.MGHImage(np.stack([VOLUME, VOLUME + 1], -1).astype(dtype), oblique), path)
    np.testing.assert_array_equal(read_frames(path)[1].array, VOLUME + 1)
    whole = path.read_bytes()
    for name, content in {"cut": whole[:-30], "text": b"no volume", "empty": b""}.items():
        (tmp_path / f"{name}.{ending}").write_bytes(content)
        assert "cannot be read" in refused(tmp_path / f"{name}.{ending}")


def test_frames_lie_along_the_last_axis(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    cine = np.stack([VOLUME, VOLUME[::-1]], -1).astype(np.float32)
    for array in (cine, cine[:, :, :, None], cine[..., None]):
        frames = read_loop(write("a.nii", array))
        assert [frame.array.shape for frame in frames] == [(5, 4, 3)] * 2
        np.testing.assert_array_equal(frames[1].array, VOLUME[::-1])
    assert not capsys.readouterr().out
    flat = read_loop(write("flat.nii", cine[..., 0]))
    assert [frame.array.shape for frame in flat] == [(5, 4, 1)] * 3
    assert "taken as 3 frames of one slice" in capsys.readouterr().out
    assert "holds one image" in refused(write("one.nii", cine[..., 0, 0]), read_loop)


def test_vectors_are_no_frames(write: Write) -> None:
    image = nib.Nifti1Image(np.ones((5, 4, 3, 1, 3), np.float32), np.eye(4))
    image.header.set_intent("vector")
    path = write("a.nii", np.zeros((2, 2, 2)))
    nib.save(image, path)
    for read in (read_image, read_frames, read_loop):
        assert "vectors, not an image" in refused(path, read)


def test_a_frame_is_chosen_or_asked_for(write: Write) -> None:
    both = write("both.nii.gz", np.stack([VOLUME, 2 * VOLUME], -1).astype(np.int16))
    np.testing.assert_array_equal(read_label(both, 1).array, 2 * VOLUME)
    np.testing.assert_array_equal(label_of(str(both), frame=1).array, 2 * VOLUME)
    assert "choose a frame" in refused(both, read_label) and "choose a frame" in refused(both)
    still = write("still.nii.gz", VOLUME.astype(np.int16))
    np.testing.assert_array_equal(read_label(still, 1).array, VOLUME)


def test_images_of_nibabel_with_a_damaged_file_are_refused(tmp_path: Path) -> None:
    path = put(tmp_path / "a.nii", VOLUME.astype(np.int16), np.eye(4))
    image = nib.load(path)
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(InputError, match="a.nii: cannot be read"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image_of(image)

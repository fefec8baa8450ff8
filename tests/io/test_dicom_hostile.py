"""DICOM files that are damaged, absurd or of another kind: one line that names the file, and soon."""

from __future__ import annotations

import io
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_files import STORAGE, item, write_file, write_frames, write_slice
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from common.errors import InputError
from common.io import read_image
from common.io.dicom import read_series

MPEG2 = "1.2.840.10008.1.2.4.100"
PIXELS = np.random.default_rng(0).integers(0, 4000, (16, 12))


def refused(path: Path) -> str:
    """The one line by which ``path`` is refused."""
    with pytest.raises(InputError) as caught:
        read_image(path)
    line = str(caught.value)
    assert "\n" not in line and len(line) < 600 and str(path.name) in line
    return line


def after_meta(whole: bytes) -> int:
    """Where the dataset of a file begins."""
    return 144 + int.from_bytes(whole[140:144], "little")


ABSURD = {
    "rows": ({"Rows": 65535, "Columns": 65535}, "65535 x 65535 pixels of 16 bits in 1 frames need 8.59e"),
    "frames": ({"NumberOfFrames": "2147483647"}, "in 2147483647 frames need"),
    "no rows": ({"Rows": 0}, "12 x 0 pixels|16 x 0 pixels"),
    "negative frames": ({"NumberOfFrames": "-3"}, "in -3 frames"),
    "frames of words": ({"NumberOfFrames": ["2", "3"]}, "not 4 finite numbers"),
    "no bits": ({"BitsAllocated": None}, "pixels of 0 bits"),
    "position NaN": ({"ImagePositionPatient": ["nan", "0", "0"]}, r"ImagePositionPatient is nan\\0\.?0?\\0"),
    "position infinite": ({"ImagePositionPatient": ["1e999", "0", "0"]}, "ImagePositionPatient is 1e999"),
    "position of two": ({"ImagePositionPatient": [1, 2]}, r"ImagePositionPatient is 1.?0?\\2.?0?, not 3"),
    "no position": ({"ImagePositionPatient": None}, r"MR Image Storage without geometry \(no ImagePositionPatient\)"),
    "no orientation": ({"ImageOrientationPatient": None}, "no ImageOrientationPatient"),
    "no spacing": ({"PixelSpacing": None}, "no PixelSpacing"),
    "zero orientation": ({"ImageOrientationPatient": [0] * 6}, r"is 0\\0\\0\\0\\0\\0, not two directions"),
    "parallel": ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "not two directions at a right angle"),
    "orientation NaN": ({"ImageOrientationPatient": ["nan"] * 6}, "not 6 finite"),
    "spacing 0": ({"PixelSpacing": [0, 1]}, r"PixelSpacing is 0\\1; it must be above 0"),
    "spacing negative": ({"PixelSpacing": [1, -1]}, r"PixelSpacing is 1\\-1"),
    "thickness NaN": ({"SliceThickness": "nan"}, "SliceThickness is nan"),
    "slope 0": ({"RescaleSlope": "0", "RescaleIntercept": "5"}, "RescaleSlope is 0, so that every value is 5"),
    "slope NaN": ({"RescaleSlope": "nan"}, "RescaleSlope is nan"),
    "a table": ({"ModalityLUTSequence": [item(LUTExplanation="HU")]}, "by a table"),
    "colours": ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "3 values a voxel; give one grey channel"),
    "palette": ({"PhotometricInterpretation": "PALETTE COLOR"}, "colours; give one grey channel"),
    "mosaic": ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]}, "a mosaic of many slices.*dcm2niix"),
    "no pixels": ({"PixelData": None}, "holds no pixels|is it whole"),
    "bits of 12": ({"BitsAllocated": 12}, "cannot be read"),
    "not an image": ({"Rows": None}, "without an image's size"),
}


@pytest.mark.parametrize("attributes, message", ABSURD.values(), ids=ABSURD)
def test_absurd_headers_are_refused(tmp_path: Path, attributes: dict[str, Any], message: str) -> None:
    path = write_slice(tmp_path / "a.dcm", PIXELS, 0, **attributes)
    with pytest.raises(InputError, match=message):
        read_series(path)
    refused(path)


@pytest.mark.parametrize("kept", [0, 3, 100, 131, 132, 140, 300, 500, 700, 900, -1])
@pytest.mark.parametrize("where", ["file", "folder"])
def test_files_that_are_cut_off_are_refused(tmp_path: Path, kept: int, where: str) -> None:
    path = write_slice(tmp_path / "series" / "a.dcm", PIXELS, 0)
    path.write_bytes(path.read_bytes()[:kept])
    line = refused(path if where == "file" else path.parent)
    assert "a.dcm" in line


def test_groups_of_other_frames_are_refused(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a.dcm", PIXELS[None].repeat(3, 0), [0, 8])
    assert "3 frames, but functional groups of 2" in refused(path)
    write_frames(path, PIXELS[None].repeat(3, 0), [0, float("nan"), 16])
    assert "ImagePositionPatient is" in refused(path)


def test_bytes_of_any_kind_end_in_a_line(tmp_path: Path) -> None:
    whole = write_frames(tmp_path / "a.dcm", PIXELS[None].repeat(3, 0), [0, 8, 16]).read_bytes()
    random = np.random.default_rng(0)
    for _ in range(150):
        damaged = np.frombuffer(whole, np.uint8).copy()
        header = len(whole) - 3 * 2 * PIXELS.size
        damaged[random.integers(132, header, 8)] = random.integers(0, 256, 8)
        (tmp_path / "a.dcm").write_bytes(damaged.tobytes())
        try:
            read_image(tmp_path / "a.dcm")
        except InputError as error:
            assert "\n" not in str(error)
    (tmp_path / "a.dcm").write_bytes(b"\0" * 128 + b"DICM" + random.bytes(3000))
    refused(tmp_path / "a.dcm")


def test_what_is_no_dicom_says_so(tmp_path: Path) -> None:
    (tmp_path / "x.dcm").write_text("x" * 500)
    assert "no DICOM file" in refused(tmp_path / "x.dcm")
    assert "x.dcm: cannot be read" in str(pytest.raises(InputError, read_image, tmp_path).value)
    os.mkfifo(tmp_path / "pipe.dcm")
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe.dcm", "pipe"):
        refused(tmp_path / name)
    (tmp_path / "gone.dcm").symlink_to(tmp_path / "nowhere.dcm")
    assert "no such file" in refused(tmp_path / "gone.dcm")


def test_a_directory_and_a_report_are_no_images(tmp_path: Path) -> None:
    index = write_file(tmp_path / "DICOMDIR", PIXELS, "1.2.840.10008.1.3.10", Rows=None, Columns=None, PixelData=None)
    assert "a DICOMDIR, not an image; give a file of an image series, or its folder" in refused(index)
    report = write_file(tmp_path / "sr.dcm", PIXELS, STORAGE + "88.11", Rows=None, Columns=None, PixelData=None)
    assert "Basic Text SR Storage, not an image" in refused(report)
    assert "no DICOM series in this folder" in refused(tmp_path)
    (tmp_path / "notes.txt").write_text("of the exam")
    (tmp_path / "._0.dcm").write_text("what some systems leave beside a file")
    for k in range(2):
        write_slice(tmp_path / f"{k}.dcm", PIXELS, 8 * k)
    assert read_image(tmp_path).array.shape == (16, 12, 2)  # beside what is no image


def test_a_neighbour_that_is_damaged_does_not_keep_a_file_from_being_read(tmp_path: Path) -> None:
    path = write_slice(tmp_path / "a.dcm", PIXELS, 0)
    (tmp_path / "b.dcm").write_text("x")
    assert read_image(path).array.shape == (16, 12, 1)
    assert "b.dcm" in str(pytest.raises(InputError, read_image, tmp_path).value)


def test_old_files_without_a_mark_are_read(tmp_path: Path) -> None:
    path = write_slice(tmp_path / "a", PIXELS, 0)
    whole = path.read_bytes()
    path.with_name("a.ima").write_bytes(whole[after_meta(whole) :])
    path.unlink()
    np.testing.assert_array_equal(read_image(tmp_path / "a.ima").array[..., 0], PIXELS)
    assert read_image(tmp_path).array.shape == (16, 12, 1)


def encapsulated(path: Path, syntax: str, *frames: bytes) -> None:
    """Give a file of pixels another transfer syntax and its bytes."""
    file = pydicom.dcmread(path)
    file.file_meta.TransferSyntaxUID = syntax
    file.PixelData = pydicom.encaps.encapsulate(list(frames))
    file["PixelData"].is_undefined_length = True
    file.save_as(path)


@pytest.mark.parametrize("syntax", [MPEG2, RLELossless, "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90"])
def test_pixels_that_cannot_be_decoded_say_so(tmp_path: Path, syntax: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = write_slice(tmp_path / "a.dcm", PIXELS, 0)
    encapsulated(path, syntax, b"\xff\xd8 none of this kind" * 9)
    assert syntax == RLELossless or "decompress it first, for instance by gdcmconv" in refused(path)
    path.write_bytes(path.read_bytes().replace(MPEG2.encode(), b"1.2.840.10008.1.2.4.999"))  # newer than pydicom
    refused(path)
    assert capfd.readouterr() == ("", "")  # nor does a decoder print anything of its own


def test_pixels_that_expand_beyond_reason_are_refused(tmp_path: Path) -> None:
    path = write_slice(tmp_path / "a.dcm", PIXELS, 0, Rows=65535, Columns=65535)
    encapsulated(path, RLELossless, b"\0" * 64)
    assert "that expand to 8.59 GB or more, above 200 times" in refused(path)


def test_a_deflated_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.io.dicom_headers.BOMB_BYTES", 2**24)
    file = pydicom.dcmread(write_slice(tmp_path / "a.dcm", PIXELS, 0))
    file.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    file.save_as(tmp_path / "a.dcm")
    whole = (tmp_path / "a.dcm").read_bytes()
    zeros, packed = bytes(2**20), zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = b"".join([*(packed.compress(zeros) for _ in range(17)), packed.flush()])
    (tmp_path / "a.dcm").write_bytes(whole[: after_meta(whole)] + bomb)
    assert "MB that expand to 0.0178 GB or more, above 200 times" in refused(tmp_path / "a.dcm")


def test_deflated_files_and_run_lengths_are_read(tmp_path: Path) -> None:
    path = write_slice(tmp_path / "a.dcm", PIXELS, 0)
    file = pydicom.dcmread(path)
    file.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    file.save_as(path)
    np.testing.assert_array_equal(read_image(path).array[..., 0], PIXELS)
    file = pydicom.dcmread(write_slice(path, PIXELS, 0))
    file.compress(RLELossless)
    file.save_as(path)
    np.testing.assert_array_equal(read_image(path).array[..., 0], PIXELS)


def jpeg_2000(stored: np.ndarray) -> bytes:
    """A codestream without loss, of rows of 16 bits."""
    out = io.BytesIO()
    Image.fromarray(stored.astype(np.uint16)).save(out, "JPEG2000", no_jp2=True, irreversible=False)
    return out.getvalue()


def test_other_compressions_are_read_with_the_scale_of_the_header(tmp_path: Path) -> None:
    stored = np.random.default_rng(0).integers(0, 4000, (40, 32))
    path = write_slice(tmp_path / "a.dcm", stored, 0, RescaleSlope="0.5", RescaleIntercept="-3")
    encapsulated(path, "1.2.840.10008.1.2.4.90", jpeg_2000(stored.T))
    np.testing.assert_allclose(read_image(path).array[..., 0], stored * 0.5 - 3)


def test_each_frame_of_a_compressed_file_has_its_own_scale(tmp_path: Path) -> None:
    stored = np.random.default_rng(0).integers(0, 4000, (3, 40, 32))
    groups = [
        {"PixelValueTransformationSequence": [item(RescaleSlope=f"{n + 1}", RescaleIntercept="0")]} for n in range(3)
    ]
    path = write_frames(tmp_path / "a.dcm", stored, [0, 16, 8], groups=groups)
    encapsulated(path, "1.2.840.10008.1.2.4.90", *(jpeg_2000(frame.T) for frame in stored))
    want = np.moveaxis(stored * np.array([1, 2, 3])[:, None, None], 0, -1)[..., [0, 2, 1]]
    np.testing.assert_array_equal(read_image(path).array, want)

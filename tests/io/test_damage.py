"""Damaged, endless and enormous files: one line, in bounded time and memory."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from time import monotonic
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nifti_headers import put

from common.errors import InputError
from common.io import read_affine, read_frames, read_image, read_label
from common.memory import VARIABLE, check_size, free_memory, memory_limit
from common.nifti import load_nifti
from tools.register import main as register

IMAGE = np.random.default_rng(0).integers(0, 4000, (20, 16, 8)).astype(np.int16)
HEAD = {
    "ObjectType": "Image", "NDims": "3", "BinaryData": "True", "BinaryDataByteOrderMSB": "False", "DimSize": "20 16 8",
    "ElementSpacing": "1 1 1", "ElementType": "MET_SHORT", "ElementDataFile": "LOCAL",
}  # fmt: skip
NRRD = {"type": "int16", "dimension": "3", "sizes": "20 16 8", "endian": "little", "encoding": "gzip"}


def refused(path: Path, read: Callable[[Path], object] = read_image) -> str:
    """The line that reading ends in, soon and without much memory."""
    start, before = monotonic(), getrusage(RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError) as caught:
        read(path)
    assert monotonic() - start < 20 and getrusage(RUSAGE_SELF).ru_maxrss - before < 400_000  # kB
    message = str(caught.value)
    assert path.name.split(".")[0] in message and "\n" not in message
    return message


def meta(path: Path, content: bytes, **changes: str | None) -> Path:
    fields = {key: value for key, value in (HEAD | changes).items() if value is not None}
    fields["ElementDataFile"] = fields.pop("ElementDataFile", "LOCAL")  # the last
    path.write_bytes("".join(f"{key} = {value}\n" for key, value in fields.items()).encode() + content)
    return path


def nrrd(path: Path, content: bytes, **changes: str) -> Path:
    lines = "".join(f"{key}: {value}\n" for key, value in (NRRD | changes).items())
    path.write_bytes(b"NRRD0004\n" + lines.encode() + b"\n" + content)
    return path


def packed(path: Path) -> tuple[Path, int]:
    """Write `IMAGE` compressed in the format of ``path``; return where its last checksum is, from the end."""
    raw = IMAGE.tobytes(order="F")
    if path.name.endswith("mha"):
        content = zlib.compress(raw)
        return meta(path, content, CompressedData="True", CompressedDataSize=str(len(content))), 4
    if path.name.endswith("nrrd"):
        return nrrd(path, gzip.compress(raw)), 8
    if path.name.endswith("mgz"):
        nib.save(nib.MGHImage(IMAGE, np.eye(4)), path)
        return path, 8
    return put(path, IMAGE, np.eye(4)), 8


@pytest.mark.parametrize("ending", ["nii.gz", "mha", "nrrd", "mgz"])
def test_damage_of_what_is_compressed_is_refused(tmp_path: Path, ending: str) -> None:
    path, check = packed(tmp_path / f"whole.{ending}")
    np.testing.assert_array_equal(read_image(path).array, IMAGE)
    whole, broken = path.read_bytes(), tmp_path / f"broken.{ending}"
    places = {len(whole) - check, len(whole) - check + 1, *range(len(whole) // 2, len(whole) - 9, len(whole) // 9)}
    for at in places:
        content = bytearray(whole)
        content[at] ^= 0x40
        broken.write_bytes(content)
        assert "cannot be read" in refused(broken)
    for end in (len(whole) - 1, len(whole) - check, len(whole) * 2 // 3, len(whole) // 4, 3, 0):
        broken.write_bytes(whole[:end])
        assert "cannot be read" in refused(broken)


@pytest.mark.parametrize("ending", ["nii", "mgh"])
def test_truncation_of_what_is_not_compressed_is_refused(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"whole.{ending}"
    nib.save((nib.MGHImage if ending == "mgh" else nib.Nifti1Image)(IMAGE, np.eye(4)), path)
    whole = path.read_bytes()
    for end in (len(whole) - 1024, len(whole) // 2, 340, 10, 0):
        (tmp_path / f"cut.{ending}").write_bytes(whole[:end])
        assert "cannot be read" in refused(tmp_path / f"cut.{ending}")


def test_files_of_several_members_are_whole(tmp_path: Path) -> None:
    raw = gzip.decompress(put(tmp_path / "a.nii.gz", IMAGE, np.eye(4)).read_bytes())
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(raw[:1000]) + gzip.compress(raw[1000:]))
    (tmp_path / "c.nii.gz").write_bytes(raw)  # not compressed at all
    (tmp_path / "d.nii").write_bytes(gzip.compress(raw))
    for name in ("b.nii.gz", "c.nii.gz", "d.nii"):
        np.testing.assert_array_equal(read_image(tmp_path / name).array, IMAGE)


def enormous(header: Any) -> None:
    header["dim"][:4] = [3, 32767, 32767, 32767]


@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
def test_the_size_is_said_before_memory_is_taken(tmp_path: Path, ending: str) -> None:
    path = put(tmp_path / f"huge.{ending}", IMAGE, np.eye(4), enormous)
    for read in (read_image, read_label, read_frames, load_nifti):
        message = refused(path, read)
        assert "32767 x 32767 x 32767 voxels need" in message and "above the limit of" in message
    np.testing.assert_array_equal(read_affine(path), np.eye(4))


def test_the_size_is_said_of_files_of_itk_and_of_freesurfer_too(tmp_path: Path) -> None:
    large = "32767 32767 32767"
    assert "above the limit" in refused(meta(tmp_path / "huge.mha", b"", DimSize=large))
    assert "above the limit" in refused(nrrd(tmp_path / "huge.nrrd", b"", sizes=large))
    nib.save(nib.MGHImage(IMAGE, np.eye(4)), tmp_path / "huge.mgh")
    content = bytearray((tmp_path / "huge.mgh").read_bytes())
    content[4:16] = np.full(3, 2**30, ">i4").tobytes()
    (tmp_path / "huge.mgh").write_bytes(content)
    assert "above the limit" in refused(tmp_path / "huge.mgh")


def test_what_unpacks_without_end_is_refused(tmp_path: Path) -> None:
    zeros = gzip.compress(bytes(2**26), compresslevel=9)
    raw = gzip.decompress(put(tmp_path / "a.nii.gz", IMAGE, np.eye(4)).read_bytes())
    (tmp_path / "bomb.nii.gz").write_bytes(gzip.compress(raw) + zeros * 100)
    assert "unpacks to far more" in refused(tmp_path / "bomb.nii.gz")
    assert "unpacks to far more" in refused(nrrd(tmp_path / "bomb.nrrd", gzip.compress(bytes(2**26))))
    content, said = zlib.compress(bytes(2**26)), {"CompressedData": "True", "CompressedDataSize": "9"}
    assert "unpacks to far more" in refused(meta(tmp_path / "bomb.mha", content, **said))


def test_the_limit_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path / "a.nii", IMAGE, np.eye(4))
    monkeypatch.setenv(VARIABLE, "0.00001")
    way_out = f"If so, crop it, or raise the limit by --memory-gb or {VARIABLE}"
    assert f"above the limit of 0.0 GB; is the file what it says? {way_out}" in refused(path)
    monkeypatch.setenv(VARIABLE, "1")
    assert memory_limit() == 1e9 and read_image(path).array.shape == IMAGE.shape
    for text in ("x", "-1", "nan", "inf", "0"):
        monkeypatch.setenv(VARIABLE, text)
        with pytest.raises(InputError, match=f"{VARIABLE} is '{text}'; give a number of GB above 0"):
            check_size("a.nii", (2, 2), 4)
    monkeypatch.delenv(VARIABLE)
    assert 0 < memory_limit() == pytest.approx(free_memory() / 2, rel=0.5)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.mha", "a.nrrd", "a.mgz", "a.hdr", "a.dcm", "a.unknown"])
def test_what_is_no_file_does_not_hang(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    os.mkfifo(path)
    assert "a pipe or a device" in refused(path)
    path.unlink()
    path.symlink_to("/dev/zero")
    assert "a pipe or a device" in refused(path)
    path.unlink()
    path.symlink_to(tmp_path / "absent")
    assert "no such file" in refused(path)
    path.unlink()
    path.mkdir()
    refused(path)


def test_voxels_beside_a_header_must_be_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.raw")
    assert "a pipe or a device" in refused(meta(tmp_path / "pipe.mhd", b"", ElementDataFile="pipe.raw"))
    assert "no such file" in refused(meta(tmp_path / "absent.mhd", b"", ElementDataFile="absent.raw"))
    assert "a pipe or a device" in refused(nrrd(tmp_path / "pipe.nhdr", b"", **{"data file": "pipe.raw"}))
    (tmp_path / "short.raw").write_bytes(bytes(100))
    assert "100 bytes of voxels" in refused(meta(tmp_path / "short.mhd", b"", ElementDataFile="short.raw"))


@pytest.mark.parametrize("changes", [
    {"NDims": "-3"}, {"NDims": "0"}, {"NDims": "99999999999999999999"}, {"NDims": "x"}, {"NDims": "4"}, {"NDims": "1"},
    {"NDims": None}, {"DimSize": "20 16"}, {"DimSize": "20 16 -8"}, {"DimSize": "20 16 0"}, {"DimSize": None},
    {"DimSize": "nan nan nan"}, {"ElementType": "MET_NONE"}, {"ElementType": None}, {"ElementNumberOfChannels": "-1"},
    {"ElementNumberOfChannels": "999999999999"}, {"ElementSpacing": "0 0 0"}, {"ElementSpacing": "nan 1 1"},
    {"ElementSpacing": "inf 1 1"}, {"TransformMatrix": "0 0 0 0 0 0 0 0 0"}, {"TransformMatrix": "1 0 0 0 1 0 1 1 0"},
    {"CompressedData": "True"}, {"CompressedData": "True", "CompressedDataSize": "9"},
    {"ElementDataFile": ""}, {"ElementDataFile": "/dev/zero"},
])  # fmt: skip
def test_headers_of_nonsense_are_refused(tmp_path: Path, changes: dict[str, str | None]) -> None:
    refused(meta(tmp_path / "a.mha", IMAGE.tobytes(order="F"), **changes))


def test_the_limit_of_memory_is_an_option_of_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, output = put(tmp_path / "a.nii", IMAGE, np.eye(4)), tmp_path / "o"
    monkeypatch.setenv(VARIABLE, "1")  # and what the option sets is undone
    words = [str(path), str(path), "--bundle", "vxm_mse", "--output", str(output), "--memory-gb"]
    with pytest.raises(InputError, match="a.nii: .* above the limit of 0.0 GB"):
        register([*words, "1e-6"])
    with pytest.raises(InputError, match="is 'much'; give a number of GB above 0"):
        register([*words, "much"])
    assert not output.exists()

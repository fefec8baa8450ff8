"""What comes from elsewhere is checked before it is opened; nothing is left of what is refused."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest
from toy_package import FILES, Edit, package

from common.collection import receive
from common.collection.receive import SUMS, unpack, verify_folder
from common.errors import InputError
from tools.package.archive import zipped
from tools.package.contents import with_sums


def named(name: str, mode: int = stat.S_IFREG | 0o644, content: bytes = b"x") -> Edit:
    """Add an entry."""

    def add(archive: zipfile.ZipFile) -> None:
        entry = zipfile.ZipInfo("x")
        entry.filename, entry.external_attr, entry.create_system = name, mode << 16, 3
        archive.writestr(entry, content)

    return add


def test_a_whole_package_is_unpacked_as_it_was_packed(tmp_path: Path) -> None:
    folder = unpack(package(tmp_path / "a.zip"), tmp_path / "new" / "folder")
    assert folder == tmp_path / "new" / "folder" / "toy"
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == with_sums(FILES) and [path.name for path in folder.parent.iterdir()] == ["toy"]
    assert verify_folder(folder) == folder


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (named("/etc/passwd"), "'/etc/passwd' is an absolute name"),
        (named("C:/x"), "'C:/x' is an absolute name"),
        (named("toy/../../x"), "is a name that leads elsewhere"),
        (named("toy/./x"), "is a name that leads elsewhere"),
        (named("toy//x"), "is a name that leads elsewhere"),
        (named("toy/x/"), "is an entry for a folder"),
        (named("toy/.../x"), "is a name that leads elsewhere"),
        (named("toy\\..\\x"), "is a name with a backslash"),
        (named("toy/x\n"), "is a name with a backslash or a control character"),
        (named("toy/x.md:hidden"), "is a name of other than letters"),
        (named("toy/a\u202egnp.py"), "is a name of other than letters"),
        (named("toy/e\u0301.md"), "is a name of other than letters"),
        (named("-toy/x"), "is a name of other than letters"),
        (named(".toy/x"), "is a name of other than letters"),
        (named("toy/link", stat.S_IFLNK | 0o777, b"/etc"), "'toy/link' is a link or special file"),
        (named("toy/pipe", stat.S_IFIFO | 0o644), "is a link or special file"),
        (named("toy/configs/train.json"), "'toy/configs/train.json' stands in it twice"),
        (named("toy/CONFIGS/train.json"), "stands in it twice"),
        (named("toy/extra.py"), "'extra.py' is not listed in SHA256SUMS"),
        (named("other/x"), "its files do not lie in one folder"),
        (named("x"), "its files do not lie in one folder"),
    ],
)
def test_a_package_that_leads_elsewhere_is_refused(edit: Edit, message: str, tmp_path: Path) -> None:
    path = package(tmp_path / "a.zip", edit)
    refused(path, message, tmp_path)


def refused(path: Path, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        unpack(path, tmp_path / "into")
    assert message in str(caught.value) and str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["a.zip", "into"]


def test_content_other_than_listed_is_refused(tmp_path: Path) -> None:
    refused(package(tmp_path / "a.zip", **{"docs/README.md": b"# y\n"}), "'toy/docs/README.md' is not as", tmp_path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (FILES, "toy/SHA256SUMS is missing"),
        ({**FILES, SUMS: b"nothing\n"}, "SHA256SUMS is not a list of hashes"),
        ({**FILES, SUMS: b"\xff\n"}, "SHA256SUMS is not a list of hashes"),
        ({**FILES, SUMS: f"{'0' * 64}  ../x\n".encode()}, "SHA256SUMS names '../x'"),
        ({**FILES, SUMS: (f"{'0' * 64}  a\n" * 2).encode()}, "each of another file"),
        ({SUMS: with_sums(FILES)[SUMS]}, "'configs/train.json' is missing, though SHA256SUMS lists it"),
        ({}, "its files do not lie in one folder"),
    ],
)
def test_a_list_that_does_not_fit_is_refused(files: dict[str, bytes], message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(zipped("toy", files))
    refused(path, message, tmp_path)


def test_what_would_fill_the_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = package(tmp_path / "a.zip", named("toy/zeros", content=bytes(10**6)))
    monkeypatch.setattr(receive, "MOST_BYTES", 10**5)
    refused(path, "GiB when unpacked, so it is refused", tmp_path)
    monkeypatch.setattr(receive, "MOST_FILES", 3)
    refused(path, "5 files, more than the 3", tmp_path)


def test_a_size_that_is_declared_too_small_is_refused(tmp_path: Path) -> None:
    path = package(tmp_path / "a.zip")
    content, size = bytearray(path.read_bytes()), len(FILES["models/model.pt"]).to_bytes(4, "little")
    assert content.count(size) == 2  # before the file, and in the directory
    path.write_bytes(content.replace(size, (10).to_bytes(4, "little")))
    refused(path, "a.zip: ", tmp_path)


def test_every_truncation_and_flipped_byte_is_refused_or_harmless(tmp_path: Path) -> None:
    path = package(tmp_path / "a.zip")
    whole = path.read_bytes()
    for place in range(0, len(whole), 37):
        for damaged in (whole[:place], whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :]):
            path.write_bytes(damaged)
            try:
                folder = unpack(path, tmp_path / f"into{place}_{len(damaged)}")
            except InputError:
                continue
            assert {file: (folder / file).read_bytes() for file in FILES} == FILES  # dates and the like


def test_what_is_no_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 not really")
    refused(tmp_path / "a.zip", "not a whole zip file", tmp_path)


def test_a_folder_that_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "mine").write_text("mine")
    with pytest.raises(InputError, match="toy: exists already"):
        unpack(package(tmp_path / "a.zip"), tmp_path)
    assert [path.name for path in (tmp_path / "toy").iterdir()] == ["mine"]


@pytest.mark.parametrize("made", ["runs/train/log.csv", "eval/x/metrics.json", "data/phantom/dataset.json"])
def test_what_a_bundle_writes_itself_is_passed_over(made: str, tmp_path: Path) -> None:
    folder = unpack(package(tmp_path / "a.zip"), tmp_path)
    (folder / made).parent.mkdir(parents=True)
    (folder / made).write_text("x")
    assert verify_folder(folder) == folder


@pytest.mark.parametrize("added", ["configs/more.yaml", "__pycache__/x.pyc", "docs/data/x", "sitecustomize.py"])
def test_a_folder_with_more_in_it_is_refused(added: str, tmp_path: Path) -> None:
    folder = unpack(package(tmp_path / "a.zip"), tmp_path)
    (folder / added).parent.mkdir(parents=True, exist_ok=True)
    (folder / added).write_text("x")
    with pytest.raises(InputError, match=f"'{added}' is not listed in SHA256SUMS"):
        verify_folder(folder)


def test_a_folder_that_was_changed_is_refused(tmp_path: Path) -> None:
    folder = unpack(package(tmp_path / "a.zip"), tmp_path)
    (folder / "docs" / "README.md").write_text("# changed\n")
    with pytest.raises(InputError, match="README.md: not as SHA256SUMS says"):
        verify_folder(folder)
    (folder / "docs" / "README.md").unlink()
    with pytest.raises(InputError, match="'docs/README.md' is missing"):
        verify_folder(folder)
    (folder / "docs" / "README.md").symlink_to(tmp_path / "a.zip")
    with pytest.raises(InputError, match="README.md: a link or special file"):
        verify_folder(folder)
    with pytest.raises(InputError, match="no package: SHA256SUMS is missing"):
        verify_folder(tmp_path)

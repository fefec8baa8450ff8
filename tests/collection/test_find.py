"""A bundle is found by its name, its folder or its package; what lies in the cache is not trusted."""

from __future__ import annotations

import hashlib
import shutil
import stat
from pathlib import Path

import pytest
from toy_package import FILES, package

from common.collection import find
from common.collection.find import find_bundle
from common.collection.receive import unpack, verify_folder
from common.errors import InputError
from tools.package.archive import zipped
from tools.package.contents import with_sums
from tools.render import BUNDLES


def test_a_bundle_is_found_by_name_folder_and_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    assert find_bundle("vxm_hetero") == BUNDLES / "vxm_hetero"
    assert find_bundle(BUNDLES / "vxm_mse") == BUNDLES / "vxm_mse"
    path = package(tmp_path / "a.zip")
    folder = find_bundle(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert folder == tmp_path / "cache" / "warpsure" / "packages" / digest[:16] / "toy" == find_bundle(str(path))
    for wrong in ("vxm_heter", "../bundles/vxm_hetero", tmp_path / "none.zip", tmp_path):
        with pytest.raises(InputError, match="no bundle; give the name of one in bundles/"):
            find_bundle(wrong)


def test_what_was_changed_in_the_cache_is_unpacked_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = find_bundle(package(tmp_path / "a.zip"))
    (folder / "runs").mkdir()
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "x.pyc").write_text("x")
    assert find_bundle(tmp_path / "a.zip") == folder and (folder / "runs").is_dir()
    assert not (folder / "__pycache__").exists()
    (folder / "configs" / "train.json").write_text('{"run": "$changed()"}')
    assert find_bundle(tmp_path / "a.zip") == folder
    assert (folder / "configs" / "train.json").read_bytes() == FILES["configs/train.json"]


def test_another_package_in_the_cache_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = package(tmp_path / "a.zip")
    folder = find_bundle(path)
    shutil.rmtree(folder)
    other = tmp_path / "b.zip"
    other.write_bytes(zipped("toy", with_sums(FILES | {"configs/train.json": b'{"run": "$evil()"}'})))
    unpack(other, folder.parent)  # whole, by the list that lies in it
    assert (find_bundle(path) / "configs" / "train.json").read_bytes() == FILES["configs/train.json"]
    shutil.rmtree(folder)
    folder.symlink_to(unpack(other, tmp_path / "elsewhere"))
    assert (find_bundle(path) / "configs" / "train.json").read_bytes() == FILES["configs/train.json"]
    assert not folder.is_symlink() and (tmp_path / "elsewhere" / "toy" / "configs").is_dir()
    shutil.rmtree(folder)
    folder.symlink_to(unpack(path, tmp_path / "alike"))  # where it can be changed later
    assert find_bundle(path) == folder and not folder.is_symlink()
    (folder.parent / "second").mkdir()
    assert find_bundle(path) == folder and not (folder.parent / "second").exists()


def test_a_cache_that_others_can_write_to_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = package(tmp_path / "a.zip")
    packages = find_bundle(path).parents[1]
    assert stat.S_IMODE(packages.stat().st_mode) == 0o700
    packages.chmod(0o777)
    with pytest.raises(InputError, match="packages: others can write to it; set XDG_CACHE_HOME"):
        find_bundle(path)


def test_of_two_processes_that_unpack_at_once_both_have_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    ours = find.unpack

    def second(archive: Path, into: Path) -> Path:
        ours(archive, into)
        return ours(archive, into)

    monkeypatch.setattr(find, "unpack", second)
    folder = find_bundle(package(tmp_path / "a.zip"))
    assert verify_folder(folder) == folder

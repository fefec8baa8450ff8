"""A bundle is found by its name, its folder or its package; what lies in the cache is not trusted."""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from toy_package import FILES, package

from common.collection import find
from common.collection.find import BUNDLES, RECORD, Found, find_bundle
from common.collection.receive import unpack, verify_folder
from common.errors import InputError
from tools.package.archive import zipped
from tools.package.contents import with_sums


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty folder, with a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def bundle(folder: Path) -> Path:
    """A bundle, as far as finding goes."""
    (folder / "configs").mkdir(parents=True)
    return folder


def run_of(folder: Path, bundle: Path, run: Path) -> Path:
    """A run's ``folder``, in whose folder ``run`` the training of ``bundle`` has written."""
    run.mkdir(parents=True)
    (run / RECORD).write_text(json.dumps({"folder": str(bundle), "network_def": {"_target_": "N"}}))
    (run / "model.pt").write_bytes(b"weights")
    return folder


def test_a_bundle_is_found_by_name_folder_and_file(tmp_path: Path) -> None:
    assert find_bundle("vxm_hetero") == Found(BUNDLES / "vxm_hetero")
    assert find_bundle(BUNDLES / "vxm_mse") == find_bundle(find_bundle("vxm_mse")) == Found(BUNDLES / "vxm_mse")
    path = package(tmp_path / "a.zip")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    folder = tmp_path / "cache" / "warpsure" / "packages" / digest[:16] / "toy"
    assert find_bundle(path) == find_bundle(str(path)) == Found(folder)


def test_a_name_is_of_the_working_folder_first(tmp_path: Path) -> None:
    own = bundle(tmp_path / "here" / "bundles" / "vxm_hetero")
    assert find_bundle("vxm_hetero") == Found(own) and find_bundle("vxm_mse") == Found(BUNDLES / "vxm_mse")
    assert find.names().count("vxm_hetero") == 1 and find.places() == [own.parent, BUNDLES]


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("vxm_hetero_dips", "did you mean vxm_hetero_disp?"),
        ("bundles/vxm_heter", "did you mean vxm_hetero?"),
        ("something", "package; Names"),
        ("none.zip", "package; Names"),
    ],
)
def test_what_is_none_is_told_with_the_nearest_name(given: str, hint: str, tmp_path: Path) -> None:
    bundle(tmp_path / "here" / "bundles" / "own")
    with pytest.raises(InputError, match="no bundle, run or package") as caught:
        find_bundle(given)
    said = str(caught.value)
    assert hint in said and said.startswith(f"{given}: ") and "\n" not in said
    assert str(tmp_path / "here" / "bundles") in said and str(BUNDLES) in said


def test_a_folder_that_is_neither_says_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"neither a bundle \(no configs in it\) nor a run .* \(no bundle.json\)"):
        find_bundle(tmp_path)


def test_a_run_is_its_bundle_with_its_own_weights_and_network(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", BUNDLES / "vxm_mse", tmp_path / "run")
    expected = Found(BUNDLES / "vxm_mse", run / "model.pt", {"_target_": "N"})
    assert find_bundle(run) == expected
    assert expected.settings == {"checkpoint": str(run / "model.pt"), "network_def": {"_target_": "N"}}
    assert find_bundle("vxm_mse").settings == {}
    seed = tmp_path / "RUNS" / "vxm_mse" / "default" / "seed_0"
    assert find_bundle(run_of(seed, BUNDLES / "vxm_mse", seed / "train")).checkpoint == seed / "train" / "model.pt"


def test_the_bundle_of_a_run_is_found_by_its_name_where_it_was_moved(tmp_path: Path) -> None:
    gone = tmp_path / "gone" / "mine"
    run = run_of(tmp_path / "run", gone, tmp_path / "run")
    with pytest.raises(InputError, match="its bundle mine is neither at .*gone/mine nor in .*here/bundles; bring it"):
        find_bundle(run)
    own = bundle(tmp_path / "here" / "bundles" / "mine")
    assert find_bundle(run).folder == own
    bundle(gone)
    assert find_bundle(run).folder == gone


def test_a_run_without_weights_or_with_a_broken_record_is_refused(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", BUNDLES / "vxm_mse", tmp_path / "run")
    (run / "model.pt").unlink()
    with pytest.raises(InputError, match="run: has no model.pt"):
        find_bundle(run)
    for content in ("{", "[]", "{}"):
        (run / RECORD).write_text(content)
        with pytest.raises(InputError, match="bundle.json: cannot be read"):
            find_bundle(run)


def test_to_find_a_bundle_needs_nothing_heavy() -> None:
    code = "import sys, common.collection.find; print({'torch', 'numpy', 'monai', 'nibabel'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=BUNDLES.parent)
    assert said.stdout.strip() == "set()"


def test_what_was_changed_in_the_cache_is_unpacked_anew(tmp_path: Path) -> None:
    folder = find_bundle(package(tmp_path / "a.zip")).folder
    (folder / "runs").mkdir()
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "x.pyc").write_text("x")
    assert find_bundle(tmp_path / "a.zip").folder == folder and (folder / "runs").is_dir()
    assert not (folder / "__pycache__").exists()
    (folder / "configs" / "train.json").write_text('{"run": "$changed()"}')
    assert find_bundle(tmp_path / "a.zip").folder == folder
    assert (folder / "configs" / "train.json").read_bytes() == FILES["configs/train.json"]


def test_another_package_in_the_cache_is_replaced(tmp_path: Path) -> None:
    path = package(tmp_path / "a.zip")
    folder = find_bundle(path).folder
    shutil.rmtree(folder)
    other = tmp_path / "b.zip"
    other.write_bytes(zipped("toy", with_sums(FILES | {"configs/train.json": b'{"run": "$evil()"}'})))
    unpack(other, folder.parent)  # whole, by the list that lies in it
    assert (find_bundle(path).folder / "configs" / "train.json").read_bytes() == FILES["configs/train.json"]
    shutil.rmtree(folder)
    folder.symlink_to(unpack(other, tmp_path / "elsewhere"))
    assert (find_bundle(path).folder / "configs" / "train.json").read_bytes() == FILES["configs/train.json"]
    assert not folder.is_symlink() and (tmp_path / "elsewhere" / "toy" / "configs").is_dir()
    shutil.rmtree(folder)
    folder.symlink_to(unpack(path, tmp_path / "alike"))  # where it can be changed later
    assert find_bundle(path).folder == folder and not folder.is_symlink()
    (folder.parent / "second").mkdir()
    assert find_bundle(path).folder == folder and not (folder.parent / "second").exists()


def test_a_cache_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    path = package(tmp_path / "a.zip")
    packages = find_bundle(path).folder.parents[1]
    assert stat.S_IMODE(packages.stat().st_mode) == 0o700
    for mode in (0o777, 0o770, 0o702):
        packages.chmod(mode)
        with pytest.raises(InputError, match="packages: others can write to it; set XDG_CACHE_HOME"):
            find_bundle(path)


def test_a_link_in_the_place_of_an_unpacked_package_is_refused(tmp_path: Path) -> None:
    path = package(tmp_path / "a.zip")
    unpacked = find_bundle(path).folder.parent
    unpacked.rename(tmp_path / "elsewhere")
    unpacked.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="a link, which the cache never holds; remove it"):
        find_bundle(path)
    assert [*(tmp_path / "elsewhere").iterdir()]


def test_of_two_processes_that_unpack_at_once_both_have_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = find.unpack

    def second(archive: Path, into: Path) -> Path:
        ours(archive, into)
        return ours(archive, into)

    monkeypatch.setattr(find, "unpack", second)
    folder = find_bundle(package(tmp_path / "a.zip")).folder
    assert verify_folder(folder) == folder

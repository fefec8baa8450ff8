"""tools.prepare: splits, interrupted runs, broken patients and outputs that hold something else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from common.data import prepared
from common.data.prepared_check import find_problems
from common.errors import InputError
from tools.prepare import cases
from tools.prepare.__main__ import main
from tools.prepare.splitting import refuse_shared, split_subjects


def make_source(root: Path, names: tuple[str, ...] = ("a", "b", "c", "d", "e")) -> Path:
    rng = np.random.default_rng(0)
    root.mkdir(parents=True, exist_ok=True)
    for name in names:
        for role in ("moving", "fixed"):
            array = rng.random((8, 9, 2)).astype(np.float32)
            nib.save(nib.Nifti1Image(array, np.eye(4)), root / f"{name}_{role}.nii.gz")
    return root


def run(tmp_path: Path, *options: object) -> prepared.Dataset:
    arguments = ["pairs", "--source", tmp_path / "raw", "--output", tmp_path / "out", "--jobs", 1, *options]
    assert main([str(argument) for argument in arguments]) == 0
    return prepared.read(tmp_path / "out")


def times(output: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in output.glob("images/*")}


def changed(before: dict[str, int], after: dict[str, int]) -> set[str]:
    return {name for name in before | after if before.get(name) != after.get(name)}


@pytest.mark.parametrize("total", [3, 5, 10, 100, 101])
@pytest.mark.parametrize("fractions", [(0.7, 0.1, 0.2), (0.8, 0.2, 0.0), (0.0, 0.0, 1.0)])
def test_splits_are_seeded_whole_and_near_the_fractions(total: int, fractions: tuple[float, ...]) -> None:
    names = [f"s{n}" for n in range(total)]
    split = split_subjects(names, fractions, seed=3)
    assert split == split_subjects(reversed(names), fractions, seed=3)
    assert split.keys() == set(names)
    counts = [list(split.values()).count(s) for s in prepared.SPLITS]
    for count, fraction in zip(counts, fractions, strict=True):
        assert abs(count - fraction * total) < 1.5 and (count > 0) == (fraction > 0)
    if total >= 10 and max(fractions) < 1:
        assert split != split_subjects(names, fractions, seed=4)


def test_a_patient_in_two_splits_is_refused() -> None:
    with pytest.raises(InputError, match="bob is in the splits train and test"):
        refuse_shared({"train": {"ann", "bob"}, "test": {"bob"}})


def test_a_second_run_converts_nothing(tmp_path: Path) -> None:
    make_source(tmp_path / "raw")
    first = run(tmp_path)
    before = times(first.root)
    assert run(tmp_path) == first
    assert times(first.root) == before


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupted_run_goes_on_and_leaves_nothing_half_done(
    tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_source(tmp_path / "raw")
    whole = run(tmp_path)
    before = times(whole.root)
    (whole.root / "dataset.json").unlink()
    (whole.root / cases.STAMPS / "b.json").unlink()
    (whole.root / "images/c_fixed.nii.gz").write_bytes(b"half a fi")
    (whole.root / "images/.d_fixed.nii.gz.77.tmp").write_bytes(b"half")
    assert main(["pairs", "--source", str(tmp_path / "raw"), "--output", str(whole.root), "--jobs", str(workers)]) == 0
    assert prepared.read(whole.root) == whole
    redone = {f"{name}_{role}.nii.gz" for name in ("b", "c") for role in ("moving", "fixed")}
    assert changed(before, times(whole.root)) == redone
    assert not [line for line in find_problems(whole.root) if line.startswith("error:")]


def test_a_changed_source_file_is_converted_again(tmp_path: Path) -> None:
    make_source(tmp_path / "raw")
    before = times(run(tmp_path).root)
    os.utime(tmp_path / "raw/e_moving.nii.gz", (1, 1))
    assert changed(before, times(run(tmp_path).root)) == {"e_moving.nii.gz", "e_fixed.nii.gz"}


def test_a_finished_set_of_other_settings_is_refused_unless_overwritten(tmp_path: Path) -> None:
    make_source(tmp_path / "raw")
    first = run(tmp_path)
    before = times(first.root)
    with pytest.raises(InputError, match=r"holds a finished data set .* --overwrite") as error:
        run(tmp_path, "--size", 6)
    assert "\n" not in str(error.value) and times(first.root) == before and prepared.read(first.root) == first
    smaller = run(tmp_path, "--size", 6, "--overwrite")
    assert prepared.load_arrays(smaller, smaller.pairs("train")[0])["moving"].shape == (6, 6)


def test_an_unfinished_set_of_other_settings_is_done_anew_without_remains(tmp_path: Path) -> None:
    make_source(tmp_path / "raw")
    first = run(tmp_path)
    (first.root / "dataset.json").unlink()
    (tmp_path / "raw/a_moving.nii.gz").unlink()
    (tmp_path / "raw/a_fixed.nii.gz").unlink()
    dataset = run(tmp_path, "--size", 6)
    assert not list(dataset.root.glob("images/a_*"))
    assert prepared.load_arrays(dataset, dataset.pairs("train")[0])["moving"].shape == (6, 6)


def test_a_folder_of_anything_else_is_left_alone(tmp_path: Path) -> None:
    make_source(tmp_path / "raw")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.txt").write_text("dear")
    for options in ((), ("--overwrite",)):
        with pytest.raises(InputError, match="not empty and no prepared data set"):
            run(tmp_path, *options)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]
    with pytest.raises(InputError, match="is a file"):
        main(["pairs", "--source", str(tmp_path / "raw"), "--output", str(tmp_path / "out/thesis.txt")])


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def put(array: np.ndarray) -> Callable[[Path], None]:
    return lambda path: nib.save(nib.Nifti1Image(array, np.eye(4)), path)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (cut, "cannot be read"),
        (lambda path: path.write_bytes(b""), "cannot be read"),
        (lambda path: path.write_text("<html>404</html>"), "cannot be read"),
        (lambda path: path.unlink(), "no file"),
        (put(np.full((8, 9, 2), np.nan, np.float32)), "144 voxels are NaN"),
        (put(np.zeros((8, 9, 2, 3, 2), np.float32)), "5D of shape"),
    ],
)
def test_a_broken_file_ends_in_one_line_or_is_skipped_and_reported(
    tmp_path: Path, spoil: Callable[[Path], None], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_source(tmp_path / "raw", ("a", "b", "c"))
    spoil(tmp_path / "raw/b_moving.nii.gz")
    with pytest.raises(InputError, match=rf"b_(moving|fixed)\.nii\.gz: .*{said}") as error:
        run(tmp_path)
    assert "\n" not in str(error.value) and not (tmp_path / "out/dataset.json").exists()
    expect_skipped(tmp_path, capsys)


def test_a_broken_file_read_by_another_process_is_named_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_source(tmp_path / "raw", ("a", "b", "c"))
    cut(tmp_path / "raw/b_moving.nii.gz")
    with pytest.raises(InputError, match=r"b_moving\.nii\.gz: cannot be read"):
        run(tmp_path, "--jobs", 2)
    expect_skipped(tmp_path, capsys, "--jobs", 2)


def expect_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str], *options: object) -> None:
    """Patient b is left out, and said to be."""
    dataset = run(tmp_path, "--skip-broken", "--fractions", "0.5,0.5,0", *options)
    said = capsys.readouterr()
    assert "skipped: " in said.err and "/b_" in said.err and "skipped 1" in said.out
    assert {pair["subject"] for pairs in dataset.splits.values() for pair in pairs} == {"a", "c"}


def test_all_broken_is_an_error_even_when_skipping(tmp_path: Path) -> None:
    make_source(tmp_path / "raw", ("a", "b"))
    for path in (tmp_path / "raw").iterdir():
        cut(path)
    with pytest.raises(InputError, match="none of 2 cases can be used; the first: "):
        run(tmp_path, "--skip-broken")


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (np.full((8, 9, 2), 1.5, np.float32), "whole"),
        (np.full((8, 9, 2), 700, np.int16), "700 is no whole number from 0 to 255"),
        (np.ones((8, 9, 2, 3), np.uint8), "4D of shape"),
    ],
)
def test_a_label_that_is_none_is_named(tmp_path: Path, label: np.ndarray, said: str) -> None:
    make_source(tmp_path / "raw", ("a", "b"))
    put(label)(tmp_path / "raw/a_fixed_label.nii.gz")
    with pytest.raises(InputError, match=rf"a_fixed_label\.nii\.gz: .*{said}"):
        run(tmp_path)


def test_two_processes_make_the_same_files(tmp_path: Path) -> None:
    make_source(tmp_path / "raw", ("a", "b", "c"))
    one = run(tmp_path)
    two = ["--source", str(tmp_path / "raw"), "--output", str(tmp_path / "two"), "--jobs", "2"]
    assert main(["pairs", *two]) == 0
    for path in (one.root / "images").iterdir():
        assert path.read_bytes() == (tmp_path / "two/images" / path.name).read_bytes()
    assert (one.root / "dataset.json").read_bytes() == (tmp_path / "two/dataset.json").read_bytes()

"""tools.prepare on the real data, where there is any: WARPSURE_DATA or ../shared/data."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from common.data import prepared
from common.data.atlas import atlas_pairs
from common.data.prepared_check import find_problems
from tools.prepare.__main__ import main

DATA = Path(os.environ.get("WARPSURE_DATA") or Path(__file__).parents[3] / "shared" / "data")
MYOCARDIUM = 2


def real(name: str) -> Path:
    if not (DATA / name).is_dir():
        pytest.skip(f"no {name} in {DATA}; set WARPSURE_DATA")
    return DATA / name


def some_of(source: Path, names: list[str], into: Path) -> Path:
    for name in names:
        shutil.copytree(next(source.rglob(name)), into / name)
    return into


def prepare(source: str, *options: object) -> prepared.Dataset:
    arguments = [source, *map(str, options)]
    assert main([*arguments, "--jobs", "1"]) == 0
    output = Path(arguments[arguments.index("--output") + 1])
    assert not [line for line in find_problems(output) if line.startswith("error:")]
    return prepared.read(output)


def dice(first: np.ndarray, second: np.ndarray) -> float:
    """Percent, NaN where a mask is empty."""
    if not first.any() or not second.any():
        return float("nan")
    return 200 * (first & second).sum() / (first.sum() + second.sum())


def undeformed(dataset: prepared.Dataset, split: str) -> dict[str, float]:
    values = {}
    for pair in dataset.pairs(split):
        arrays = prepared.load_arrays(dataset, pair, prepared.LABEL_KEYS)
        values[pair["id"]] = dice(*(arrays[key] == MYOCARDIUM for key in prepared.LABEL_KEYS))
    return values


def undeformed_raw(folder: Path) -> dict[str, float]:
    """The same of one ACDC patient, straight from the download and without any crop."""
    info = dict(line.split(": ") for line in (folder / "Info.cfg").read_text().splitlines())
    frames = [folder / f"{folder.name}_frame{int(info[phase]):02d}_gt.nii.gz" for phase in ("ED", "ES")]
    moving, fixed = (np.asanyarray(nib.load(path).dataobj) == MYOCARDIUM for path in frames)
    return {f"{folder.name}_slice{k:02d}": dice(moving[..., k], fixed[..., k]) for k in range(moving.shape[2])}


def test_the_undeformed_dice_is_that_of_the_raw_files(tmp_path: Path) -> None:
    source = some_of(real("ACDC"), ["patient005", "patient030", "patient095"], tmp_path / "raw")
    dataset = prepare("acdc", "--source", source, "--output", tmp_path / "out")
    expected = {key: value for folder in source.iterdir() for key, value in undeformed_raw(folder).items()}
    found = undeformed(dataset, "val")
    assert found.keys() == expected.keys()
    np.testing.assert_allclose([found[key] for key in expected], list(expected.values()))


@pytest.mark.slow
def test_the_undeformed_dice_of_the_acdc_validation_patients(tmp_path: Path) -> None:
    source = real("ACDC")
    dataset = prepare("acdc", "--source", source, "--output", tmp_path / "out")
    folders = sorted(path for path in source.rglob("patient*") if path.is_dir() and int(path.name[7:]) % 5 == 0)
    expected = {key: value for folder in folders for key, value in undeformed_raw(folder).items()}
    found = undeformed(dataset, "val")
    np.testing.assert_allclose([found[key] for key in expected], list(expected.values()))
    assert len(found) == 193 and np.isfinite(list(found.values())).sum() == 185
    assert np.nanmean(list(found.values())) == pytest.approx(50.9, abs=0.05)
    groups = [pair["group"] for pair in dataset.pairs("val") if pair["slice"] == 0]
    assert {group: groups.count(group) for group in groups} == dict.fromkeys(("DCM", "HCM", "MINF", "NOR", "RV"), 4)
    assert [len({pair["subject"] for pair in dataset.pairs(split)}) for split in ("train", "val")] == [80, 20]


def test_acdc_volumes_have_true_spacing(tmp_path: Path) -> None:
    source = some_of(real("ACDC"), ["patient001"], tmp_path / "raw")
    dataset = prepare("acdc", "--source", source, "--output", tmp_path / "out", "--spatial-dims", 3)
    array, affine = prepared.read_image(dataset.root / dataset.pairs("train")[0]["moving"])
    assert array.shape == (128, 128, 24)
    np.testing.assert_allclose(np.linalg.norm(affine[:3, :3], axis=0), (1.5, 1.5, 5), rtol=1e-5)


def test_both_releases_of_camus(tmp_path: Path) -> None:
    names = ["patient0001", "patient0002", "patient0003"]
    new = some_of(real("CAMUS"), names, tmp_path / "new")
    old = some_of(real("CAMUS_original"), names, tmp_path / "old")
    for source, extent in ((new, (224, 224)), (old, (549 * 0.308, 778 * 0.154))):
        dataset = prepare("camus", "--source", source, "--output", tmp_path / f"{source.name}_out")
        assert [len(dataset.splits[split]) for split in prepared.SPLITS] == [4, 2, 0]
        affine = prepared.read_image(dataset.root / dataset.pairs("val")[0]["fixed"])[1]
        np.testing.assert_allclose(np.linalg.norm(affine[:3, :3], axis=0)[:2] * 128, extent, rtol=1e-4)


def test_a_folder_in_no_official_layout(tmp_path: Path) -> None:
    patterns = ("--moving-pattern", "{subject}_ED.nii.gz", "--fixed-pattern", "{subject}_ES.nii.gz")
    options = ("--source", real("Sunnybrook"), "--output", tmp_path / "out", "--label-suffix", "_gt")
    dataset = prepare("pairs", *options, *patterns)
    assert [len({p["subject"] for p in dataset.splits[split]}) for split in prepared.SPLITS] == [4, 1, 0]
    assert dataset.evaluated_labels == (1,)
    assert prepared.load_arrays(dataset, dataset.pairs("train")[0])["moving"].shape == (128, 128)


@pytest.mark.slow
def test_the_hippocampus(tmp_path: Path) -> None:
    dataset = prepare("msd", "--source", real("Task04_Hippocampus"), "--output", tmp_path / "out")
    arrays = prepared.load_arrays(dataset, dataset.pairs("train")[0], ("moving", "moving_mask"))
    assert arrays["moving"].shape == (48, 64, 48) and not arrays["moving"][arrays["moving_mask"] == 0].any()
    assert dataset.evaluated_labels == (1, 2)
    counts = {split: len({pair["subject"] for pair in dataset.pairs(split)}) for split in prepared.SPLITS}
    pairs = atlas_pairs(dataset, "val")
    assert len(pairs) == counts["val"] == 21 and counts["train"] == 145
    training = {pair["subject"] for pair in dataset.pairs("train")}
    assert all(pair["moving_subject"] in training and 0.1 < pair["nlcc"] < 0.6 for pair in pairs)

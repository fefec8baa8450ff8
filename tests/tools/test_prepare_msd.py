"""tools.prepare msd on a task laid out as Task05_Prostate: two channels, two structures, thick slices."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from common.data import prepared
from common.data.prepared_check import find_problems
from common.errors import InputError
from common.nifti import save_image
from tools.prepare.__main__ import main

SPACING = (0.625, 0.625, 3.6)
MODALITIES = {"0": "T2", "1": "ADC"}


def make_prostate(root: Path, shape: tuple[int, ...], count: int = 4, modality: dict[str, str] = MODALITIES) -> Path:
    """T2 grows along j, ADC falls; a peripheral zone (1) around a transition zone (2), off the centre."""
    random = np.random.default_rng(0)
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = (-40, 20, 7)
    grid = np.stack(np.meshgrid(*[np.arange(n, dtype=np.float32) for n in shape], indexing="ij"), -1)
    centre = np.array(shape) * (0.5, 0.4, 0.5)
    distance = np.linalg.norm((grid - centre) / (0.25 * np.array(shape)), axis=-1)
    label = ((distance < 1).astype(np.uint8) + (distance < 0.6)).astype(np.uint8)
    entries = []
    for number in range(count):
        ramp = grid[..., 1] + 3 * random.random(shape, dtype=np.float32)
        name = f"prostate_{number:02d}.nii.gz"
        for folder, array in (("imagesTr", np.stack([ramp, -ramp], axis=-1)), ("labelsTr", label)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(array, affine), root / folder / name)
        entries.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
    write_task(root, entries, modality)
    return root


def write_task(root: Path, entries: Sequence[dict], modality: dict[str, str] = MODALITIES) -> None:
    labels = {"0": "background", "1": "PZ", "2": "TZ"}
    content = {"name": "PROSTATE", "modality": modality, "labels": labels, "licence": "CC-BY-SA 4.0"}
    (root / "dataset.json").write_text(json.dumps({**content, "tensorImageSize": "4D", "training": list(entries)}))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_prostate(tmp_path / "raw", (32, 32, 6))


def prepare(source: Path, output: Path, *options: str) -> prepared.Dataset:
    arguments = ["--source", str(source), "--output", str(output), "--spacing", "1,1,1", "--fractions", "0.5,0,0.5"]
    assert main(["msd", *arguments, "--jobs", "1", *options]) == 0
    return prepared.read(output)


def volume_of(array: np.ndarray, label: int, affine: np.ndarray) -> float:
    """Of a structure, mm^3."""
    return float((array == label).sum() * abs(np.linalg.det(affine[:3, :3])))


def check_prepared(source: Path, dataset: prepared.Dataset, size: tuple[int, ...]) -> None:
    """Every file has the size asked for at 1 mm, T2 where the image is real, and its structures where they were."""
    assert [line for line in find_problems(dataset.root) if line.startswith("error:")] == []
    pair = dataset.pairs("train")[0]
    arrays = prepared.load_arrays(dataset, pair, ("fixed", "fixed_label", "fixed_mask"))
    image, label, mask = arrays.values()
    assert image.shape == label.shape == mask.shape == size
    affine = prepared.read_image(dataset.root / pair["fixed"])[1]
    np.testing.assert_allclose(affine[:3, :3], np.eye(3), atol=1e-6)
    extent = np.ptp(np.argwhere(mask), axis=0) + 1
    native = nib.load(source / "labelsTr" / Path(pair["fixed"]).name)
    np.testing.assert_allclose(extent, np.array(native.shape) * SPACING, atol=0.5)
    assert not image[mask == 0].any() and not label[mask == 0].any()
    along_j = [image[:, j][mask[:, j] > 0].mean() for j in np.flatnonzero(mask.any((0, 2)))]
    assert np.polyfit(np.arange(len(along_j)), along_j, 1)[0] > 0  # T2, and not ADC, which falls
    truth = np.asarray(native.dataobj)
    for value in (1, 2):
        assert volume_of(label, value, affine) == pytest.approx(volume_of(truth, value, native.affine), rel=0.1)
        places = [(a @ [*np.argwhere(m == value).mean(0), 1])[:3] for m, a in ((label, affine), (truth, native.affine))]
        np.testing.assert_allclose(*places, atol=0.35)  # the nearest voxel is up to half of 0.625 mm away


def test_the_prostate_becomes_volumes_of_t2(source: Path, tmp_path: Path) -> None:
    dataset = prepare(source, tmp_path / "out", "--size", "24,24,32")
    check_prepared(source, dataset, (24, 24, 32))
    assert dataset.modality == "T2" and dataset.labels == {1: "PZ", 2: "TZ"} and dataset.evaluated_labels == (1, 2)
    assert dataset.preparation["channel"] == 0 and dataset.preparation["spacing"] == [1, 1, 1]


@pytest.mark.slow
def test_the_prostate_at_full_size(tmp_path: Path) -> None:
    source = make_prostate(tmp_path / "raw", (320, 320, 20), count=2)
    dataset = prepare(source, tmp_path / "out", "--size", "240,240,96", "--fractions", "1,0,0")
    check_prepared(source, dataset, (240, 240, 96))


def test_a_modality_has_a_name_as_well_as_a_number(source: Path, tmp_path: Path) -> None:
    by_name = prepare(source, tmp_path / "out", "--channel", "t2")
    before = {path: path.stat().st_mtime_ns for path in by_name.root.rglob("images/*")}
    assert prepare(source, tmp_path / "out", "--channel", "0") == by_name  # the same settings: goes on, and is done
    assert {path: path.stat().st_mtime_ns for path in by_name.root.rglob("images/*")} == before
    other = prepare(source, tmp_path / "adc", "--channel", "ADC")
    assert other.modality == "ADC" and other.preparation["channel"] == 1
    pair = other.pairs("train")[0]
    t2, adc = (prepared.load_arrays(d, pair, ("fixed", "fixed_mask")) for d in (by_name, other))
    inside = t2["fixed_mask"] > 0
    assert np.corrcoef(t2["fixed"][inside], adc["fixed"][inside])[0, 1] == pytest.approx(-1, abs=0.01)


@pytest.mark.parametrize("channel", ["FLAIR", "2", "-1"])
def test_an_unknown_modality_is_named_with_the_known_ones(source: Path, tmp_path: Path, channel: str) -> None:
    with pytest.raises(InputError, match=rf"--channel {channel}: .*dataset.json knows T2 \(0\), ADC \(1\)"):
        prepare(source, tmp_path / "out", f"--channel={channel}")
    assert not (tmp_path / "out").exists()


def test_a_test_source_of_other_modalities_is_refused(source: Path, tmp_path: Path) -> None:
    other = make_prostate(tmp_path / "other", (32, 32, 6), 2, {"0": "ADC", "1": "T2"})
    with pytest.raises(InputError, match="channel 0 is ADC, but T2 in --source"):
        prepare(source, tmp_path / "out", "--test-source", str(other))


def spoil_label(source: Path, old: int, new: int) -> str:
    path = source / "labelsTr" / "prostate_01.nii.gz"
    image = nib.load(path)
    array = np.asarray(image.dataobj).copy()
    array[array == old] = new
    nib.save(nib.Nifti1Image(array, image.affine), path)
    return path.name


def test_a_label_map_that_lacks_a_class_is_a_warning(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = spoil_label(source, 2, 1)
    prepare(source, tmp_path / "out")
    assert main(["check", str(tmp_path / "out")]) == 0
    assert f"warning: labels/{name}: no voxel of label 2 (TZ)" in capsys.readouterr().out


def test_a_label_that_the_task_does_not_know_is_an_error(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = spoil_label(source, 2, 7)
    said = rf"{name}: label values \[7\], but the task's dataset.json knows \[1, 2\]"
    with pytest.raises(InputError, match=said):
        prepare(source, tmp_path / "out", "--fractions", "1,0,0")
    dataset = prepare(source, tmp_path / "out", "--fractions", "1,0,0", "--skip-broken")
    assert {pair["subject"] for pair in dataset.pairs("train")} == {"prostate_00", "prostate_02", "prostate_03"}
    assert f"{name}: label values [7]" in capsys.readouterr().err


def test_a_single_image_makes_no_pair(source: Path, tmp_path: Path) -> None:
    write_task(source, [{"image": "./imagesTr/prostate_00.nii.gz", "label": "./labelsTr/prostate_00.nii.gz"}])
    with pytest.raises(InputError, match="dataset.json: one image only, and a pair needs two"):
        prepare(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_mask_that_is_none_is_an_error(source: Path, tmp_path: Path) -> None:
    dataset = prepare(source, tmp_path / "out")
    array, affine = prepared.read_image(dataset.root / "masks/prostate_00.nii.gz")
    for changed, said in ((3 * array, r"but this has \[3\]"), (0 * array, "the mask is empty")):
        save_image(dataset.root / "masks/prostate_00.nii.gz", changed, affine)
        lines = [line for line in find_problems(dataset.root) if line.startswith("error:")]
        assert len(lines) == 1 and "masks/prostate_00.nii.gz" in lines[0]
        assert said.replace("\\", "") in lines[0]

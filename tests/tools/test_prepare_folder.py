"""tools.prepare pairs and cine: data in no published layout."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from common.data import prepared
from common.data.prepared_check import find_problems
from common.errors import InputError
from tools.prepare.__main__ import main

AFFINE = np.diag([1.5, 1.2, 8.0, 1.0])


def save(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine), path)


def image(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape).astype(np.float32)


def blob(shape: tuple[int, ...], value: int = 1) -> np.ndarray:
    labels = np.zeros(shape, np.uint8)
    labels[3:6, 3:6] = value
    return labels


def run(tmp_path: Path, *options: object, source: str = "pairs") -> prepared.Dataset:
    arguments = ["--source", tmp_path / "raw", "--output", tmp_path / "out", "--jobs", 1, *options]
    assert main([source, *map(str, arguments)]) == 0
    assert not [line for line in find_problems(tmp_path / "out") if line.startswith("error:")]
    return prepared.read(tmp_path / "out")


def ids(dataset: prepared.Dataset) -> set[str]:
    return {pair["id"] for pairs in dataset.splits.values() for pair in pairs}


def test_default_names_pad_to_the_largest_and_labels_are_found(tmp_path: Path) -> None:
    for name, shape in (("a", (10, 12, 3)), ("b", (14, 9, 2))):
        for role in ("moving", "fixed"):
            save(tmp_path / f"raw/{name}_{role}.nii.gz", image(shape))
            save(tmp_path / f"raw/{name}_{role}_label.nii.gz", blob(shape))
    save(tmp_path / "raw/a_moving_label.nii.gz", blob((10, 12, 3)) + blob((10, 12, 3)))
    dataset = run(tmp_path, "--fractions", "0.5,0.5,0", "--labels", "1=cavity")
    assert ids(dataset) == {"a_slice00", "a_slice01", "a_slice02", "b_slice00", "b_slice01"}
    assert dataset.labels == {1: "cavity", 2: "label 2"} and dataset.evaluated_labels == (1,)
    for split in ("train", "val"):
        assert prepared.load_arrays(dataset, dataset.pairs(split)[0])["fixed_label"].shape == (14, 12)


def test_three_dimensions_keep_volumes_and_labels_are_optional(tmp_path: Path) -> None:
    for name, depth in (("a", 3), ("b", 5)):
        save(tmp_path / f"raw/{name}_moving.nii.gz", image((8, 9, depth)))
        save(tmp_path / f"raw/{name}_fixed.nii.gz", image((8, 9, depth), 1))
    dataset = run(tmp_path, "--spatial-dims", 3)
    pair = dataset.pairs("val")[0]
    assert prepared.load_arrays(dataset, pair).keys() == {"moving", "fixed"}
    assert prepared.load_arrays(dataset, pair)["moving"].shape == (8, 9, 5)
    assert dataset.labels == {} and dataset.evaluated_labels == ()


def test_patterns_with_subject_and_id_keep_a_patient_in_one_split(tmp_path: Path) -> None:
    for subject in ("s1", "s2", "s3", "s4", "s5"):
        for scan in ("rest", "stress"):
            save(tmp_path / f"raw/{subject}/{subject}_{scan}_ED_v2.nii.gz", image((8, 8, 2)))
            save(tmp_path / f"raw/{subject}/{subject}_{scan}_ES_v2.nii.gz", image((8, 8, 2), 1))
    patterns = [f"--{role}-pattern={{subject}}_{{id}}_{phase}_*" for role, phase in (("moving", "ED"), ("fixed", "ES"))]
    dataset = run(tmp_path, *patterns, "--fractions", "0.6,0.2,0.2")
    assert "s3_stress_slice01" in ids(dataset)
    homes = {(pair["subject"], split) for split, pairs in dataset.splits.items() for pair in pairs}
    assert len(homes) == 5


def test_patterns_may_name_folders(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(tmp_path / f"raw/{name}/ed.nii.gz", image((8, 8, 2)))
        save(tmp_path / f"raw/{name}/es.nii.gz", image((8, 8, 2), 1))
    dataset = run(tmp_path, "--moving-pattern", "{subject}/ed.nii.gz", "--fixed-pattern", "{subject}/es.nii.gz")
    assert ids(dataset) == {"a_slice00", "a_slice01", "b_slice00", "b_slice01"}


def test_a_lone_image_is_never_dropped_silently(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        save(tmp_path / f"raw/{name}_moving.nii.gz", image((8, 8, 2)))
        save(tmp_path / f"raw/{name}_fixed.nii.gz", image((8, 8, 2), 1))
    save(tmp_path / "raw/c_fixed.nii.gz", image((8, 8, 2), 1))
    with pytest.raises(InputError, match=r"c_fixed\.nii\.gz: no file \{id\}_moving belongs to it"):
        run(tmp_path)
    run(tmp_path, "--skip-broken")
    assert "skipped: " in (err := capsys.readouterr().err) and "c_fixed.nii.gz" in err


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        save(tmp_path / f"raw/{folder}/a_moving.nii.gz", image((8, 8, 2)))
        save(tmp_path / f"raw/{folder}/a_fixed.nii.gz", image((8, 8, 2)))
    with pytest.raises(InputError, match="tell them apart"):
        run(tmp_path)


def test_a_moving_image_of_another_grid_is_brought_to_the_fixed_one(tmp_path: Path) -> None:
    """A ramp in world coordinates stays one: only the grid changes."""
    coarse, fine = np.diag([2.0, 2.0, 2.0, 1.0]), np.diag([1.0, 1.0, 1.0, 1.0])
    fine[:3, 3] = (3, 2, 2)
    grid = np.indices((12, 12, 12))
    save(tmp_path / "raw/a_moving.nii.gz", (2 * grid[0] + 2 * grid[1]).astype(np.float32), coarse)
    save(tmp_path / "raw/a_moving_label.nii.gz", (grid[0] >= 4).astype(np.uint8), coarse)
    save(tmp_path / "raw/a_fixed.nii.gz", image((10, 9, 8)), fine)
    dataset = run(tmp_path, "--spatial-dims", 3, "--fractions", "1,0,0")
    arrays = prepared.load_arrays(dataset, dataset.pairs("train")[0])
    i, j, _ = np.indices((10, 9, 8))
    np.testing.assert_allclose(arrays["moving"], (i + j) / (i + j).max(), atol=1e-5)
    assert set(np.unique(arrays["moving_label"])) == {0, 1}
    moved = fine.copy()
    moved[0, 3] = 900
    save(tmp_path / "raw/a_fixed.nii.gz", image((10, 9, 8)), moved)
    with pytest.raises(InputError, match="lies in space where"):
        run(tmp_path, "--spatial-dims", 3, "--fractions", "1,0,0")


def test_a_table_gives_ids_subjects_splits_and_groups(tmp_path: Path) -> None:
    for name in ("m1", "f1", "m2", "f2"):
        save(tmp_path / f"raw/{name}.nii.gz", image((8, 8, 1)))
    save(tmp_path / "raw/l1.nii.gz", blob((8, 8, 1)))
    table = tmp_path / "pairs.csv"
    table.write_text(
        "id,subject,moving,fixed,moving_label,split,group\n"
        "p1,alice,m1.nii.gz,f1.nii.gz,l1.nii.gz,val,DCM\np2,bob,m2.nii.gz,f2.nii.gz,,test,\n"
    )
    dataset = run(tmp_path, "--table", table)
    assert {split: [p["id"] for p in pairs] for split, pairs in dataset.splits.items()} == {
        "train": [], "val": ["p1"], "test": ["p2"]
    }  # fmt: skip
    pair = dataset.pairs("val")[0]
    assert (pair["subject"], pair["group"]) == ("alice", "DCM") and "moving_label" in pair
    assert "moving_label" not in dataset.pairs("test")[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,moving\na,b\n", "no column fixed"),
        ("moving,fixed\n", "no rows"),
        ("moving,fixed\na.nii.gz,\n", "line 2 has no fixed"),
        ("moving,fixed,split\na,b,dev\n", "'dev' is none of"),
        ("id,moving,fixed\n../x,a,b\n", "is no file name"),
        ("id,moving,fixed\na,m1.nii.gz,f1.nii.gz\na,m1.nii.gz,f1.nii.gz\n", "both make the pair 'a'"),
        ("moving,fixed\nm1.nii.gz,gone.nii.gz\n", "gone.nii.gz: no such file"),
    ],
)
def test_a_bad_table_is_named(tmp_path: Path, text: str, said: str) -> None:
    for name in ("m1", "f1"):
        save(tmp_path / f"raw/{name}.nii.gz", image((8, 8, 1)))
    (tmp_path / "pairs.csv").write_text(text)
    with pytest.raises(InputError, match=said):
        run(tmp_path, "--table", tmp_path / "pairs.csv")


@pytest.mark.parametrize("ending", [".mha", ".nrrd", ".nii"])
def test_other_formats_give_the_same_arrays_and_affines(tmp_path: Path, ending: str) -> None:
    from common.io import images

    array, affine = image((8, 6, 3)), np.array([[0.0, -1.2, 0, 5], [1.5, 0, 0, -7], [0, 0, 8, 2], [0, 0, 0, 1]])
    for role in ("moving", "fixed"):
        write_other(tmp_path / f"raw/a_{role}{ending}", array, affine)
        write_other(tmp_path / f"raw/a_{role}_label{ending}", blob((8, 6, 3)), affine)
    assert images.read_image(tmp_path / f"raw/a_moving{ending}").array.shape == (8, 6, 3)
    dataset = run(tmp_path, "--spatial-dims", 3, "--fractions", "1,0,0")
    found, found_affine = prepared.read_image(dataset.root / "images/a_fixed.nii.gz")
    np.testing.assert_allclose(found, (array - array.min()) / np.ptp(array), atol=1e-6)
    np.testing.assert_allclose(found_affine, affine, atol=1e-5)
    np.testing.assert_array_equal(prepared.read_image(dataset.root / "labels/a_fixed.nii.gz")[0], blob((8, 6, 3)))


def write_other(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    """Write through ITK, whose world is LPS+ and whose arrays are turned round."""
    import warnings

    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".nii":
        nib.save(nib.Nifti1Image(array, affine), path)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import itk

        lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
        spacing = np.linalg.norm(lps[:3, :3], axis=0)
        volume = itk.image_from_array(np.ascontiguousarray(array.T))
        volume.SetSpacing(spacing.tolist())
        volume.SetOrigin(lps[:3, 3].tolist())
        volume.SetDirection(itk.matrix_from_array(lps[:3, :3] / spacing))
        itk.imwrite(volume, str(path))


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_two_frames_of_a_cine(tmp_path: Path, spatial_dims: int) -> None:
    cines = {name: image((9, 8, 2, 6), seed) for seed, name in enumerate(("a", "b"))}
    for name, cine in cines.items():
        save(tmp_path / f"raw/{name}/{name}_4d.nii.gz", cine)
    save(tmp_path / "raw/a/a_4d_gt.nii.gz", np.repeat(blob((9, 8, 2))[..., None], 6, axis=3))
    frames = ("--moving-frame", 0, "--fixed-frame", 4, "--spatial-dims", spatial_dims)
    dataset = run(tmp_path, *frames, "--fractions", "1,0,0", source="cine")
    pair = dataset.pairs("train")[0]
    assert pair["subject"] == "a_4d" and "fixed_label" in pair
    assert (pair["native"]["moving_frame"], pair["native"]["fixed_frame"]) == (0, 4)
    expected = cines["a"][:, :, :, 4] if spatial_dims == 3 else cines["a"][:, :, 0, 4]
    found = prepared.load_arrays(dataset, pair)["fixed"]
    np.testing.assert_allclose(found, (expected - expected.min()) / np.ptp(expected), atol=1e-6)


@pytest.mark.parametrize(
    ("frames", "said"),
    [((0, 9), "holds images 0 to 5; there is no 9"), ((2, 2), "two different"), ((-1, 2), "from 0")],
)
def test_frames_that_are_not_there_are_named(tmp_path: Path, frames: tuple[int, int], said: str) -> None:
    save(tmp_path / "raw/a.nii.gz", image((9, 8, 2, 6)))
    options = (f"--moving-frame={frames[0]}", f"--fixed-frame={frames[1]}")
    with pytest.raises(InputError, match=said):
        run(tmp_path, *options, source="cine")


def test_a_still_image_is_no_cine(tmp_path: Path) -> None:
    save(tmp_path / "raw/a.nii.gz", image((9, 8, 2)))
    with pytest.raises(InputError, match="no 4D cine"):
        run(tmp_path, "--moving-frame", 0, "--fixed-frame", 1, source="cine")

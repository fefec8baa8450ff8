"""common.data.prepared: what is written is read, and every fault is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.data import prepared
from common.data.prepared_check import find_problems
from common.errors import InputError
from common.nifti import save_image, stored

AFFINE = np.diag([1.5, 1.5, 8.0, 1.0])


def make_dataset(root: Path, spatial_dims: int = 2) -> prepared.Dataset:
    """Two patients, a stack of three slices each; the first slice of a label is empty."""
    rng = np.random.default_rng(0)
    splits: dict[str, list[dict]] = {"train": [], "val": [], "test": []}
    for subject, split in (("a", "train"), ("b", "val")):
        files = {}
        for role in ("moving", "fixed"):
            labels = np.zeros((8, 6, 3), np.uint8)
            labels[2:5, 2:4, 1:] = 2
            files[role], files[f"{role}_label"] = f"images/{subject}_{role}.nii.gz", f"labels/{subject}_{role}.nii.gz"
            save_image(root / files[role], rng.random((8, 6, 3)), AFFINE)
            save_image(root / files[f"{role}_label"], labels, AFFINE)
        ids = [f"{subject}_slice{k:02d}" for k in range(3)] if spatial_dims == 2 else [subject]
        where = [{"slice": k} for k in range(3)] if spatial_dims == 2 else [{}]
        splits[split] += [{"id": i, "subject": subject, **files, **w} for i, w in zip(ids, where, strict=True)]
    dataset = prepared.Dataset(root, "toy", spatial_dims, {2: "myocardium"}, (2,), splits=splits)
    prepared.write(dataset)
    return dataset


def errors(root: Path) -> list[str]:
    return [line for line in find_problems(root) if line.startswith("error:")]


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_what_is_written_is_read(tmp_path: Path, spatial_dims: int) -> None:
    dataset = make_dataset(tmp_path, spatial_dims)
    assert prepared.read(tmp_path) == dataset
    assert json.loads((tmp_path / "dataset.json").read_text())["format"] == prepared.FORMAT
    assert not list(tmp_path.rglob("*.tmp"))


def test_arrays_have_the_shapes_and_types_of_the_contract(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path)
    stack = prepared.read_image(tmp_path / "images/a_moving.nii.gz")[0]
    pair = dataset.pairs("train")[1]
    arrays = prepared.load_arrays(dataset, pair)
    assert {key: (a.shape, a.dtype.name) for key, a in arrays.items()} == {
        "moving": ((8, 6), "float32"),
        "fixed": ((8, 6), "float32"),
        "moving_label": ((8, 6), "uint8"),
        "fixed_label": ((8, 6), "uint8"),
    }
    np.testing.assert_array_equal(arrays["moving"], stack[:, :, 1])
    volume = prepared.load_arrays(*pair_of(make_dataset(tmp_path / "3d", 3)))["fixed"]
    assert volume.shape == (8, 6, 3)


def pair_of(dataset: prepared.Dataset) -> tuple[prepared.Dataset, dict]:
    return dataset, dataset.pairs("train")[0]


def test_changing_an_array_changes_no_later_one(tmp_path: Path) -> None:
    dataset, pair = pair_of(make_dataset(tmp_path))
    first = prepared.load_arrays(dataset, pair)["moving"]
    kept = first.copy()
    first[:] = -1
    np.testing.assert_array_equal(prepared.load_arrays(dataset, pair)["moving"], kept)


def test_a_file_written_anew_is_read_anew(tmp_path: Path) -> None:
    dataset, pair = pair_of(make_dataset(tmp_path))
    prepared.load_arrays(dataset, pair)
    save_image(tmp_path / pair["moving"], np.full((8, 6, 3), 0.25), AFFINE)
    assert (prepared.load_arrays(dataset, pair)["moving"] == 0.25).all()


@pytest.mark.parametrize(("spatial_dims", "shape"), [(2, (8, 6, 3, 2)), (3, (8, 6, 3, 3))])
def test_the_true_displacement_comes_channel_first(tmp_path: Path, spatial_dims: int, shape: tuple[int, ...]) -> None:
    dataset, pair = pair_of(make_dataset(tmp_path, spatial_dims))
    field = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    save_image(tmp_path / "truth/a.nii.gz", field, AFFINE)
    pair = {**pair, "truth": {"displacement": "truth/a.nii.gz"}}
    found = prepared.load_arrays(dataset, pair, ("fixed", "displacement"))["displacement"]
    expected = field[:, :, 0] if spatial_dims == 2 else field
    np.testing.assert_array_equal(found, np.moveaxis(expected, -1, 0))


def test_the_affine_survives_in_both_forms(tmp_path: Path) -> None:
    angle = np.deg2rad(20)
    oblique = np.eye(4)
    oblique[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    oblique = oblique @ np.diag([1.5, 0.7, 8.0, 1.0])
    oblique[:3, 3] = (4.0, -20.0, 31.0)
    save_image(tmp_path / "a.nii.gz", np.zeros((3, 4, 5)), oblique)
    np.testing.assert_allclose(prepared.read_image(tmp_path / "a.nii.gz")[1], oblique, atol=1e-5)


def spoil_json(root: Path, change: Callable[[dict], object]) -> None:
    path = root / "dataset.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update(format="other/2"), "other/2"),
        (lambda c: c.pop("splits"), "splits"),
        (lambda c: c.update(spatial_dims=4), "spatial_dims is 4"),
        (lambda c: c["splits"]["train"][0].pop("fixed"), "no fixed"),
        (lambda c: c["splits"]["train"][0].pop("slice"), "no slice"),
        (lambda c: c.update(labels=["a"]), r"labels is \['a'\], expected object"),
    ],
)
def test_a_bad_dataset_json_is_named(tmp_path: Path, change: Callable[[dict], object], said: str) -> None:
    make_dataset(tmp_path)
    spoil_json(tmp_path, change)
    with pytest.raises(InputError, match=said) as error:
        prepared.read(tmp_path)
    assert "dataset.json" in str(error.value) and "\n" not in str(error.value)
    assert len(errors(tmp_path)) == 1


def test_a_missing_or_unfinished_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        prepared.read(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"no dataset\.json"):
        prepared.read(tmp_path)
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(InputError, match="JSON"):
        prepared.read(tmp_path)


def test_an_empty_or_unknown_split_names_the_others(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path)
    for split in ("test", "validation"):
        with pytest.raises(InputError, match=r"train \(3\), val \(3\)"):
            dataset.pairs(split)


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        save_image(tmp_path / "file" / "a.nii.gz", np.zeros((2, 2, 2)), AFFINE)


def test_load_names_the_file_at_fault(tmp_path: Path) -> None:
    dataset, pair = pair_of(make_dataset(tmp_path))
    with pytest.raises(InputError, match=r"slice 9 .* has 3"):
        prepared.load_arrays(dataset, {**pair, "slice": 9})
    save_image(tmp_path / "images/a_fixed.nii.gz", np.full((8, 6, 3), np.nan), AFFINE)
    with pytest.raises(InputError, match=r"a_fixed\.nii\.gz.*NaN"):
        prepared.load_arrays(dataset, pair)
    save_image(tmp_path / "images/a_fixed.nii.gz", np.ones((8, 5, 3)), AFFINE)
    with pytest.raises(InputError, match=r"fixed is \(8, 5\) but moving is \(8, 6\)"):
        prepared.load_arrays(dataset, pair)
    (tmp_path / "images/a_fixed.nii.gz").write_bytes(b"\x1f\x8bcut")
    with pytest.raises(InputError, match=r"a_fixed\.nii\.gz: cannot be read"):
        prepared.load_arrays(dataset, pair)
    (tmp_path / "images/a_fixed.nii.gz").unlink()
    with pytest.raises(InputError, match=r"a_fixed\.nii\.gz: cannot be read"):
        prepared.load_arrays(dataset, pair)


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_a_good_data_set_has_no_errors(tmp_path: Path, spatial_dims: int) -> None:
    make_dataset(tmp_path, spatial_dims)
    assert not errors(tmp_path)


def test_ends_of_stacks_and_empty_splits_are_warnings(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path)
    stack = np.random.default_rng(0).random((8, 6, 3))
    stack[:, :, 0] = 0
    save_image(tmp_path / "images/b_fixed.nii.gz", stack, AFFINE)
    assert find_problems(tmp_path) == [
        "warning: train: 1 of 3 pairs with an empty mask (metrics not computed), the first is a_slice00",
        "warning: val: 1 of 3 pairs with a constant slice, the first is b_slice00",
        "warning: val: 1 of 3 pairs with an empty mask (metrics not computed), the first is b_slice00",
        "warning: test: empty split",
    ]
    unlabelled = [{k: v for k, v in pair.items() if "label" not in k} for pair in dataset.pairs("train")]
    prepared.write(replace(dataset, splits={"train": unlabelled}))
    assert "warning: train: 3 of 3 pairs without labels, the first is a_slice00" in find_problems(tmp_path)
    assert not errors(tmp_path)


def test_every_problem_is_listed_at_once(tmp_path: Path) -> None:
    make_dataset(tmp_path)
    (tmp_path / "images/a_moving.nii.gz").unlink()
    (tmp_path / "images/a_fixed.nii.gz").write_bytes(b"no image")
    save_image(tmp_path / "images/b_moving.nii.gz", np.full((8, 6, 3), np.inf), AFFINE)
    save_image(tmp_path / "images/b_fixed.nii.gz", np.full((8, 6, 3), 0.5), 2 * AFFINE)
    save_image(tmp_path / "labels/a_moving.nii.gz", np.zeros((8, 6, 3), np.uint8), AFFINE)
    save_image(tmp_path / "labels/a_fixed.nii.gz", np.full((8, 6, 3), 9, np.uint8), AFFINE)
    save_image(tmp_path / "labels/b_moving.nii.gz", np.full((4, 6, 3), 2, np.uint8), AFFINE)

    def change(content: dict) -> None:
        content["splits"]["test"] = [{**content["splits"]["train"][0]}]
        content["evaluated_labels"] = [2, 5]

    spoil_json(tmp_path, change)
    found = "\n".join(errors(tmp_path))
    for said in (
        "images/a_moving.nii.gz: missing",
        "images/a_fixed.nii.gz: cannot be read",
        "images/b_moving.nii.gz: 144 values are NaN or infinite",
        "images/b_fixed.nii.gz: constant image",
        "labels/a_moving.nii.gz: empty mask",
        "labels/a_fixed.nii.gz: unexpected label values [9]",
        "labels/b_moving.nii.gz: shape (4, 6, 3), but images/b_fixed.nii.gz is (8, 6, 3)",
        "images/b_moving.nii.gz: affine differs",
        "id 'a_slice00' is used 2 times",
        "patient a is in 2 splits: test, train",
        "evaluated_labels [5]",
    ):
        assert said in found
    assert found.count("a_moving.nii.gz: missing") == 1


def test_intensities_beyond_the_contract_and_no_pairs_at_all_are_errors(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path)
    save_image(tmp_path / "images/a_fixed.nii.gz", 300 * np.random.default_rng(0).random((8, 6, 3)), AFFINE)
    assert "expected 0 to 1" in errors(tmp_path)[0]
    prepared.write(replace(dataset, splits={}))
    assert errors(tmp_path) == ["error: dataset.json: no pairs in any split"]


def test_two_subjects_need_the_same_spacing_but_not_the_same_origin(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path, 3)
    moved = AFFINE.copy()
    moved[:3, 3] = 7
    for folder in ("images", "labels"):
        array = prepared.read_image(tmp_path / f"{folder}/a_moving.nii.gz")[0]
        save_image(tmp_path / f"{folder}/a_moving.nii.gz", array, moved)
    assert len(errors(tmp_path)) == 2
    pairs = [{**pair, "moving_subject": "c"} for pair in dataset.pairs("train")]
    prepared.write(replace(dataset, splits={"train": pairs}))
    assert not errors(tmp_path)


@pytest.mark.parametrize(
    ("values", "kind"),
    [([0, 255], np.uint8), ([-1, 3], np.int32), ([0, 300], np.int32), ([True, False], np.uint8), ([0.5], np.float32)],
)
def test_numbers_are_stored_in_a_type_that_holds_them(values: list, kind: type) -> None:
    kept = stored(np.array(values))
    assert kept.dtype == kind and kept.tolist() == values


@pytest.mark.parametrize(
    ("name", "start"), [("a.nii.gz", b"\x1f\x8b"), ("a.NII.GZ", b"\x1f\x8b"), ("a.nii", b"\x5c\x01")]
)
def test_a_name_says_whether_a_file_is_compressed(tmp_path: Path, name: str, start: bytes) -> None:
    save_image(tmp_path / name, np.zeros((2, 2, 2)), AFFINE)
    assert (tmp_path / name).read_bytes()[:2] == start

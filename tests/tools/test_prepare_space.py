"""tools.prepare: everything is matched in space, and what a header says is never thrown away without a word."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from common.data import prepared
from common.errors import InputError
from common.nifti import save_image
from tools.prepare.__main__ import main

TURN = np.linalg.qr(np.array([[-1.2, -0.5, 0.3], [0.6, -1.1, 1.0], [0.2, 0.4, 7.9]]))[0]
AFFINE = np.eye(4)
AFFINE[:3, :3], AFFINE[:3, 3] = TURN * [1.4, 1.4, 8.0], (10, -20, 30)
SHAPE = (20, 18, 4)


def image(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(100, 900, SHAPE).astype(np.float32)


def corner() -> np.ndarray:
    label = np.zeros(SHAPE, np.uint8)
    label[2:7, 4:12, 1:] = 2
    return label


def turned(array: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """The same voxels at the same places, stored the other way round along an axis."""
    affine = AFFINE.copy()
    affine[:3, 3] += affine[:3, axis] * (SHAPE[axis] - 1)
    affine[:3, axis] *= -1
    return np.flip(array, axis), affine


def save_pair(raw: Path, name: str = "a", affine: np.ndarray = AFFINE, less: float = 0) -> None:
    save_image(raw / f"{name}_moving.nii.gz", image() - less, affine)
    save_image(raw / f"{name}_fixed.nii.gz", image() - less, AFFINE)


def run(raw: Path, *options: object, source: str = "pairs") -> dict[str, np.ndarray]:
    """The arrays of the first pair, as a volume."""
    arguments = ["--source", raw, "--output", raw.with_name(f"{raw.name}_out"), "--jobs", 1]
    fractions = () if source in ("acdc", "camus") else ("--fractions", "1,0,0")
    assert main([source, *map(str, [*arguments, *fractions, *options])]) == 0
    dataset = prepared.read(raw.with_name(f"{raw.name}_out"))
    return prepared.load_arrays(dataset, next(pair for pairs in dataset.splits.values() for pair in pairs))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_what_is_stored_the_other_way_round_keeps_its_outer_planes(tmp_path: Path, axis: int) -> None:
    save_pair(tmp_path / "raw")
    save_image(tmp_path / "raw/a_moving.nii.gz", *turned(image(), axis))
    save_image(tmp_path / "raw/a_moving_label.nii.gz", *turned(corner(), axis))
    arrays = run(tmp_path / "raw", "--spatial-dims", 3)
    np.testing.assert_allclose(arrays["moving"], arrays["fixed"], atol=1e-5)
    np.testing.assert_array_equal(arrays["moving_label"], corner())


def test_a_shift_of_the_last_digits_empties_no_slice(tmp_path: Path) -> None:
    shifted = AFFINE.copy()
    shifted[:3, 3] += AFFINE[:3, 2] * 0.002
    save_pair(tmp_path / "raw", affine=shifted)
    arrays = run(tmp_path / "raw", "--spatial-dims", 3)
    np.testing.assert_allclose(arrays["moving"], arrays["fixed"], atol=3e-3)
    lone = np.s_[..., :1]
    save_image(tmp_path / "one/a_moving.nii.gz", image()[lone], shifted)
    save_image(tmp_path / "one/a_fixed.nii.gz", image()[lone], AFFINE)
    arrays = run(tmp_path / "one")
    np.testing.assert_allclose(arrays["moving"], arrays["fixed"], atol=1e-5)


def test_labels_of_another_header_than_their_image_go_where_they_say(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_pair(tmp_path / "raw")
    save_image(tmp_path / "raw/a_moving_label.nii.gz", *turned(corner(), 0))
    save_image(tmp_path / "raw/a_fixed_label.nii.gz", np.pad(corner(), ((0, 3), (0, 0), (0, 0))), AFFINE)
    for _ in range(2):  # it is said again where nothing has to be converted again
        arrays = run(tmp_path / "raw", "--spatial-dims", 3)
        said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
        assert len(said) == 2 and all("matched in space" in line for line in said)
        assert "a_fixed_label.nii.gz: has another grid ([23, 18, 4])" in said[0]
        assert "a_moving_label.nii.gz: by its header its voxels lie up to 19 voxels from" in said[1]
    for key in prepared.LABEL_KEYS:
        np.testing.assert_array_equal(arrays[key], corner())


def test_headers_that_differ_in_their_last_digits_are_no_matter(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_pair(tmp_path / "raw")
    save_image(tmp_path / "raw/a_moving_label.nii.gz", corner(), AFFINE.round(5))
    arrays = run(tmp_path / "raw", "--spatial-dims", 3)
    np.testing.assert_array_equal(arrays["moving_label"], corner())
    assert "warning" not in capsys.readouterr().err


def test_a_label_elsewhere_in_space_is_refused(tmp_path: Path) -> None:
    save_pair(tmp_path / "raw")
    far = AFFINE.copy()
    far[:3, 3] += 1000
    save_image(tmp_path / "raw/a_moving_label.nii.gz", corner(), far)
    with pytest.raises(InputError, match=r"a_moving_label.nii.gz: by its header no label of it lies in a_moving"):
        run(tmp_path / "raw")


def test_the_sources_of_published_data_match_labels_too(tmp_path: Path) -> None:
    folder = tmp_path / "raw/patient0002"
    for phase in ("ED", "ES"):
        save_image(folder / f"patient0002_2CH_{phase}.nii.gz", image()[..., :1], AFFINE)
        array, affine = turned(corner()[..., 1:2], 0)
        save_image(folder / f"patient0002_2CH_{phase}_gt.nii.gz", array, affine)
        save_image(folder / f"patient0002_4CH_{phase}.nii.gz", image()[..., :1], AFFINE)
    arrays = run(tmp_path / "raw", "--size", "20,18", source="camus")
    np.testing.assert_array_equal(arrays["fixed_label"], corner()[..., 1])
    folder = tmp_path / "acdc/patient001"
    folder.mkdir(parents=True)
    (folder / "Info.cfg").write_text("ED: 1\nES: 2\nGroup: NOR\n")
    for frame in ("frame01", "frame02"):
        save_image(folder / f"patient001_{frame}.nii.gz", image(), AFFINE)
        save_image(folder / f"patient001_{frame}_gt.nii.gz", *turned(corner(), 1))
    options = ("--size", "20,18", "--depth", 4, "--spacing", "1.4,1.4,8", "--crop-center", "image")
    arrays = run(tmp_path / "acdc", *options, "--spatial-dims", 3, source="acdc")
    np.testing.assert_array_equal(arrays["moving_label"], corner())


def test_labels_of_subjects_and_of_cines_are_matched_too(tmp_path: Path) -> None:
    task = {"name": "x", "labels": {"0": "background", "2": "corner"}, "training": []}
    for name in ("a", "b"):
        save_image(tmp_path / f"raw/imagesTr/{name}.nii.gz", image(), np.diag([1.4, 1.4, 8, 1]))
        flipped = np.diag([-1.4, 1.4, 8, 1])
        flipped[0, 3] = 1.4 * (SHAPE[0] - 1)
        save_image(tmp_path / f"raw/labelsTr/{name}.nii.gz", corner()[::-1], flipped)
        task["training"].append({"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"})
    (tmp_path / "raw/dataset.json").write_text(json.dumps(task))
    arrays = run(tmp_path / "raw", "--size", "20,18,4", source="msd")
    np.testing.assert_array_equal(arrays["fixed_label"], corner())
    save_image(tmp_path / "cine/a.nii.gz", np.stack([image(), image(1)], -1), AFFINE)
    array, affine = turned(np.stack([corner(), corner() // 2], -1), 1)
    save_image(tmp_path / "cine/a_gt.nii.gz", array, affine)
    frames = ("--moving-frame", 0, "--fixed-frame", 1, "--spatial-dims", 3)
    arrays = run(tmp_path / "cine", *frames, source="cine")
    np.testing.assert_array_equal(arrays["moving_label"], corner())
    np.testing.assert_array_equal(arrays["fixed_label"], corner() // 2)


@pytest.mark.parametrize("dims", [2, 3])
def test_where_there_is_no_moving_image_it_is_as_dark_as_it_gets(tmp_path: Path, dims: int) -> None:
    """Whatever the grey values are counted from: an image less 1500 gives the same data set."""
    moved = AFFINE.copy()
    moved[:3, 3] += AFFINE[:3, 0] * 7
    found = []
    for less in (0, 1500):
        save_pair(tmp_path / f"raw{less}", affine=moved, less=less)
        found.append(run(tmp_path / f"raw{less}", "--spatial-dims", dims)["moving"])
    np.testing.assert_allclose(*found, atol=1e-5)
    assert (found[0][:7] == 0).all() and found[0][7:].mean() > 0.3


def test_a_fill_that_is_given_is_taken(tmp_path: Path) -> None:
    moved = AFFINE.copy()
    moved[:3, 3] += AFFINE[:3, 0] * 7
    save_pair(tmp_path / "raw", affine=moved)
    array = run(tmp_path / "raw", "--spatial-dims", 3, "--fill", 900)["moving"]
    assert (array[:7] == 1).mean() > 0.99


def test_files_of_several_images_are_no_pair(tmp_path: Path) -> None:
    save_pair(tmp_path / "raw")
    save_image(tmp_path / "raw/a_moving.nii.gz", np.stack([image(), image(1)], -1), AFFINE)
    with pytest.raises(InputError, match=r"a_moving.nii.gz: 4D of shape .*choose a frame"):
        run(tmp_path / "raw")


def test_a_data_set_within_its_source_is_no_source(tmp_path: Path) -> None:
    save_pair(tmp_path)
    for _ in range(2):
        arguments = ["--source", tmp_path, "--output", tmp_path / "made", "--fractions", "1,0,0", "--jobs", 1]
        assert main(["pairs", *map(str, arguments)]) == 0
    assert len(prepared.read(tmp_path / "made").pairs("train")) == SHAPE[2]


def test_a_phantom_that_no_memory_holds_is_refused(tmp_path: Path) -> None:
    for size in ("8192,8192", "8192"):
        with pytest.raises(InputError, match=r"size is 8192,8192, 6.71e\+07 voxels; give at most 3.36e\+07"):
            main(["phantom", "--output", str(tmp_path / "made"), "--size", size])
    with pytest.raises(SystemExit):
        main(["phantom", "--output", str(tmp_path / "made"), "--size", "100000000,100000000"])
    assert not (tmp_path / "made").exists()

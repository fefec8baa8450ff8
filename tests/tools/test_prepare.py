"""python -m tools.prepare: every source, on small copies of the real layouts."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from common.data import prepared
from common.data.prepared_check import find_problems
from common.errors import InputError
from tools.prepare.__main__ import main

ROTATION = np.linalg.qr(np.array([[2.0, 1.0, 0.3], [-0.5, 1.5, 0.2], [0.1, -0.4, 1.0]]))[0]
OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = ROTATION * np.array([1.4, 1.1, 8.0])
OBLIQUE[:3, 3] = (-31.0, 12.5, 80.0)
SHAPE = (40, 36, 5)


def save(path: Path, array: np.ndarray, affine: np.ndarray = OBLIQUE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine), path)


def heart(shape: tuple[int, ...] = SHAPE, centre: tuple[int, int] = (22, 15), radius: float = 6) -> np.ndarray:
    """A label map as in ACDC: a ring of 2 around 3 in every slice but the first."""
    i, j = np.ogrid[: shape[0], : shape[1]]
    distance = np.hypot(i - centre[0], j - centre[1])
    labels = np.zeros(shape, np.uint8)
    labels[distance < radius, 1:] = 2
    labels[distance < radius - 3, 1:] = 3
    return labels


def make_acdc(root: Path, numbers: tuple[int, ...] = (1, 2, 5), labelled: bool = True) -> Path:
    rng = np.random.default_rng(0)
    for number in numbers:
        name = f"patient{number:03d}"
        folder = root / name
        for frame, radius in ((1, 8), (9, 6)):
            save(folder / f"{name}_frame{frame:02d}.nii.gz", rng.integers(0, 900, SHAPE).astype(np.int16))
            if labelled:
                save(folder / f"{name}_frame{frame:02d}_gt.nii.gz", heart(radius=radius))
        (folder / "Info.cfg").write_text("ED: 1\nES: 9\nGroup: DCM\nNbFrame: 30\n")
    return root


def prepare(source: str, *options: object) -> prepared.Dataset:
    """Run the program in this process and read what it made, after checking it."""
    arguments = [source, *map(str, options)]
    assert main([*arguments, "--jobs", "1"]) == 0
    output = Path(arguments[arguments.index("--output") + 1])
    assert not [line for line in find_problems(output) if line.startswith("error:")]
    return prepared.read(output)


def subjects(dataset: prepared.Dataset) -> dict[str, set[str]]:
    return {split: {pair["subject"] for pair in pairs} for split, pairs in dataset.splits.items()}


def acdc(tmp_path: Path, *options: object) -> prepared.Dataset:
    return prepare("acdc", "--source", tmp_path / "raw", "--output", tmp_path / "out", "--size", "16,24", *options)


def test_acdc_slices(tmp_path: Path) -> None:
    make_acdc(tmp_path / "raw/database/training")
    dataset = acdc(tmp_path)
    assert subjects(dataset) == {"train": {"patient001", "patient002"}, "val": {"patient005"}, "test": set()}
    assert len(dataset.pairs("train")) == 10
    pair = dataset.pairs("train")[3]
    assert (pair["id"], pair["slice"], pair["group"]) == ("patient001_slice03", 3, "DCM")
    native = {"crop_start": [14, 3, 0], "native_shape": list(SHAPE)}
    files = {
        key: f"database/training/patient001/patient001_frame0{n}.nii.gz" for key, n in (("moving", 1), ("fixed", 9))
    }
    assert pair["native"] == {**files, **native}
    raw = nib.load(tmp_path / "raw" / files["moving"]).get_fdata()[14:30, 3:27, 3]
    arrays = prepared.load_arrays(dataset, pair)
    np.testing.assert_allclose(arrays["moving"], (raw - raw.min()) / (raw.max() - raw.min()), atol=1e-6)
    np.testing.assert_array_equal(arrays["fixed_label"], heart(radius=6)[14:30, 3:27, 3])


@pytest.mark.parametrize("options", [(), ("--spatial-dims", 3, "--spacing", "1.4,1.1,8", "--depth", 8)])
def test_a_crop_stays_where_it_was_in_the_world(tmp_path: Path, options: tuple) -> None:
    make_acdc(tmp_path / "raw", (1,))
    spot = np.zeros(SHAPE, np.int16)
    spot[20, 12, 2] = 100
    save(tmp_path / "raw/patient001/patient001_frame01.nii.gz", spot)
    acdc(tmp_path, *options)
    array, affine = prepared.read_image(tmp_path / "out/images/patient001_moving.nii.gz")
    voxel = np.unravel_index(array.argmax(), array.shape)
    np.testing.assert_allclose((affine @ [*voxel, 1])[:3], (OBLIQUE @ [20, 12, 2, 1])[:3], atol=1e-3)


def test_a_crop_that_leaves_the_image_is_padded_with_zero(tmp_path: Path) -> None:
    make_acdc(tmp_path / "raw", (1,))
    dataset = acdc(tmp_path, "--crop-center", "2,15", "--size", "40,24")
    pair = dataset.pairs("train")[2]
    moving = prepared.load_arrays(dataset, pair)["moving"]
    assert pair["native"]["crop_start"] == [-18, 3, 0]
    assert not moving[:18].any() and moving[18:].max() == 1


def test_acdc_without_labels_can_be_cropped_around_the_middle(tmp_path: Path) -> None:
    make_acdc(tmp_path / "raw", (1,), labelled=False)
    with pytest.raises(InputError, match="--crop-center image"):
        acdc(tmp_path)
    dataset = acdc(tmp_path, "--crop-center", "image")
    assert "moving_label" not in dataset.pairs("train")[0]
    assert dataset.pairs("train")[0]["native"]["crop_start"] == [12, 6, 0]


def test_acdc_volumes_share_spacing_and_size(tmp_path: Path) -> None:
    make_acdc(tmp_path / "raw", (1, 5))
    dataset = acdc(tmp_path, "--spatial-dims", 3, "--spacing", "2,2,4", "--depth", 12)
    pair = dataset.pairs("val")[0]
    array, affine = prepared.read_image(dataset.root / pair["moving"])
    assert array.shape == (16, 24, 12) and "slice" not in pair
    np.testing.assert_allclose(np.linalg.norm(affine[:3, :3], axis=0), (2, 2, 4), rtol=1e-5)
    assert pair["native"]["resampled_shape"] == [28, 20, 10]
    ring = prepared.load_arrays(dataset, pair)["moving_label"] == 2
    centre = affine @ [*np.argwhere(ring).mean(axis=0), 1]
    np.testing.assert_allclose(np.linalg.inv(OBLIQUE)[:2] @ centre, (22, 15), atol=0.6)


def test_a_unit_affine_beside_true_voxel_sizes_is_mended(tmp_path: Path) -> None:
    make_acdc(tmp_path / "raw", (1,))
    for path in (tmp_path / "raw/patient001").glob("*.nii.gz"):
        image = nib.load(path)
        image = nib.Nifti1Image(np.asanyarray(image.dataobj), None, image.header)
        image.header.set_sform(np.diag([-1.0, -1.0, 1.0, 1.0]), code=2)
        image.header.set_qform(None, code=0)
        nib.save(image, path)
    acdc(tmp_path)
    _, affine = prepared.read_image(tmp_path / "out/images/patient001_fixed.nii.gz")
    np.testing.assert_allclose(affine[:3, :3], np.diag([-1.4, -1.1, 8.0]), atol=1e-5)


def test_a_test_source_becomes_the_test_split(tmp_path: Path) -> None:
    make_acdc(tmp_path / "raw/training", (1, 5))
    make_acdc(tmp_path / "official/testing", (101, 105))
    make_acdc(tmp_path / "official/training", (7,))
    dataset = acdc(tmp_path, "--test-source", tmp_path / "official")
    assert subjects(dataset)["test"] == {"patient101", "patient105"}
    with pytest.raises(InputError, match=r"patient005 is in the splits val and test|patient001 is in the splits train"):
        acdc(tmp_path, "--test-source", tmp_path / "raw", "--overwrite")


def camus_case(folder: Path, ending: str, shape: tuple[int, ...], view: str = "2CH") -> None:
    """Write a view of a CAMUS patient, in the new release or as .mhd and .raw."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for phase, radius in (("ED", 9), ("ES", 7)):
        name = f"{folder.name}_{view}_{phase}"
        arrays = {
            name: rng.integers(0, 255, shape).astype(np.uint8),
            f"{name}_gt": heart((*shape[:2], 2), radius=radius),
        }
        for stem, array in arrays.items():
            array = array[:, :, -1:] if array.ndim == 3 else array
            if ending == ".nii.gz":
                nib.save(nib.Nifti1Image(array.reshape(shape), np.diag([0.3, 0.15, 1, 1])), folder / f"{stem}.nii.gz")
                continue
            (folder / f"{stem}.raw").write_bytes(array.tobytes(order="F"))
            (folder / f"{stem}.mhd").write_text(
                "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
                "CompressedData = False\nTransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 0 0 0\n"
                f"ElementSpacing = 0.3 0.15 1\nDimSize = {shape[0]} {shape[1]} 1\nElementType = MET_UCHAR\n"
                f"ElementDataFile = {stem}.raw\n"
            )


@pytest.mark.parametrize(("ending", "shape"), [(".nii.gz", (40, 36)), (".nii.gz", (40, 36, 1)), (".mhd", (40, 36, 1))])
def test_camus_is_stretched_and_keeps_its_extent(tmp_path: Path, ending: str, shape: tuple[int, ...]) -> None:
    for number in (1, 2, 5):
        for view in ("2CH", "4CH"):
            camus_case(tmp_path / f"raw/patient{number:04d}", ending, shape, view)
    dataset = prepare("camus", "--source", tmp_path / "raw", "--output", tmp_path / "out", "--size", "20,24")
    assert subjects(dataset) == {"train": {"patient0002"}, "val": {"patient0001"}, "test": {"patient0005"}}
    pair = dataset.pairs("val")[1]
    assert (pair["id"], pair["group"], pair["slice"]) == ("patient0001_4CH", "4CH", 0)
    arrays = prepared.load_arrays(dataset, pair)
    assert arrays["moving"].shape == (20, 24) and set(np.unique(arrays["moving_label"])) == {0, 2, 3}
    affine = prepared.read_image(dataset.root / pair["moving"])[1]
    np.testing.assert_allclose(np.linalg.norm(affine[:3, :3], axis=0)[:2], (0.3 * 40 / 20, 0.15 * 36 / 24), rtol=1e-5)
    centroid = np.argwhere(arrays["moving_label"] > 0).mean(axis=0)
    np.testing.assert_allclose(centroid, ((22.5 * 20 / 40) - 0.5, (15.5 * 24 / 36) - 0.5), atol=0.3)


def test_a_source_given_the_data_of_another_says_what_it_looked_for(tmp_path: Path) -> None:
    camus_case(tmp_path / "raw/patient0001", ".nii.gz", (40, 36))
    with pytest.raises(InputError, match="looked for patientNNN folders"):
        acdc(tmp_path)


def make_msd(root: Path, count: int = 10) -> Path:
    rng = np.random.default_rng(0)
    entries = []
    for number in range(count):
        shape = (20 + number % 3, 30, 17)
        entry = {"image": f"./imagesTr/toy_{number:03d}.nii.gz", "label": f"./labelsTr/toy_{number:03d}.nii.gz"}
        save(root / entry["image"], (rng.random(shape) * 10.0 ** (number % 4)).astype(np.float32), np.eye(4))
        save(root / entry["label"], rng.integers(0, 3, shape).astype(np.uint8), np.eye(4))
        entries.append(entry)
    labels = {"0": "background", "1": "Anterior", "2": "Posterior"}
    content = {"name": "Toy", "modality": {"0": "MRI"}, "labels": labels, "licence": "CC0", "training": entries}
    (root / "dataset.json").write_text(json.dumps(content))
    return root


def test_msd_pairs_are_two_subjects_of_one_split(tmp_path: Path) -> None:
    make_msd(tmp_path / "raw")
    dataset = prepare("msd", "--source", tmp_path, "--output", tmp_path / "out", "--fractions", "0.6,0.2,0.2")
    assert {split: len(names) for split, names in subjects(dataset).items()} == {"train": 6, "val": 2, "test": 2}
    assert [len(dataset.pairs(split)) for split in prepared.SPLITS] == [12, 2, 2]
    for pairs in dataset.splits.values():
        own = {pair["subject"] for pair in pairs}
        assert all(p["subject"] != p["moving_subject"] and p["moving_subject"] in own for p in pairs)
        assert len({pair["id"] for pair in pairs}) == len(pairs)
    assert dataset.evaluated_labels == (1, 2) and dataset.labels[1] == "Anterior"
    assert prepared.load_arrays(dataset, dataset.pairs("val")[0])["moving"].shape == (32, 32, 32)


def test_msd_axes_are_turned_to_ras_with_the_world_in_place(tmp_path: Path) -> None:
    make_msd(tmp_path / "raw", 3)
    flipped = np.array([[0.0, -2, 0, 5], [1, 0, 0, -7], [0, 0, 3, 2], [0, 0, 0, 1]])
    image = np.zeros((30, 20, 17), np.float32)
    image[11, 7, 4] = 1
    save(tmp_path / "raw/imagesTr/toy_000.nii.gz", image, flipped)
    save(tmp_path / "raw/labelsTr/toy_000.nii.gz", (image > 0).astype(np.uint8), flipped)
    options = ("--source", tmp_path / "raw", "--output", tmp_path / "out")
    options += ("--fractions", "1,0,0", "--percentiles", "0,100")
    dataset = prepare("msd", *options, "--spacing", "1,1,1", "--size", "48")
    array, affine = prepared.read_image(dataset.root / "images/toy_000.nii.gz")
    assert "".join(nib.aff2axcodes(affine)) == "RAS"
    centre = np.average(np.argwhere(array > 0), axis=0, weights=array[array > 0])
    np.testing.assert_allclose((affine @ [*centre, 1])[:3], (flipped @ [11, 7, 4, 1])[:3], atol=0.1)
    natives = {pair["subject"]: pair["native"] for pair in dataset.pairs("train")}
    assert natives["toy_000"]["orientation"] == "".join(nib.aff2axcodes(flipped))
    assert "orientation" not in natives["toy_001"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("acdc",), "patientNNN folders"),
        (("camus",), "patientNNNN folders"),
        (("msd",), r"dataset\.json"),
        (("pairs",), r"\{id\}_moving and \{id\}_fixed"),
        (("cine", "--moving-frame", "0", "--fixed-frame", "1"), "4D NIfTI"),
    ],
)
def test_an_empty_or_missing_source_says_what_was_looked_for(tmp_path: Path, arguments: tuple, said: str) -> None:
    (tmp_path / "raw").mkdir()
    for source, expected in (("raw", said), ("nowhere", "no such folder|looked for")):
        with pytest.raises(InputError, match=expected):
            main([*arguments, "--source", str(tmp_path / source), "--output", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_check_reports_and_sets_the_exit_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_acdc(tmp_path / "raw", (1, 5))
    dataset = acdc(tmp_path)
    assert main(["check", str(dataset.root)]) == 0
    assert "good (train 5, val 5, test 0 pairs; 0 errors" in capsys.readouterr().out
    (dataset.root / "images/patient001_moving.nii.gz").unlink()
    assert main(["check", str(dataset.root)]) == 1
    assert "error: images/patient001_moving.nii.gz: missing" in capsys.readouterr().out
    assert main(["check", str(tmp_path)]) == 1


@pytest.mark.parametrize(
    "option",
    ["--fractions=0.5,0.2,0.2", "--size=0,4", "--spacing=1,1", "--percentiles=50,10", "--jobs=0", "--labels=a"],
)
def test_a_malformed_option_is_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["pairs", "--source", "a", "--output", "b", option])
    assert option.split("=")[1] in capsys.readouterr().err


def test_every_source_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("acdc", "camus", "msd", "pairs", "cine", "check"):
        with pytest.raises(SystemExit) as end:
            main([name, "--help"])
        assert end.value.code == 0 and "usage:" in capsys.readouterr().out

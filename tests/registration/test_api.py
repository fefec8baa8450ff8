"""Registration from Python: every kind of input means the same, and what comes back carries things along."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from toy_registration import MOTION, PLACE, blob, grid_around, toy_bundle, written

import common
from common.errors import InputError
from common.io.images import MedicalImage
from common.io.quiet import quiet_itk
from common.registration.api import register
from common.registration.bundle import open_bundle
from common.registration.outcome import Registration

GRID = ((36, 40, 30), grid_around((36, 40, 30), (1.2, 0.9, 1.5), off=[1.0, 0, -2]))
FIXED = ((40, 42, 44), grid_around((40, 42, 44), (1.0, 1.0, 1.0)))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    images = {"moving": blob(*GRID, PLACE + MOTION), "fixed": blob(*FIXED, PLACE)}
    images["label"] = MedicalImage((images["moving"].array > 50).astype(np.uint8), GRID[1], Path("label"))
    return {name: written(image, tmp_path / f"{name}.nii.gz") for name, image in images.items()}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return toy_bundle(tmp_path / "toy", spacing=1.0, axes="RAS")


def itk_image(path: Path) -> object:
    """An image of ITK, whose axes of space are LPS."""
    with quiet_itk() as itk:
        return itk.imread(str(path))


KINDS = {
    "path": lambda path: path,
    "text": str,
    "nibabel": nib.load,
    "itk": itk_image,
    "array": lambda path: (np.asarray(nib.load(path).dataobj), nib.load(path).affine),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_kind_of_image_is_the_same(files: dict[str, Path], bundle: Path, kind: object) -> None:
    expected = register(files["moving"], files["fixed"], bundle, label=files["label"])
    found = register(kind(files["moving"]), kind(files["fixed"]), bundle, label=kind(files["label"]))
    assert isinstance(found, common.Registration) and common.register is register
    np.testing.assert_allclose(found.field.vectors, expected.field.vectors, atol=1e-4)
    np.testing.assert_allclose(found.warped, expected.warped, atol=1e-2)
    np.testing.assert_array_equal(found.warped_label, expected.warped_label)
    assert set(found.maps) == set(expected.maps) == {"displacement_log_variance", "uncertainty_mm"}


@pytest.fixture
def found(files: dict[str, Path], bundle: Path) -> Registration:
    return register(files["moving"], files["fixed"], open_bundle(bundle), points=[PLACE + MOTION])


def test_points_of_an_array_are_carried_and_written(found: Registration, tmp_path: Path) -> None:
    np.testing.assert_allclose(found.warped_points[0], [PLACE], atol=0.1)
    files = {path.name: path for path in found.save(tmp_path / "out", picture=False)}
    assert "moving.json" in files and "moving.png" not in files
    header, row = files["moving_points.csv"].read_text().split()
    assert header == "x,y,z"
    np.testing.assert_allclose([float(value) for value in row.split(",")], PLACE, atol=0.1)
    assert found.numbers["bundle"]["name"] == "toy" and found.numbers["points"]["seen"] == [True]


def test_images_labels_and_points_go_there_and_back(found: Registration, files: dict[str, Path]) -> None:
    there = found.warp(files["moving"])
    np.testing.assert_array_equal(there.array, found.warped)
    np.testing.assert_array_equal(there.affine, found.fixed.affine)
    label = found.warp(files["label"], label=True)
    assert label.array.dtype == np.uint8 and set(np.unique(label.array)) == {0, 1}
    back = found.warp(there, inverse=True)
    assert back.array.shape == found.moving.array.shape
    np.testing.assert_allclose(back.array, found.moving.array, atol=12)  # interpolated twice
    moved = found.warp(np.array([PLACE + MOTION, PLACE]))
    np.testing.assert_allclose(found.warp(moved, inverse=True), [PLACE + MOTION, PLACE], atol=1e-3)
    np.testing.assert_allclose(found.inverse.vectors.mean((0, 1, 2)), -MOTION, atol=0.1)


def test_a_frame_of_an_array_of_four_axes(files: dict[str, Path], bundle: Path) -> None:
    moving, fixed = (nib.load(files[name]) for name in ("moving", "fixed"))
    cine = np.stack([0 * moving.get_fdata() + 1, moving.get_fdata()], axis=-1), moving.affine
    found = register(cine, fixed, bundle, moving_frame=1, name="second")
    np.testing.assert_allclose(found.field.vectors.mean((0, 1, 2)), MOTION, atol=0.06)
    assert found.numbers["frames"] == {"moving": 1, "fixed": None} and found.case.name == "second"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"moving": 3}, "moving is int; give a file, an image of nibabel or ITK"),
        ({"fixed": (np.ones((4, 4, 4)), np.eye(3))}, "fixed: its affine is"),
        ({"fixed": (np.ones((4, 4, 4)), np.eye(4))}, "fixed: every voxel is 1"),
        ({"moving": (np.ones((4, 4, 4, 2)), np.eye(4))}, "moving: 4D of shape"),
        ({"moving_frame": 2}, "moving.nii.gz: holds one image, so it has no frame 2"),
        ({"label": (np.full(FIXED[0], 0.5), FIXED[1])}, "label: a label map has whole numbers only"),
        ({"points": np.zeros((2, 4))}, r"points: an array of shape \[2, 4\]"),
        ({"points": np.zeros((2, 2))}, "points.csv: points without z"),
        ({"points": np.full((1, 3), np.nan)}, "points.csv: NaN or infinite points"),
        ({"name": "a/b"}, "name is 'a/b'"),
        ({"centre": "detect"}, "--centre: no such setting"),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_told_in_one_line(
    files: dict[str, Path], bundle: Path, given: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        register(**{"moving": files["moving"], "fixed": files["fixed"], "bundle": bundle, **given})
    assert "\n" not in str(caught.value)

"""A voxel beyond all others takes nothing from the rest: it is told, and the network does not see it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toy_registration import MOTION, PLACE, blob, grid_around, toy_bundle

from common.io import MedicalImage, write_image
from common.outliers import told_outliers, usual_range, without_outliers
from common.physical import background
from common.registration.api import register
from tools.prepare.__main__ import main as prepare

GRID = ((40, 42, 44), grid_around((40, 42, 44), (1.0, 1.0, 1.0)))


def noise(size: int = 10_000, low: float = 0, high: float = 255) -> np.ndarray:
    return np.random.default_rng(0).uniform(low, high, size).astype(np.float32)


@pytest.mark.parametrize("value", [1e30, -1e30, 1e5, -1e5])
def test_an_outlier_is_none_of_the_usual_range(value: float) -> None:
    image = noise()
    spoilt = np.append(image, np.float32(value))
    assert usual_range(spoilt) == (image.min(), image.max(), 1)
    np.testing.assert_array_equal(without_outliers(spoilt)[:-1], image)
    assert background(spoilt) == background(image)
    assert told_outliers(spoilt).startswith("a voxel is far from all others")


def heavy_tail() -> np.ndarray:
    return np.random.default_rng(0).lognormal(0, 1, 10_000)


@pytest.mark.parametrize(
    "image",
    [
        noise(),
        noise(low=-1090, high=3000),
        heavy_tail(),
        np.append(np.zeros(10_000), noise(20)),  # hardly anything on black
        np.append(np.full(10_000, -1000.0), noise(2000)),
        np.arange(6.0),
        np.array([0.0, 0.0, 1e30]),  # nothing tells what is usual
    ],
)
def test_other_images_are_as_they_were(image: np.ndarray) -> None:
    assert usual_range(image) == (image.min(), image.max(), 0)
    assert without_outliers(image) is image and told_outliers(image) == ""


def spoilt(image: MedicalImage, value: float = 1e30) -> MedicalImage:
    array = image.array.copy()
    array[3, 4, 5] = value
    return replace(image, array=array)


@pytest.mark.parametrize("side", [0, 1])
def test_a_registration_goes_on_as_if_it_were_not_there_and_says_so(tmp_path: Path, side: int) -> None:
    images = [blob(*GRID, PLACE + MOTION, "moving"), blob(*GRID, PLACE, "fixed")]
    bundle = toy_bundle(tmp_path / "toy")
    expected = register(*images, bundle)
    images[side] = spoilt(images[side])
    found = register(*images, bundle)
    # at the end of the usual range it is as any bright voxel, of which the toy's centre of mass knows one more
    np.testing.assert_allclose(found.field.vectors, expected.field.vectors, atol=0.5)
    after = [each.similarity["after"]["local_correlation"] for each in (found, expected)]
    assert after[0] == pytest.approx(after[1], abs=0.02)
    assert [line for line in found.warnings if f"{images[side].path.name}: a voxel is far from all others" in line]
    assert not [line for line in expected.warnings if "far from all others" in line]


def test_prepare_says_so_and_keeps_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = {"a_moving": spoilt(blob(*GRID, PLACE + MOTION)), "a_fixed": blob(*GRID, PLACE)}
    (tmp_path / "in").mkdir()
    for name, image in images.items():
        write_image(tmp_path / "in" / f"{name}.nii.gz", image.array, image.affine)
    prepare(["pairs", "--source", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--fractions", "1,0,0",
             "--spatial-dims", "3"])  # fmt: skip
    assert "a_moving.nii.gz: a voxel is far from all others (0 to 1e+30)" in capsys.readouterr().err
    pair = json.loads((tmp_path / "out" / "dataset.json").read_text())["splits"]["train"][0]
    import nibabel as nib

    moving, fixed = (np.asarray(nib.load(tmp_path / "out" / pair[key]).dataobj) for key in ("moving", "fixed"))
    assert np.percentile(moving, 99) == pytest.approx(np.percentile(fixed, 99), rel=0.1)

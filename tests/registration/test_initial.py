"""A motion that is known before: the network's comes behind it, the two are one field, sampled once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from toy_registration import MOTION, PLACE, blob, grid_around, toy_bundle, written

from common.errors import InputError
from common.fields import Affine, Field
from common.io import MedicalImage, read_field
from common.io.quiet import quiet_itk
from common.physical import grid_points
from common.registration.api import register
from tools.register import main

FIXED = ((40, 42, 44), grid_around((40, 42, 44), (1.0, 1.0, 1.0)))
TURN = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
AWAY = np.array([150.0, -90.0, 30.0])
"""Where the moving image is taken to, LPS mm: without its initial transform the two do not overlap."""


def taken_away(image: MedicalImage) -> MedicalImage:
    """``image`` turned and moved in space: what was at p is at TURN p + AWAY."""
    move = np.eye(4)
    flip = np.diag([-1.0, -1, 1])
    move[:3, :3], move[:3, 3] = flip @ TURN @ flip, flip @ AWAY
    return MedicalImage(image.array, move @ image.affine, Path("away.nii.gz"))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return toy_bundle(tmp_path / "toy", spacing=1.0, axes="RAS")


@pytest.fixture
def moving() -> MedicalImage:
    return blob((36, 40, 30), grid_around((36, 40, 30), (1.2, 0.9, 1.5)), PLACE + MOTION, "moving")


def of_itk(path: Path) -> Path:
    """The way there, as ITK, ANTs and 3D Slicer write an affine."""
    with quiet_itk() as itk:
        transform = itk.AffineTransform[itk.D, 3].New()
        transform.SetMatrix(itk.matrix_from_array(TURN))
        transform.SetTranslation(AWAY.tolist())
        itk.transformwrite([transform], str(path))
    return path


@pytest.mark.parametrize("ending", ["mat", "tfm", "h5"])
def test_what_an_affine_brings_back_is_registered_as_if_it_had_been_there(
    bundle: Path, moving: MedicalImage, tmp_path: Path, ending: str
) -> None:
    fixed = blob(*FIXED, PLACE)
    label = MedicalImage((moving.array > 50).astype(np.uint8), moving.affine, Path("label"))
    expected = register(moving, fixed, bundle, label=label)
    found = register(
        taken_away(moving), fixed, bundle, label=taken_away(label), initial=of_itk(tmp_path / f"known.{ending}")
    )
    np.testing.assert_allclose(found.warped, expected.warped, atol=1e-3)
    np.testing.assert_allclose(found.unmoved, expected.unmoved, atol=1e-3)
    np.testing.assert_array_equal(found.warped_label, expected.warped_label)
    points = grid_points(*FIXED)
    both = (points + expected.field.vectors) @ TURN.T + AWAY - points
    np.testing.assert_allclose(found.field.vectors, both, atol=1e-4)
    assert found.overlap == pytest.approx(expected.overlap, abs=1e-3) and found.warnings == expected.warnings
    np.testing.assert_allclose(found.own_field.vectors, expected.field.vectors, atol=1e-4)
    moved = [each.numbers["displacement_mm"]["max"] for each in (found, expected)]
    assert moved[0] == pytest.approx(moved[1], abs=1e-3)
    assert found.numbers["initial"] == f"known.{ending}"


def test_points_and_the_inverse_follow_both(bundle: Path, moving: MedicalImage) -> None:
    mark = (PLACE + MOTION) @ TURN.T + AWAY
    found = register(taken_away(moving), blob(*FIXED, PLACE), bundle, points=mark[None], initial=Affine(TURN, AWAY))
    np.testing.assert_allclose(found.warped_points[0], PLACE[None], atol=0.1)
    assert found.points_seen.all()
    there = found.warp(found.warped_points[0], inverse=True)
    np.testing.assert_allclose(there, mark[None], atol=1e-2)


def test_a_field_is_an_initial_transform_too(bundle: Path, moving: MedicalImage) -> None:
    fixed = blob(*FIXED, PLACE)
    half = Field(np.broadcast_to(MOTION / 2, (*FIXED[0], 3)), FIXED[1])
    found, expected = register(moving, fixed, bundle, initial=half), register(moving, fixed, bundle)
    inside = np.linalg.norm(grid_points(*FIXED) - PLACE, axis=-1) < 8
    np.testing.assert_allclose(found.field.vectors[inside], expected.field.vectors[inside], atol=0.05)


def test_the_file_holds_both_and_the_program_refuses_what_does_not_fit(
    bundle: Path, moving: MedicalImage, tmp_path: Path
) -> None:
    known, away = of_itk(tmp_path / "known.mat"), written(taken_away(moving), tmp_path / "away.nii.gz")
    fixed = written(blob(*FIXED, PLACE), tmp_path / "fixed.nii.gz")
    common = [str(away), str(fixed), "--bundle", str(bundle), "--output", str(tmp_path / "o"), "--initial"]
    main([*common, str(known)])
    found = register(away, fixed, bundle, initial=known)
    field = read_field(tmp_path / "o" / "away_field.nii.gz")
    np.testing.assert_array_equal(field.vectors, found.field.vectors)
    assert json.loads((tmp_path / "o" / "away.json").read_text())["initial"] == "known.mat"
    with pytest.raises(InputError, match="do not overlap in space; check their headers"):
        register(away, fixed, bundle)
    back = Affine(TURN.T, -TURN.T @ AWAY)
    with pytest.raises(InputError, match=r"do not overlap in space; check the initial transform \(its inverse\?\)"):
        register(away, fixed, bundle, initial=back)
    with pytest.raises(InputError, match="the initial transform: 2D, but .*fixed.nii.gz is 3D"):
        register(away, fixed, bundle, initial=Affine(np.eye(2), np.zeros(2)))
    (tmp_path / "torn.mat").write_bytes(b"torn")
    with pytest.raises(InputError, match="torn.mat: cannot be read"):
        main([*common, str(tmp_path / "torn.mat")])

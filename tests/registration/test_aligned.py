"""A stack whose slices are shifted is registered in line, and the result is of the files as they are."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shifted_stack import SHAPE, SPACING, known_shifts, stack
from toy_registration import blob, grid_around, toy_bundle, written

from common.errors import InputError
from common.fields import Affine, Field, to_physical
from common.io import MedicalImage, read_field
from common.physical import grid_points, transform_points
from common.registration.aligned import of_files
from common.registration.api import register
from common.registration.case import Case
from common.registration.outcome import Registration
from common.slices import shifted
from tools.register import main

AFFINE = grid_around(SHAPE, SPACING, np.linalg.qr(np.array([[2, 1, 0.3], [-0.5, 1.5, 0.2], [0.1, -0.4, 1]]))[0])


@pytest.fixture
def pair() -> dict[str, MedicalImage]:
    shifts = known_shifts(1)
    arrays = dict(zip(("moving", "label"), stack(shifts), strict=True))
    arrays |= dict(zip(("fixed", "fixed_label"), stack(shifts, 0.8, 1), strict=True))
    return {name: MedicalImage(array, AFFINE, Path(f"{name}.nii.gz")) for name, array in arrays.items()}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return toy_bundle(tmp_path / "toy")


def vectors(voxels: np.ndarray) -> np.ndarray:
    return to_physical(np.broadcast_to(voxels, (*SHAPE, 3)).transpose(3, 0, 1, 2), AFFINE)


def test_the_field_of_the_files_has_the_shifts_of_both_slices(pair: dict[str, MedicalImage]) -> None:
    shifts = np.random.default_rng(0).uniform(-3, 3, (SHAPE[2], 2))
    for up in (1.0, 0.25):
        motion, rise = np.array([1.5, -0.5, up]), np.zeros((SHAPE[2], 3))
        between = np.array([np.interp(np.arange(SHAPE[2]) + up, np.arange(SHAPE[2]), s) for s in shifts.T]).T
        rise[:, :2] = between - shifts
        case, in_line = Case(pair["moving"], pair["fixed"]), Field(vectors(motion), AFFINE)
        found = Registration(case, in_line, {}, np.ones(SHAPE, bool), 1.0, 0.0, SPACING, SHAPE)
        result = of_files(found, case, shifts, 2)
        np.testing.assert_allclose(result.field.vectors, vectors(motion + rise), atol=1e-4)
        np.testing.assert_allclose(result.own_field.vectors, in_line.vectors, atol=1e-4)


def test_maps_and_what_was_seen_go_back_to_their_slices(pair: dict[str, MedicalImage]) -> None:
    shifts = np.round(np.random.default_rng(0).uniform(-3, 3, (SHAPE[2], 2)))
    seen, case = np.zeros(SHAPE, bool), Case(pair["moving"], pair["fixed"])
    seen[10:-10, 10:-10] = True
    level = np.where(seen, 2.0, 0.0).astype(np.float32)
    still = Field(np.zeros((*SHAPE, 3), np.float32), AFFINE)
    found = of_files(Registration(case, still, {"level": level}, seen, 1.0, 0.0, SPACING, SHAPE), case, shifts, 2)
    np.testing.assert_array_equal(found.maps["level"] > 0, found.seen)
    np.testing.assert_array_equal(shifted(found.seen, shifts, 2, 0), seen)
    np.testing.assert_allclose(found.field.vectors, 0, atol=1e-5)


def test_it_is_the_registration_of_what_was_aligned_by_hand(bundle: Path, pair: dict[str, MedicalImage]) -> None:
    found = register(**pair, bundle=bundle, align_slices=True)
    shifts = found.slice_shifts_mm / SPACING[:2]
    assert np.abs(shifts).max() > 1
    moved = {k: replace(i, array=shifted(i.array, shifts, 2, int("label" not in k))) for k, i in pair.items()}
    expected = register(**moved, bundle=bundle)
    np.testing.assert_allclose(found.own_field.vectors, expected.field.vectors, atol=1e-3)
    for image, name in ((found.case.moving, "moving"), (found.case.label, "label")):
        np.testing.assert_array_equal(image.array, pair[name].array)
    y = grid_points(SHAPE, AFFINE) - vectors(np.insert(shifts, 2, 0, axis=1))
    there = transform_points(y, expected.field)
    at = (np.linalg.inv(AFFINE) @ np.append(there[30, 25, 3] * [-1, -1, 1], 1))[2]
    last = np.array([np.interp(at, np.arange(SHAPE[2]), s) for s in shifts.T])
    end = there[30, 25, 3] + vectors(np.append(last, 0))[0, 0, 0]
    np.testing.assert_allclose(grid_points(SHAPE, AFFINE)[30, 25, 3] + found.field.vectors[30, 25, 3], end, atol=1e-3)


def test_files_are_of_the_files(bundle: Path, pair: dict[str, MedicalImage], tmp_path: Path, capsys: Any) -> None:
    paths = [str(written(pair[name], tmp_path / f"{name}.nii.gz")) for name in ("moving", "fixed")]
    main([*paths, "--bundle", str(bundle), "--output", str(tmp_path / "out"), "--align-slices"])
    assert re.search(r"slices aligned: by up to \d\.\d mm", capsys.readouterr().out)
    told = json.loads((tmp_path / "out" / "moving.json").read_text())
    assert np.shape(told["slice_shifts_mm"]) == (SHAPE[2], 2)
    assert read_field(tmp_path / "out" / "moving_field.nii.gz").shape == SHAPE


def test_what_cannot_be_aligned_is_refused_in_a_line(
    bundle: Path, pair: dict[str, MedicalImage], tmp_path: Path
) -> None:
    images = {name: pair[name] for name in ("moving", "fixed")}
    elsewhere = replace(pair["fixed"], affine=AFFINE + np.eye(4, k=3))
    even = blob((20, 20, 20), grid_around((20, 20, 20), (1.0, 1.0, 1.0)), name="even")
    flat = toy_bundle(tmp_path / "flat", spatial_dims=2)
    for given, told in [
        (images | {"fixed": elsewhere}, "moving.nii.gz: lies on another grid than fixed.nii.gz"),
        ({"moving": even, "fixed": even}, "even.nii.gz: voxels of 1 x 1 x 1 mm are no stack of slices; leave out"),
        (images | {"bundle": flat}, "--align-slices: flat registers slice by slice"),
        (images | {"initial": Affine(np.eye(3), np.zeros(3))}, "an initial transform tells apart; leave out"),
    ]:
        with pytest.raises(InputError, match=re.escape(told)):
            register(**{"bundle": bundle, **given}, align_slices=True)

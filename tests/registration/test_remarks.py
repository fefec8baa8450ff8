"""What is said of a registration that may not be believed, and how its maps open in a viewer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from toy_registration import MOTION, PLACE, blob, grid_around, toy_bundle

from common.errors import InputError
from common.fields import Field
from common.io import MedicalImage
from common.registration.bundle import open_bundle
from common.registration.card import Card
from common.registration.case import Case
from common.registration.outcome import By, Registration
from common.registration.register import register_case
from tools import register as program

SHAPE, AFFINE = (40, 42, 44), grid_around((40, 42, 44), (1.0, 1.0, 1.0))


@pytest.fixture
def found(tmp_path: Path) -> Registration:
    case = Case(blob(SHAPE, AFFINE, PLACE + MOTION, "moving"), blob(SHAPE, AFFINE, PLACE, "fixed"))
    return register_case(open_bundle(toy_bundle(tmp_path / "toy"), "cpu"), case)


def test_nothing_is_said_of_what_went_well(found: Registration) -> None:
    assert found.warnings == [] == found.numbers["warnings"]
    assert replace(found, trained=Card((1.1, 1.0, 0.9), (64, 64, 64), "MR")).warnings == []


def test_a_field_that_leads_away_is_said_to(found: Registration) -> None:
    away = replace(found, field=Field(-found.field.vectors, AFFINE))
    assert [line.split(":")[0] for line in away.warnings] == ["similarity fell"]
    assert "mean squared error" in away.warnings[0] and "before" in away.warnings[0]


def test_a_small_part_and_a_small_overlap_are_said(found: Registration) -> None:
    seen = np.zeros(SHAPE, bool)
    seen[10:20, 10:20, 10:20] = True
    lines = replace(found, seen=seen, overlap=0.2).warnings
    assert f"{100 * seen.mean():.1f} % of fixed.nii.gz was seen" in lines[0]
    assert "moving.nii.gz covers 20% of what the network saw of fixed.nii.gz" in lines[1]


def test_an_empty_label_is_said(found: Registration) -> None:
    label = MedicalImage(np.zeros(SHAPE, np.uint8), AFFINE, Path("label.nii.gz"))
    both = replace(found, case=replace(found.case, label=label, fixed_label=label))
    assert both.warnings == ["the label label.nii.gz is empty"] * 2


def test_another_modality_is_said(found: Registration) -> None:
    mr, ct = Card(modality="MR"), Card(modality="CT")
    found.fixed.array[0] = -1000
    lines = replace(found, trained=mr).warnings
    assert any(line.startswith("fixed.nii.gz: CT, but the network was trained on MR") for line in lines)
    for trained in (ct, Card()):
        assert not any("trained on" in line for line in replace(found, trained=trained).warnings)


@pytest.mark.parametrize("outside", ["nan", "0"])
def test_maps_open_with_a_window_and_say_what_they_are(tmp_path: Path, found: Registration, outside: str) -> None:
    seen = found.seen.copy()
    seen[:20] = False
    found.maps["uncertainty_mm"][~seen] = 208.7
    part = replace(found, seen=seen, by=By("toy", "1", None, "cpu"))
    part.save(tmp_path / outside, "a", picture=False, outside=outside)
    image = nib.load(tmp_path / outside / "a_uncertainty_mm.nii.gz")
    values = np.asarray(image.dataobj)
    assert (np.isnan(values[~seen]) if outside == "nan" else values[~seen] == 0).all()
    np.testing.assert_allclose(values[seen], np.exp(0.25), rtol=1e-5)
    assert image.header["cal_min"] == 0 and image.header["cal_max"] == pytest.approx(np.exp(0.25), rel=1e-5)
    assert image.header["descrip"].item().startswith(b"standard deviation of u along an axis, mm; ")
    warped = nib.load(tmp_path / outside / "a_warped.nii.gz")
    assert np.isfinite(warped.dataobj).all() and warped.header["cal_max"] > warped.header["cal_min"]
    mask = nib.load(tmp_path / outside / "a_seen.nii.gz")
    np.testing.assert_array_equal(mask.dataobj, seen)
    with pytest.raises(InputError, match="outside is 'black'; give nan or 0"):
        part.save(tmp_path / "other", "a", outside="black")
    assert not (tmp_path / "other").exists()


def test_the_program_says_it_and_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    shape, affine = (60, 50, 2), grid_around((60, 50, 2), (1.0, 1.0, 8.0))
    paths = {}
    for name, x in {"moving": 2.0, "fixed": 0.0}.items():
        nib.save(nib.Nifti1Image(blob(shape, affine, np.array([x, 0, 0])).array, affine), tmp_path / f"{name}.nii.gz")
    label = np.zeros(shape, np.uint8)
    label[5:55, 20:30] = 2
    for name in ("label", "fixed_label"):
        paths[name] = tmp_path / f"{name}.nii.gz"
        nib.save(nib.Nifti1Image(label, affine), paths[name])
    bundle = toy_bundle(tmp_path / "toy", 2, crop_size=40)
    given = ["--bundle", bundle, "--label", paths["label"], "--fixed-label", paths["fixed_label"], "--outside", "0"]
    files = [tmp_path / f"{name}.nii.gz" for name in ("moving", "fixed")]
    program.main([str(each) for each in (*files, *given, "--output", tmp_path / "out")])
    said = [line.removeprefix("warning: ") for line in capsys.readouterr().out.splitlines() if line[:8] == "warning:"]
    written = json.loads((tmp_path / "out" / "moving.json").read_text())
    assert said == written["warnings"] and "20.0 % of the label label.nii.gz was not seen" in said[0]
    assert set(written["labels"]) == {"2", "mean"} and 0 < written["labels"]["2"]["after"]["dice"] <= 1
    assert not nib.load(tmp_path / "out" / "moving_uncertainty_mm.nii.gz").get_fdata()[0].any()

"""The program as a user calls it, with the shipped weights, on a ring that contracts."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from ring_cine import SCALES, ring

from common.errors import InputError
from common.nifti import save_image
from common.registration.bundle import open_bundle
from common.registration.case import Case
from common.registration.register import register_case
from tools.cine import results
from tools.cine.__main__ import main
from tools.cine.curves import Curves
from tools.cine.motion import aimed, track
from tools.cine.reading import read_cine

Files = tuple[Path, Path]


def table(path: Path) -> dict[str, np.ndarray]:
    rows = list(csv.DictReader(path.read_text().splitlines()))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


@pytest.fixture(scope="module")
def followed(ring_cine: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    (cine, label), folder = ring_cine, tmp_path_factory.mktemp("followed")
    options = ["--label", str(label), "--wall", "2", "--cavity", "3", "--draws", "4", "--format", "nifti"]
    main([str(cine), "--bundle", "vxm_hetero_disp", "--output", str(folder), *options])
    return folder / "ring"


def test_a_cine_gives_its_files_and_curves_that_follow_the_ring(followed: Path) -> None:
    found = table(followed.with_name("ring_frames.csv"))
    np.testing.assert_allclose(found["time_ms"], [0, 40, 80, 120])
    cavity = found["volume_mm3_3"] / found["volume_mm3_3"][0]
    np.testing.assert_allclose(cavity, np.square(SCALES), atol=0.08)
    assert cavity.argmin() == 2
    assert found["circumferential_strain"][2] < -0.08 and found["circumferential_strain"][0] == 0
    assert (found["correlation_after"][1:] > found["correlation_before"][1:]).all()
    deviations = [name for name in found if name.endswith("_sd")]
    assert len(deviations) == 4
    for name in deviations:
        assert found[name][0] == 0 and (found[name][1:] > 0).all()


def test_a_cine_gives_images_of_every_frame_and_an_animation(followed: Path) -> None:
    for kind, shape in (("motion", (64, 64, 2, 4, 3)), ("warped", (64, 64, 2, 4)), ("warped_label", (64, 64, 2, 4)),
                        ("uncertainty_mm", (64, 64, 2, 4)), ("log_variance", (64, 64, 2, 4))):  # fmt: skip
        assert nib.load(f"{followed}_{kind}.nii.gz").shape == shape
    assert not np.asarray(nib.load(f"{followed}_motion.nii.gz").dataobj)[..., 0, :].any()
    single = np.asarray(nib.load(f"{followed}_frame002_field.nii.gz").dataobj)[..., 0, :]
    np.testing.assert_array_equal(single, np.asarray(nib.load(f"{followed}_motion.nii.gz").dataobj)[..., 2, :])
    with Image.open(f"{followed}_cine.gif") as picture:
        assert picture.n_frames == 4 and picture.info["duration"] == 40
        picture.seek(2)
        assert len(picture.convert("RGB").getcolors(2**20)) > 50
    with Image.open(f"{followed}_curves.png") as picture:
        assert picture.width > 1000


def test_the_numbers_say_what_was_done(followed: Path) -> None:
    content = json.loads(followed.with_name("ring_cine.json").read_text())
    assert content["bundle"] == "vxm_hetero_disp" and len(content["weights_sha256"]) == 64
    assert content["sizes"]["3"]["smallest_frame"] == 2 and content["sizes"]["3"]["unit"] == "mm3"
    assert content["sizes"]["3"]["fraction_percent"] == pytest.approx(36, abs=8)
    assert content["strains"]["circumferential"]["peak"] < 0
    assert content["band"] == {"draws": 4, "length": 10.5, "scale": 1.0, "seed": 0}


def test_a_bundle_without_uncertainty_gives_curves_without_a_band(ring_cine: Files, tmp_path: Path) -> None:
    cine, label = ring_cine
    main([str(cine), "--bundle", "vxm_mse", "--output", str(tmp_path), "--label", str(label), "--frame-time", "25"])
    found = table(tmp_path / "ring_frames.csv")
    assert not [name for name in found if name.endswith(("_sd", "_strain"))]
    np.testing.assert_allclose(found["time_ms"], [0, 25, 50, 75])
    content = json.loads((tmp_path / "ring_cine.json").read_text())
    assert content["band"] is None and "vxm_mse predicts no uncertainty" in content["band_note"]
    assert not (tmp_path / "ring_uncertainty_mm.nii.gz").exists()


def test_without_a_label_there_are_motion_and_animation_only(ring_cine: Files, tmp_path: Path) -> None:
    main([str(ring_cine[0]), "--bundle", "vxm_mse", "--output", str(tmp_path / "out"), "--reference-frame", "2"])
    names = {path.name.removeprefix("ring_") for path in (tmp_path / "out").iterdir()}
    assert names == {"motion.nii.gz", "warped.nii.gz", "warped.seq.nrrd", "cine.gif", "frames.csv", "cine.json"}
    motion = np.asarray(nib.load(tmp_path / "out" / "ring_motion.nii.gz").dataobj)
    assert not motion[..., 2, :].any() and motion[..., 0, :].any()


def test_nothing_is_left_of_a_run_that_fails(ring_cine: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bytes:
        raise RuntimeError("stop")

    monkeypatch.setattr(results, "animation", fail)
    with pytest.raises(RuntimeError, match="stop"):
        main([str(ring_cine[0]), "--bundle", "vxm_mse", "--output", str(tmp_path / "out")])
    assert list((tmp_path / "out").iterdir()) == []
    (tmp_path / "file").write_text("kept")
    with pytest.raises(InputError, match="file: is a file; give a folder"):
        main(["missing.nii.gz", "--bundle", "vxm_mse", "--output", str(tmp_path / "file")])


def test_no_title_is_cut_at_the_edge(followed: Path) -> None:
    with Image.open(f"{followed}_cine.gif") as film:
        film.seek(1)
        drawn = np.asarray(film.convert("L"))
    assert drawn[:2].min() > 200 and drawn[2:40].min() < 100


def test_files_of_2d_images_are_a_cine_too(tmp_path: Path) -> None:
    paths = [str(tmp_path / f"t{frame}.nii.gz") for frame in range(3)]
    for path, scale in zip(paths, SCALES, strict=False):
        save_image(path, ring(64, scale)[0], np.diag([-1.5, 1.5, 1, 1]))
    save_image(tmp_path / "gt.nii.gz", ring(64, 1)[1], np.diag([-1.5, 1.5, 1, 1]))
    options = ["--label", str(tmp_path / "gt.nii.gz"), "--wall", "2", "--output", str(tmp_path / "out")]
    main([*paths, "--bundle", "vxm_mse", *options])
    found = table(tmp_path / "out" / "t0_frames.csv")
    np.testing.assert_allclose(found["area_mm2_3"] / found["area_mm2_3"][0], np.square(SCALES[:3]), atol=0.08)
    assert found["radial_strain"][0] == 0 and "time_ms" not in found
    assert nib.load(tmp_path / "out" / "t0_motion.nii.gz").shape == (64, 64, 1, 3, 2)
    with pytest.raises(InputError, match="--format l2r: .*t0.nii.gz is 2D"):
        main([*paths, "--bundle", "vxm_mse", "--output", str(tmp_path / "none"), "--format", "l2r"])
    assert not (tmp_path / "none").exists()


def test_frames_together_are_what_they_are_one_by_one(ring_cine: Files) -> None:
    cine = read_cine([ring_cine[0]])
    bundle = open_bundle("vxm_mse")
    motion = track(bundle, cine, 0)
    alone = register_case(bundle, Case(cine.image(0), cine.image(2)), slice_axis=2)
    np.testing.assert_allclose(motion.vectors[2], alone.field.vectors, atol=1e-4)


def test_frames_are_refined_from_the_frame_before(
    ring_cine: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(ring_cine[0]), "--bundle", "vxm_mse", "--output", str(tmp_path), "--refine", "5"])
    done = json.loads((tmp_path / "ring_cine.json").read_text())["refinement"]
    assert done["steps"] == 5 and done["after"] < done["before"] and 0 <= done["followed"] <= 1
    assert f"{done['followed']:.0%} began where the frame before ended" in capsys.readouterr().out
    cine, bundle = read_cine([ring_cine[0]]), open_bundle("vxm_mse", refine_steps=5)
    cine = replace(cine, frames=cine.frames[[0, 2, 2]])
    first, again, parts = (track(each, cine, 0) for each in (bundle, bundle, replace(bundle, batch_size=1)))
    np.testing.assert_array_equal(first.vectors, again.vectors)
    for each in (first, parts):  # both slices together, or one at a time
        assert each.refined is not None and each.refined["followed"] >= 0.5
        assert each.refined["after"] < each.refined["before"]
    assert bundle.network.refinement.report() is None  # what follows is of one cine


def test_slices_along_another_axis_are_refused(ring_cine: Files) -> None:
    cine = read_cine([ring_cine[0]])
    turned = replace(cine, frames=np.moveaxis(cine.frames, 3, 1), affine=cine.affine[:, [2, 0, 1, 3]])
    with pytest.raises(InputError, match="the slices must lie along the third axis"):
        track(open_bundle("vxm_mse"), turned, 0)


def test_a_fraction_is_of_the_largest_size_whichever_the_reference() -> None:
    curves = Curves({"size_1": np.array([80.0, 100.0, 40.0])}, {}, (1,), None, False)
    found = results.summary(curves, 0)["sizes"]["1"]
    assert found["fraction_percent"] == pytest.approx(60) and found["reference"] == 80
    assert (found["largest_frame"], found["smallest_frame"]) == (1, 2)


def test_the_crop_is_about_the_label_or_what_moves(ring_cine: Files) -> None:
    bundle, cine = open_bundle("vxm_mse", crop_size=16), read_cine([ring_cine[0]])
    label = np.zeros(cine.frames.shape[1:], int)
    label[2:5, 46:48] = 1
    for spacing in (None, 2.0):
        changed = replace(bundle, framing=replace(bundle.framing, center="image", spacing=spacing))
        motion = track(aimed(changed), cine, 0, label)
        assert motion.seen[label > 0].all() and not any("not seen" in line for line in motion.warnings)
    without = track(aimed(bundle), cine, 0)
    assert without.seen[28:36, 28:36].all()
    assert any("of ring.nii.gz frame 0 was seen" in line for line in without.warnings)


def test_bad_requests_end_in_a_line(ring_cine: Files, tmp_path: Path, affine: np.ndarray) -> None:
    cine, label = map(str, ring_cine)
    save_image(tmp_path / "flat.nii.gz", np.ones((64, 64, 2), np.uint8), affine)
    cases = {
        "--reference-frame 4: .*ring.nii.gz has frames 0 to 3": [cine, "--reference-frame", "4"],
        "--wall 2: give --label": [cine, "--wall", "2"],
        "--cavity 3: give --wall": [cine, "--label", label, "--cavity", "3"],
        "ring_gt.nii.gz: --wall 7 is not in it": [cine, "--label", label, "--wall", "7"],
        "--draws 1: give 2 or more": [cine, "--draws", "1"],
        "--correlation-length 0: give a number above 0": [cine, "--correlation-length", "0"],
        "--slice 2: .*ring.nii.gz has slices 0 to 1": [cine, "--slice", "2"],
        "center is \\[90, 90\\]": [cine, "--center", "90,90"],
        "crop_size is 'much'": [cine, "--crop-size", "much"],
        "structures reach beyond what the network saw": [
            cine,
            "--label",
            label,
            "--crop-size",
            "16",
            "--center",
            "32,32",
        ],
        "absent.nii.gz: no such file": ["absent.nii.gz"],
    }
    for message, options in cases.items():
        with pytest.raises(InputError, match=message):
            main([*options, "--bundle", "vxm_mse", "--output", str(tmp_path / "out")])
    with pytest.raises(InputError, match="vxm_mso: no bundle"):
        main([cine, "--bundle", "vxm_mso", "--output", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()

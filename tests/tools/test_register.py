"""The command line of a registration."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from toy_registration import MOTION, PLACE, blob, grid_around, toy_bundle, written

from common.errors import InputError
from common.io import read_field
from common.registration import __main__ as packaged
from tools import register

SHAPE = (40, 42, 44)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    fixed, moving = grid_around(SHAPE, (1.0, 1.0, 1.0)), grid_around((36, 50, 30), (1.2, 0.9, 1.5), off=[1.0, 0, -2])
    images = {"moving": blob((36, 50, 30), moving, PLACE + MOTION), "fixed": blob(SHAPE, fixed, PLACE)}
    paths = {name: written(image, tmp_path / f"{name}.nii.gz") for name, image in images.items()}
    return paths | {"bundle": toy_bundle(tmp_path / "toy", spacing=1.0, axes="RAS")}


def arguments(files: dict[str, Path], output: Path, *more: object) -> list[str]:
    return [str(each) for each in (files["moving"], files["fixed"], "--output", output, *more)]


@pytest.mark.parametrize("main", [register.main, packaged.main], ids=["tools.register", "library"])
def test_two_files_are_registered(
    tmp_path: Path, files: dict[str, Path], main: object, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"
    main(arguments(files, out, "--bundle", files["bundle"], "--format", "l2r", "--name", "pair"))
    assert "9 files, pair_*; look at pair.png" in capsys.readouterr().out
    assert {path.name for path in out.iterdir()} == {
        "pair.json", "pair.png", "pair_displacement_log_variance.nii.gz", "disp_pair.nii.gz",
        "disp_pair_inverse.nii.gz",
        "pair_jacobian.nii.gz", "pair_seen.nii.gz", "pair_uncertainty_mm.nii.gz", "pair_warped.nii.gz"}  # fmt: skip
    np.testing.assert_allclose(read_field(out / "disp_pair.nii.gz").vectors.mean((0, 1, 2)), MOTION, atol=0.06)
    fixed, warped = nib.load(files["fixed"]), nib.load(out / "pair_warped.nii.gz")
    np.testing.assert_allclose(warped.affine, fixed.affine, atol=1e-5)
    assert np.abs(warped.get_fdata() - fixed.get_fdata()).mean() < 0.2
    report = json.loads((out / "pair.json").read_text())
    assert report["moving"]["file"] == "moving.nii.gz" and report["fixed"]["shape"] == list(SHAPE)
    assert report["similarity"]["after"]["mean_squared_error"] < report["similarity"]["before"]["mean_squared_error"]
    assert report["network"]["seconds"] > 0


def test_a_pair_is_refined_and_it_is_said_what_that_did(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    shape, affine = (40, 36, 3), grid_around((40, 36, 3), (1.5, 1.5, 6.0))
    images = (blob(shape, affine, PLACE + step * np.array([1.0, 0, 0])) for step in (9, 0))
    files = {side: written(image, tmp_path / f"{side}.nii.gz") for side, image in zip(("moving", "fixed"), images)}
    numbers = {}
    for steps in (0, 5):
        register.main(arguments(files, tmp_path / f"{steps}", "--bundle", "vxm_hetero", "--refine", steps))
        numbers[steps] = json.loads((tmp_path / f"{steps}" / "moving.json").read_text())
    assert "refined in 5 steps: loss " in capsys.readouterr().out
    did = numbers[5]["refinement"]
    assert numbers[0]["refinement"] is None and did["steps"] == 5 and did["after"] < did["before"]
    none, some = (each["similarity"]["after"]["mean_squared_error"] for each in numbers.values())
    assert some < none
    with pytest.raises(InputError, match="refine_steps is -1: expected a whole number from 0"):
        register.main(arguments(files, tmp_path / "no", "--bundle", "vxm_hetero", "--refine", -1))


def test_two_frames_of_one_cine_are_registered(tmp_path: Path) -> None:
    shape, affine = (40, 36, 3), grid_around((40, 36, 3), (1.0, 1.0, 6.0))
    frames = [blob(shape, affine, PLACE + step * np.array([1.0, 0, 0])).array for step in range(4)]
    nib.save(nib.Nifti1Image(np.stack(frames, -1), affine), tmp_path / "cine.nii.gz")
    files = dict.fromkeys(("moving", "fixed"), tmp_path / "cine.nii.gz")
    bundle = toy_bundle(tmp_path / "toy", 2)
    given = ("--bundle", bundle, "--moving-frame", 3, "--fixed-frame", 1)
    register.main(arguments(files, tmp_path / "out", *given))
    vectors = read_field(tmp_path / "out" / "cine_field.nii.gz").vectors[:, :, 1]
    np.testing.assert_allclose(vectors.mean((0, 1)), [2.0, 0, 0], atol=0.05)
    with pytest.raises(InputError, match="holds images 0 to 3; there is no 9"):
        register.main(arguments(files, tmp_path / "other", *given[:-1], 9))
    with pytest.raises(InputError, match="cine.nii.gz: 4D"):
        register.main(arguments(files, tmp_path / "other", "--bundle", bundle))
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--name", "a/b"), "name is 'a/b'"),
        (("--center", "3,4"), "center is"),
        (("--override", "center"), "--override center: not of the form KEY=VALUE"),
        (("--override", "centre=detect"), "--centre: no such setting"),
        (("--override", "crop_size=big"), "crop_size is 'big'"),
        (("--label", "missing.nii.gz"), "missing.nii.gz: no such file"),
        (("--points", "missing.csv"), "missing.csv: no such file"),
        (("--device", "abacus"), "device is 'abacus'"),
        (("--moving-frame", "1"), "moving.nii.gz: holds one image, so it has no frame 1"),
        (("--override", "device=cpu"), "--override device=cpu: give it by --device"),
        (("--override", "folder=x"), "--folder: no such setting"),
    ],
    ids=str,
)
def test_bad_input_is_refused_before_anything_is_written(
    tmp_path: Path, files: dict[str, Path], given: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        register.main(arguments(files, tmp_path / "out", "--bundle", files["bundle"], *given))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_label_elsewhere_and_an_output_that_is_a_file_are_refused(tmp_path: Path, files: dict[str, Path]) -> None:
    affine = grid_around(SHAPE, (1.0, 1.0, 1.0), off=[900.0, 0, 0])
    nib.save(nib.Nifti1Image(np.ones(SHAPE, np.uint8), affine), tmp_path / "far.nii.gz")
    given = arguments(files, tmp_path / "out", "--bundle", files["bundle"], "--label", tmp_path / "far.nii.gz")
    with pytest.raises(InputError, match="far.nii.gz: no label of it lies in .*moving.nii.gz"):
        register.main(given)
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("kept")
    with pytest.raises(InputError, match="file: is a file; give a folder"):
        register.main(arguments(files, tmp_path / "file", "--bundle", files["bundle"]))


def test_a_moving_image_that_covers_little_is_remarked(
    tmp_path: Path, files: dict[str, Path], capsys: pytest.CaptureFixture
) -> None:
    part = (40, 16, 44)
    affine = grid_around(SHAPE, (1.0, 1.0, 1.0))
    affine[:3, 3] += [0, 14, 0]
    written(blob(part, affine, PLACE), tmp_path / "part.nii.gz")
    given = {**files, "moving": tmp_path / "part.nii.gz"}
    register.main(arguments(given, tmp_path / "out", "--bundle", files["bundle"]))
    assert "warning: " in (said := capsys.readouterr().out) and "covers 38% of what the network saw" in said


def test_a_bundle_must_be_named(tmp_path: Path, files: dict[str, Path]) -> None:
    for main in (register.main, packaged.main):
        for given in ((), ("--bundle", files["bundle"], "--format", "dicom")):
            with pytest.raises(SystemExit):
                main(arguments(files, tmp_path / "out", *given))
    with pytest.raises(InputError, match="nowhere"):
        register.main(arguments(files, tmp_path / "out", "--bundle", tmp_path / "nowhere"))


BLOCKED = """
import runpy, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("common", "tools"):
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
sys.path.insert(0, "")
module = sys.argv.pop(1)
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


@pytest.mark.slow
def test_a_package_registers_without_the_repository_as_the_bundle_does(tmp_path: Path) -> None:
    from common.collection.receive import unpack
    from tools.package import __main__ as package

    package.main(["vxm_hetero_disp", "--output", str(tmp_path)])
    archive = next(tmp_path.glob("*.zip"))
    folder = unpack(archive, tmp_path / "unpacked")
    library = next(folder.glob("warpsure_*")).name
    shape, affine = (64, 60, 3), grid_around((64, 60, 3), (1.4, 1.4, 8.0))
    places = {"moving": PLACE + MOTION, "fixed": PLACE}
    files = {name: written(blob(shape, affine, place), tmp_path / f"{name}.nii") for name, place in places.items()}
    given = [arguments(files, tmp_path / out, "--device", "cpu") for out in ("own", "zip", "repository")]
    alone = [sys.executable, "-P", "-c", BLOCKED, f"{library}.registration", *given[0]]
    ended = subprocess.run(alone, cwd=folder, capture_output=True, text=True, env={"OMP_NUM_THREADS": "1"})
    assert ended.returncode == 0, ended.stderr
    register.main([*given[1], "--bundle", str(archive)])
    register.main([*given[2], "--bundle", "vxm_hetero_disp"])
    fields = [read_field(tmp_path / out / "moving_field.nii.gz").vectors for out in ("own", "zip", "repository")]
    assert np.abs(fields[0]).max() > 0.5
    np.testing.assert_allclose(fields[0], fields[2], atol=1e-5)
    np.testing.assert_allclose(fields[1], fields[2], atol=1e-5)

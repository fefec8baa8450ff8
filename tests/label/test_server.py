"""End to end: MONAI Label is started, asked for registrations, good and bad, made to train, and stopped.

Without MONAI Label it is skipped.
"""

from __future__ import annotations

import io
import json
import shlex
import shutil
import subprocess
import sys
import time
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from documents import curls

from common.grids import spacing_of
from common.io import read_field
from common.physical import CONVERGED, invert_field
from common.registration.api import register

ROOT = Path(__file__).resolve().parent.parent.parent
HEADS = "cardiac_cine_registration_"
PRETRAINED = sorted(path.parent.parent.name for path in (ROOT / "bundles").glob("*/models/model.pt"))
Server = Any  # of conftest.py

pytestmark = [
    pytest.mark.label,
    pytest.mark.skipif(find_spec("monailabel") is None, reason="monailabel is missing; see requirements-label.txt"),
]


@pytest.fixture(scope="session", params=["ours", "stock"])
def server(request: pytest.FixtureRequest) -> Server:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def by_files(studies: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, nib.Nifti1Image]:
    """What `run inference` writes of the oblique pair, by name."""
    folder = tmp_path_factory.mktemp("by_files")
    files = {"moving": studies / "ob_ED.nii.gz", "fixed": studies / "ob_ES.nii.gz", "output_dir": folder,
             "moving_label": studies / "labels" / "final" / "ob_ED.nii.gz", "device": "cpu"}  # fmt: skip
    command = [sys.executable, "-m", "monai.bundle", "run", "inference", "--config_file",
               str(ROOT / "bundles" / "vxm_hetero" / "configs" / "inference.yaml")]  # fmt: skip
    command += [word for key, value in files.items() for word in (f"--{key}", str(value))]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return {path.name[len("ob_ED_") : -len(".nii.gz")]: nib.load(path) for path in folder.glob("*.nii.gz")}


def assert_same(answer: nib.Nifti1Image, expected: nib.Nifti1Image, where: np.ndarray | None = None) -> None:
    """``where`` is (*spatial), the voxels to be compared; None is all."""
    assert answer.shape == expected.shape
    assert np.allclose(answer.affine, expected.affine, atol=1e-4)
    kept = slice(None) if where is None else where
    assert np.allclose(answer.get_fdata()[kept], expected.get_fdata()[kept], atol=1e-5, equal_nan=True)


def settled(folder: Path) -> np.ndarray:
    """Where the inverse was found, (*spatial) bool; elsewhere the last bits decide where its steps ended."""
    grid = nib.load(folder / "ob_ED_inverse_field.nii.gz")
    left = invert_field(read_field(folder / "ob_ED_field.nii.gz"), grid.shape[:3], grid.affine)[1]
    found = left <= CONVERGED * min(spacing_of(grid.affine))
    assert found.mean() > 0.998
    return found


def test_it_says_what_it_serves(ours: Server, stock: Server) -> None:
    own, theirs = ours.json("/info/"), stock.json("/info/")
    in_place = {"vxm_hetero", "vxm_predictive", "vxm_mse", "vxm_weak"}
    assert set(own["models"]) == {*in_place, f"{HEADS}vxm_adacs", f"{HEADS}vxm_diff"}
    assert set(own["trainers"]) == set(own["models"]) - {"vxm_predictive", "vxm_weak"}
    modalities = own["models"]["vxm_mse"]["modality"]
    assert (modalities["model.pt"], modalities["model_camus.pt"]) == ("MR", "US")
    assert set(theirs["models"]) == {*PRETRAINED, f"{HEADS}vxm_adacs", f"{HEADS}vxm_diff"}


@pytest.mark.parametrize("result", ["warped", "uncertainty", "warped_label"])
def test_an_oblique_stack_is_as_inference_on_files_writes_it(
    server: Server, by_files: dict[str, nib.Nifti1Image], tmp_path: Path, result: str
) -> None:
    asked = {"fixed": "ob_ES", "result": result, "moving_label": "ob_ED"}
    answer = server.image(tmp_path, "vxm_hetero", "ob_ED", **asked)
    assert_same(answer, by_files[{"uncertainty": "log_variance"}.get(result, result)])


@pytest.mark.parametrize("name", PRETRAINED)
def test_every_pretrained_bundle_registers(stock: Server, tmp_path: Path, name: str) -> None:
    volumes = name in ("vxm_weak", "vxm_predictive")
    moving, fixed = ("vol_a", "vol_b") if volumes else ("phantom1_ED", "phantom1_ES")
    asked = {"fixed": fixed} | ({"moving_label": "vol_a"} if volumes else {})
    asked |= {"result": "uncertainty"} if name == "vxm_predictive" else {}
    numbers = stock.json(f"/infer/{name}?image={moving}&output=json", asked)
    before, after = (numbers["similarity"][when]["mean_squared_error"] for when in ("before", "after"))
    assert after < 0.8 * before  # with other weights than its own, it would not be
    assert 0 <= numbers["folding_percent"] < 2 and numbers["displacement_mm"]["mean"] > 0.1


@pytest.mark.parametrize("name", ["vxm_adacs", "vxm_diff"])
def test_a_package_answers_as_its_bundle_does(ours: Server, stock: Server, tmp_path: Path, name: str) -> None:
    asked = {"fixed": "ob_ES", "result": "uncertainty"}
    expected = stock.image(tmp_path, name, "ob_ED", **asked)
    for server in (ours, stock):
        assert_same(server.image(tmp_path, HEADS + name, "ob_ED", **asked), expected)


@pytest.mark.parametrize(
    ("name", "weights"), [("vxm_mse", "acdc_iterated"), ("vxm_mse", "camus"), ("vxm_weak", "acdc")]
)
def test_chosen_weights_get_the_network_that_they_need(
    ours: Server, studies: Path, tmp_path: Path, name: str, weights: str
) -> None:
    """Of three passes, of resized ultrasound, and of two dimensions where the bundle's default has three."""
    asked = {"fixed": "phantom1_ES", "model_filename": f"model_{weights}.pt"}
    moving, fixed = (studies / f"phantom1_{kind}.nii.gz" for kind in ("ED", "ES"))
    expected = register(moving, fixed, name, weights=weights, device="cpu")
    answer = ours.image(tmp_path, name, "phantom1_ED", **asked)
    assert np.allclose(answer.get_fdata(), expected.warped.reshape(answer.shape), atol=1e-5)
    numbers = ours.json(f"/infer/{name}?image=phantom1_ED&output=json", asked)
    assert numbers["modality"] == ("US" if weights == "camus" else "MR")


def test_a_request_is_refined_and_the_next_is_not(ours: Server, stock: Server) -> None:
    asked, path = {"fixed": "phantom1_ES"}, "/infer/vxm_hetero?image=phantom1_ED&output=json"
    assert ours.json("/info/")["models"]["vxm_hetero"]["config"]["refine"] == 0
    first, refined, last = (ours.json(path, asked | more) for more in ({}, {"refine": 30}, {}))
    for each in (first, last):
        del each["latencies"]
    assert first == last and first["refinement"] is None and 1 <= refined["refinement"]["steps"] <= 30
    plain, better = (each["similarity"]["after"]["mean_squared_error"] for each in (first, refined))
    assert better < plain
    for server, steps, line in ((ours, 1001, "from 0 to 1000"), (stock, 30, "cannot refine")):
        status, content = server.ask(path, asked | {"refine": steps})
        assert status == 400 and f"refine is {steps}" in (told := json.loads(content)["detail"]) and line in told


def test_frames_of_a_cine(server: Server, studies: Path, tmp_path: Path) -> None:
    answer = server.image(tmp_path, "vxm_hetero", "phantom0_cine", moving_frame=0, fixed_frame=4)
    cine = nib.load(studies / "phantom0_cine.nii.gz").get_fdata()
    assert answer.shape == cine.shape[:3]
    before, after = (np.abs(image - cine[..., 4]).mean() for image in (cine[..., 0], answer.get_fdata()))
    assert after < 0.7 * before


def test_an_image_of_another_grid_is_brought_onto_the_fixed_one(server: Server, studies: Path, tmp_path: Path) -> None:
    small = nib.load(studies / "small.nii.gz")
    for moving in ("phantom0_ED", "small_ED"):
        numbers = server.json(f"/infer/vxm_hetero?image={moving}&output=json", {"fixed": "small"})
        before, after = (numbers["similarity"][when]["mean_squared_error"] for when in ("before", "after"))
        assert after < before
    answer = server.image(tmp_path, "vxm_hetero", "phantom0_ED", fixed="small")
    assert answer.shape == small.shape and np.allclose(answer.affine, small.affine, atol=1e-4)


BAD = [
    ("phantom0_ED", {"fixed": "nobody"}, "nobody"),
    ("phantom0_ED", {"fixed": "../studies/phantom0_ES"}, "id of an image"),
    ("phantom0_ED", {}, "fixed"),
    ("phantom0_ED", {"fixed": "far"}, "do not overlap in space"),
    ("phantom0_cine", {"fixed_frame": 9}, "0 to 8"),
    ("phantom0_ED", {"fixed": "phantom0_ES", "result": "elephant"}, "warped, uncertainty, jacobian"),
]


@pytest.mark.parametrize(("image", "asked", "line"), BAD)
def test_a_bad_request_is_told_why_and_the_server_lives_on(
    server: Server, studies: Path, image: str, asked: dict[str, Any], line: str
) -> None:
    status, content = server.ask(f"/infer/vxm_hetero?image={image}&output=json", asked)
    assert status == 400 and line in json.loads(content)["detail"] and str(studies) not in content.decode()
    assert server.ask("/info/")[0] == 200


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is missing")
def test_the_lines_of_the_page_work(ours: Server, tmp_path: Path) -> None:
    lines = [line for line in curls((ROOT / "docs" / "monai-label.md").read_text("utf-8")) if "/infer/" in line]
    for line in lines:
        words = shlex.split(line.replace("http://127.0.0.1:8000", ours.url))
        subprocess.run([*words, "--fail", "--noproxy", "*"], cwd=tmp_path, check=True, capture_output=True)
    assert nib.load(tmp_path / "warped.nii.gz").shape == (128, 128, 1)
    assert "phantom0_ED_field.nii.gz" in zipfile.ZipFile(tmp_path / "all.zip").namelist() and len(lines) == 3


def test_an_unknown_image_or_model_is_not_found(ours: Server, stock: Server) -> None:
    for path in ("/infer/vxm_hetero?image=nobody", "/infer/nobody?image=phantom0_ED"):
        assert ours.ask(path, {})[0] == 404
    assert stock.ask("/infer/vxm_hetero?image=nobody", {})[0] == 400


def test_no_other_file_of_the_machine_is_read(ours: Server, studies: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.nii.gz"
    outside.write_bytes((studies / "phantom0_cine.nii.gz").read_bytes())
    assert ours.ask(f"/infer/vxm_hetero?image={outside}", {"fixed_frame": 4})[0] == 404


def test_a_model_without_a_map_says_so(stock: Server) -> None:
    status, content = stock.ask("/infer/vxm_mse?image=phantom0_ED", {"fixed": "phantom0_ES", "result": "uncertainty"})
    assert status == 400 and b"no uncertainty map" in content


def test_every_file_comes_in_one_archive(ours: Server, by_files: dict[str, nib.Nifti1Image], tmp_path: Path) -> None:
    asked = {"fixed": "ob_ES", "moving_label": "ob_ED", "result": "all"}
    status, content = ours.ask("/infer/vxm_hetero?image=ob_ED&output=image", asked)
    assert status == 200
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(tmp_path)
    numbers = json.loads((tmp_path / "ob_ED.json").read_text())
    assert numbers["folding_percent"] < 2 and numbers["bundle"]["name"] == "vxm_hetero"
    for name in set(by_files) - {"displacement"}:
        where = settled(tmp_path) if name == "inverse_field" else None
        assert_same(nib.load(tmp_path / f"ob_ED_{name}.nii.gz"), by_files[name], where)


def test_the_field_comes_alone_in_the_format_that_is_asked_for(ours: Server, tmp_path: Path) -> None:
    field = ours.image(tmp_path, "vxm_hetero", "ob_ED", fixed="ob_ES", result="field")
    assert field.shape == (128, 128, 3, 1, 3) and field.header.get_intent()[0] == "vector"
    status, content = ours.ask("/infer/vxm_hetero?image=ob_ED", {"fixed": "ob_ES", "result": "field", "format": "mp3"})
    assert status == 400 and b"nifti" in content


def test_no_other_page_of_a_browser_may_read_the_answers(server: Server) -> None:
    import urllib.request

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    asked = urllib.request.Request(f"{server.url}/info/", headers={"Origin": "http://elsewhere.example"})
    with opener.open(asked, timeout=60) as answer:
        assert "access-control-allow-origin" not in {name.lower() for name in answer.headers}


def test_it_trains_on_the_cines_without_labels(ours: Server, tmp_path: Path) -> None:
    before = ours.image(tmp_path, "vxm_hetero", "phantom2_cine", fixed_frame=4)
    ours.json("/train/vxm_hetero", {"max_epochs": 1, "learning_rate": 0.001}, form=False)
    end = time.monotonic() + 240
    while (task := ours.json("/train/"))["status"] not in ("DONE", "ERROR") and time.monotonic() < end:
        time.sleep(0.5)
    assert task["status"] == "DONE", task["details"]
    info = ours.json("/info/")
    shipped, *_, tuned = info["models"]["vxm_hetero"]["config"]["model_filename"]
    assert shipped == "model.pt" and float(info["train_stats"]["vxm_hetero"]["epoch"]) == 1
    after = ours.image(tmp_path, "vxm_hetero", "phantom2_cine", fixed_frame=4, model_filename=tuned)
    changed = np.abs(after.get_fdata() - before.get_fdata()).mean()
    assert 0 < changed < 0.1  # of intensities in [0, 1]: other weights, but not random ones
    again = ours.image(tmp_path, "vxm_hetero", "phantom2_cine", fixed_frame=4)
    assert np.array_equal(again.get_fdata(), before.get_fdata())


def test_weights_that_do_not_fit_are_told_of_in_one_line(studies: Path, tmp_path: Path) -> None:
    wrong, other = tmp_path / "wrong", ROOT / "bundles" / "vxm_adacs" / "models" / "model.pt"
    shutil.copytree(ROOT / "bundles" / "vxm_mse" / "configs", wrong / "configs")
    (wrong / "models").mkdir()
    (wrong / "models" / "model.pt").write_bytes(other.read_bytes())
    metadata = json.loads((wrong / "configs" / "metadata.json").read_text())
    del metadata["weights"]  # by whose hash they would be told already
    (wrong / "configs" / "metadata.json").write_text(json.dumps(metadata))
    command = [sys.executable, "-m", "tools.label", "--studies", str(studies), "--bundles", str(wrong),
               "--port", "0", "--output", str(tmp_path / "out")]  # fmt: skip
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert ended.returncode == 1 and "weights of another network" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ({"pairs": [["phantom0_ED", "nobody"]]}, "nobody"),
        ({"pairs": "all"}, "moving id"),
        ({"pairs": [["phantom0_ED", "phantom0_ES"]]}, "two subjects"),
        ({"fixed_frame": 50}, "0 to 8"),
        ({"max_epochs": -1}, "max_epochs"),
    ],
)
def test_a_training_that_cannot_be_is_told_why(ours: Server, asked: dict[str, Any], line: str) -> None:
    status, content = ours.ask("/train/vxm_hetero?run_sync=true", asked, form=False)
    assert status == 400 and line in json.loads(content)["detail"]

"""From a request to what comes back: as MONAI Label calls a bundle's transforms, without MONAI Label."""

from __future__ import annotations

import json
import math
import sys
import types
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from inference import Constant, infer
from monai.bundle import ConfigParser
from toy_registration import named_bundle

from common.engines.inferer import BatchInferer
from common.errors import InputError
from common.registration.card import card_of
from common.registration.look import looks
from common.registration.region import Framing
from common.serving import ImageOfPrediction, PairOfRequest
from common.serving.response import MAPS, map_of, results_of
from tools.render import BUNDLES, bundle_names


def serve(network: torch.nn.Module, framing: Framing | None = None, **data: Any) -> dict[str, Any]:
    """What the server does with a request, from the images to the writer."""
    data = PairOfRequest(network, framing)(data)
    with torch.no_grad():
        data["pred"] = BatchInferer()(data["image"][None], network)[0]
    return ImageOfPrediction()(data)


@pytest.fixture
def request_ab(studies: Path) -> dict[str, Any]:
    return {"image": str(studies / "a.nii.gz"), "fixed": "b"}


def native(studies: Path, name: str) -> np.ndarray:
    return np.asarray(nib.load(studies / f"{name}.nii.gz").dataobj)


def test_a_known_shift_comes_back_in_millimetres_on_the_native_grid(studies: Path, request_ab: dict[str, Any]) -> None:
    data = serve(Constant((1.0, 0.0)), Framing("all"), **request_ab)
    moving = native(studies, "a")
    assert data["pred"].shape == (1, *moving.shape) and data["pred"].dtype == np.float32
    assert np.allclose(data["pred"][0, :-1], moving[1:], atol=1e-4)
    # one voxel along the first axis of the grid
    length = math.hypot(1.2, 0.6, 0.05)
    numbers = data["result"]
    assert numbers["displacement_mm"]["mean"] == pytest.approx(length, rel=1e-5)
    assert numbers["folding_percent"] == 0 and numbers["maps"]["log_variance"]["mean"] == pytest.approx(-5)


def test_there_is_nothing_left_for_the_server_to_resize(studies: Path, request_ab: dict[str, Any]) -> None:
    data = serve(Constant((0.0, 0.0)), Framing(16, network_size=(24, 24)), **request_ab)
    grid = data["image_meta_dict"]
    assert data["pred"].shape[1:] == grid["spatial_shape"] == (40, 36, 3)
    assert np.array_equal(grid["original_affine"], data["task"].case.fixed.affine)
    assert np.allclose(grid["original_affine"], nib.load(request_ab["image"]).affine, atol=1e-5)


@pytest.mark.parametrize("shift", [(0.7, -1.3), (0.7, -1.3, 0.4)])
def test_the_outputs_are_those_of_inference_on_files(studies: Path, tmp_path: Path, shift: tuple[float, ...]) -> None:
    files = {"moving": studies / "a.nii.gz", "fixed": studies / "b.nii.gz", "moving_label": studies / "a_seg.nii.gz"}
    framing, network = Framing([20, 24, 2][: len(shift)], center=[18, 17, 1][: len(shift)]), Constant(shift)
    written = infer(network, tmp_path, **files, framing=framing, name="x")
    data = serve(network, framing, image=str(files["moving"]), fixed="b", moving_label="a_seg")
    found = data["registration"]
    assert {f"x_{name}" for name in found.images} == set(written) - {"x_field", "x_inverse_field", "x_displacement"}
    for name, shown in looks(found).items():
        assert np.array_equal(shown.array, written[f"x_{name}"], equal_nan=shown.array.dtype.kind == "f"), name
    assert np.allclose(found.field.vectors, written["x_field"][:, :, :, 0], atol=1e-5)
    report = json.loads((tmp_path / "x.json").read_text())
    assert {"shown": "warped"} | {key: report[key] for key in data["result"] if key != "shown"} == data["result"]


@pytest.mark.parametrize("result", ["uncertainty", "log_variance", ["uncertainty", "warped"]])
def test_the_map_is_known_where_the_network_looked(request_ab: dict[str, Any], result: Any) -> None:
    shown = serve(Constant((0.0, 0.0)), Framing(16), **request_ab, result=result)
    image = shown["pred"][0]
    assert shown["result"]["shown"] == "log_variance"
    assert (image == -5).sum() == 16 * 16 * 3 and np.isnan(image[image != -5]).all()


def test_the_uncertainty_is_of_the_displacement_where_there_are_two_maps() -> None:
    channels = ("ddf_0", "ddf_1", "log_variance", "displacement_log_variance", "warped")
    assert map_of("uncertainty", channels) == "displacement_log_variance"
    assert map_of("log_variance", channels) == "log_variance"


def test_the_jacobian_of_a_uniform_scaling(request_ab: dict[str, Any]) -> None:
    class Scaling(Constant):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            pred = super().forward(image)
            i = torch.arange(image.shape[2], dtype=torch.float32)[:, None]
            pred[:, 0] = -1.5 * i  # turns the first axis over
            return pred

    data = serve(Scaling((0.0, 0.0)), Framing("all"), **request_ab, result="jacobian")
    assert np.allclose(data["pred"], -0.5, atol=1e-4) and data["result"]["folding_percent"] == 100


def test_a_label_goes_along(studies: Path, request_ab: dict[str, Any]) -> None:
    data = serve(Constant((0.0, 1.0)), Framing("all"), **request_ab, moving_label="a", result="warped_label")
    label = native(studies / "labels" / "final", "a")
    assert data["pred"].dtype == np.uint8 and np.array_equal(data["pred"][0][:, :-1], label[:, 1:])


def test_two_frames_that_are_equal_stay_as_they_are(studies: Path, tmp_path: Path) -> None:
    frame = native(studies, "a")
    nib.save(nib.Nifti1Image(np.stack([frame, frame], -1), np.eye(4)), tmp_path / "still.nii.gz")
    data = serve(Constant((0.0, 0.0)), image=str(tmp_path / "still.nii.gz"), fixed_frame=1)
    assert np.allclose(data["pred"][0], frame, atol=1e-3)
    assert data["result"]["similarity"]["after"]["mean_squared_error"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ({"result": "elephant"}, "warped, uncertainty, jacobian"),
        ({"result": 3}, "result is 3"),
        ({"result": "segmentation"}, "'segmentation'"),
        ({"result": "warped_label"}, "needs a moving_label"),
        ({"center": "far"}, "center is 'far'"),
        ({"fixed": "nobody"}, "nobody"),
    ],
)
def test_a_bad_request_is_one_line_without_the_servers_paths(
    request_ab: dict[str, Any], asked: dict[str, Any], line: str
) -> None:
    with pytest.raises(InputError) as error:
        serve(Constant((0.0, 0.0)), **{**request_ab, **asked})
    assert line in str(error.value) and str(Path(request_ab["image"]).parent) not in str(error.value)


def test_a_web_server_answers_it_by_status_400(request_ab: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    class HTTPException(Exception):
        pass

    monkeypatch.setitem(sys.modules, "starlette.exceptions", types.SimpleNamespace(HTTPException=HTTPException))
    with pytest.raises(HTTPException) as error:
        serve(Constant((0.0, 0.0)), **{**request_ab, "fixed": "nobody"})
    assert error.value.args[0] == 400 and "nobody" in error.value.args[1]


def test_a_network_without_a_map_says_so(request_ab: dict[str, Any]) -> None:
    network = Constant((0.0, 0.0), map_name="something")
    assert results_of(network.channels, labelled=False) == ["warped", "jacobian"]
    with pytest.raises(InputError, match="no uncertainty map"):
        serve(network, **request_ab, result="uncertainty")


@pytest.mark.parametrize("name", bundle_names())
def test_every_bundle_is_told_how_to_serve(name: str, studies: Path) -> None:
    parser = ConfigParser()
    parser.read_config(str(BUNDLES / name / "configs" / "inference.yaml"))
    parser["device"] = "cpu"
    defaults = parser.get_parsed_content("displayable_configs")
    network = parser.get_parsed_content("network_def").eval()
    has_map = any(channel.startswith(MAPS) for channel in network.channels)
    assert defaults["result"] == ["warped", *["uncertainty"] * has_map, "jacobian"]
    pre, inferer, post = (parser.get_parsed_content(key) for key in ("preprocessing", "inferer", "postprocessing"))
    assert isinstance(inferer, BatchInferer)
    for result in defaults["result"]:
        data = {**defaults, "image": str(studies / "a.nii.gz"), "fixed": "b", "result": result}
        for transform in pre.transforms:
            data = transform(data)
        with torch.no_grad():
            data["pred"] = inferer(data["image"][None], network)[0]
        for transform in post.transforms:
            data = transform(data)
        assert data["pred"].shape == (1, 40, 36, 3) and np.isfinite(data["pred"]).all()


def test_the_card_is_that_of_the_weights_that_a_request_names(
    studies: Path, request_ab: dict[str, Any], tmp_path: Path
) -> None:
    folder = named_bundle(tmp_path / "toy")
    framing = Framing(trained=card_of(folder / "models" / "model.pt"))
    for named in ("model_us.pt", ["model_us.pt", "model.pt"]):
        found = PairOfRequest(Constant((0.0, 0.0)), framing, folder)({**request_ab, "model_filename": named})
        assert found["image"].shape[2:] == (24, 16)
    for other in ("model.pt", "tuned_1.pt", ["model.pt", "model_us.pt"], "", None, 3):
        found = PairOfRequest(Constant((0.0, 0.0)), framing, folder)({**request_ab, "model_filename": other})
        assert found["image"].shape[2:] == (32, 32)

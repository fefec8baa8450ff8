"""tools.export: files that need no repository, checked against the network before they are written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from common.errors import InputError
from common.interfaces import Deformation
from common.networks import RegistrationNetwork, VarianceEstimator, VoxelMorph
from common.networks.tracing import example_image
from common.registration.bundle import open_bundle
from tools.export import formats
from tools.export.__main__ import FORMATS, main
from tools.render import BUNDLES

READ_ALONE = """
import json, sys, torch
class Refuse:
    def find_spec(self, name, path=None, target=None):
        assert name.split(".")[0] not in ("common", "tools", "monai"), name
sys.meta_path.insert(0, Refuse())
about = {"channels.json": ""}
network = torch.jit.load(sys.argv[1], _extra_files=about)
image, expected = torch.load(sys.argv[2])
assert (network(image) - expected).abs().max() < 1e-5
print(json.loads(about["channels.json"]))
"""


def run(bundle: str | Path, form: str, output: Path, *extra: str) -> Path:
    main(["--bundle", str(bundle), "--to", form, "--output", str(output), *extra])
    return output


def test_every_format_that_can_be_chosen_can_be_made() -> None:
    assert tuple(formats.FORMATS) == FORMATS


def test_torchscript_is_read_without_the_repository_and_monai(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = run("vxm_hetero", "torchscript", tmp_path / "new" / "model.ts")
    assert "model.ts: torchscript" in capsys.readouterr().out
    network = open_bundle(BUNDLES / "vxm_hetero").network
    image = example_image(network, 3, (37, 50))
    with torch.no_grad():
        torch.save((image, network(image)), tmp_path / "case.pt")
    command = [sys.executable, "-I", "-c", READ_ALONE, str(file), str(tmp_path / "case.pt")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['ddf_0', 'ddf_1', 'log_variance', 'warped']"


@pytest.mark.parametrize(
    "name",
    [
        "vxm_hetero",
        *[pytest.param(n, marks=pytest.mark.slow) for n in ("vxm_diff", "vxm_predictive", "tsm_adacs", "dfm_hetero")],
    ],
)
def test_onnx_gives_what_the_network_gives_at_other_sizes(name: str, tmp_path: Path) -> None:
    onnx, _ = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    file = run(name, "onnx", tmp_path / "model.onnx")
    network, session = open_bundle(BUNDLES / name).network, formats.onnx_run(file.read_bytes())
    for batch, size in ((2, (50, 33, 20)), (1, (16, 70, 19)), (4, (7, 9, 12))):
        image = example_image(network, batch, size[: network.spatial_dims])
        with torch.no_grad():
            torch.testing.assert_close(session(image), network(image), rtol=1e-4, atol=1e-4)
    model = onnx.load(file)
    about = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert about["bundle"] == name and tuple(about["channels"]) == network.channels
    sizes = [axis.dim_param for axis in model.graph.input[0].type.tensor_type.shape.dim]
    assert sizes == ["batch", "", *"ijk"[: network.spatial_dims]]


@pytest.mark.parametrize("form", ["torchscript", "onnx"])
def test_volumes_and_other_weights_by_override(form: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    network = RegistrationNetwork(VoxelMorph(3), VarianceEstimator(3), "log_variance").eval()
    nn.init.normal_(network.estimator.flow.weight, std=0.1)
    torch.save(network.state_dict(), tmp_path / "volumes.pt")
    options = ["--override", "spatial_dims=3", "--checkpoint", str(tmp_path / "volumes.pt")]
    file = run("vxm_hetero", form, tmp_path / "model", *options)
    image = example_image(network, 1, (17, 12, 20))
    found = formats.FORMATS[form][1](file.read_bytes())(image)
    with torch.no_grad():
        torch.testing.assert_close(found, network(image), rtol=1e-4, atol=1e-4)


class Settled(nn.Module):
    """An estimator with a number of the image in it that a trace settles."""

    spatial_dims = 2

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, moving: Tensor, fixed: Tensor) -> Deformation:
        return Deformation(self.scale * int(moving.shape[2]) * torch.cat([moving, fixed], dim=1))


def test_what_differs_at_another_size_is_refused() -> None:
    with pytest.warns(torch.jit.TracerWarning), pytest.raises(InputError, match="own: as torchscript .* differs by"):
        formats.exported(RegistrationNetwork(Settled()).eval(), "torchscript", {"bundle": "own"})


class Unknown(Settled):
    """An estimator that the exporter to ONNX cannot translate."""

    def forward(self, moving: Tensor, fixed: Tensor) -> Deformation:
        return Deformation(self.scale * torch.linalg.svd(torch.cat([moving, fixed], dim=1).transpose(2, 3))[0][..., :1])


def test_what_cannot_be_exported_is_said_in_one_line() -> None:
    pytest.importorskip("onnx")
    with pytest.raises(InputError, match="own: cannot be exported as onnx: .*try another --to") as error:
        formats.exported(RegistrationNetwork(Unknown()).eval(), "onnx", {"bundle": "own"})
    assert "\n" not in str(error.value)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match="the package onnx is missing; pip install onnx onnxruntime"):
        run("vxm_mse", "onnx", tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("bundle", "extra", "message"),
    [
        ("vxm_hetreo", [], "vxm_hetreo: no bundle"),
        ("vxm_mse", ["--checkpoint", "nowhere.pt"], "nowhere.pt: no such file"),
        (
            "vxm_mse",
            ["--checkpoint", str(BUNDLES / "vxm_hetero" / "models" / "model.pt")],
            "weights of another network",
        ),
        ("vxm_mse", ["--override", "spatial_dim=3"], "did you mean --spatial_dims"),
        ("vxm_mse", ["--override", "spatial_dims"], "spatial_dims"),
    ],
)
def test_bad_input_is_refused_and_nothing_written(bundle: str, extra: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as error:
        run(bundle, "torchscript", tmp_path / "model.ts", *extra)
    assert "\n" not in str(error.value) and not list(tmp_path.iterdir())


def test_an_output_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        run("vxm_mse", "torchscript", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_without_an_inference_config_is_refused(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    with pytest.raises(InputError, match=r"no configs/inference\.yaml or \.json in it"):
        run(tmp_path, "torchscript", tmp_path / "model.ts")


@pytest.mark.parametrize(("config", "message"), [("a: [1", "cannot be read"), ("a: 1", "has no network_def")])
def test_a_config_that_is_none_of_a_bundle_is_refused(config: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "inference.yaml").write_text(config)
    with pytest.raises(InputError, match=message):
        run(tmp_path, "torchscript", tmp_path / "model.ts")

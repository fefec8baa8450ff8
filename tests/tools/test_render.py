"""Bundles are what their recipes say, and what MONAI wants of a bundle."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow
from monai.utils import BundleProperty, BundlePropertyConfig

from common.collection.weights import weights_of
from common.errors import InputError
from common.files import file_hash
from common.io import load_weights
from tools import render
from tools.recipes import shipped

BUNDLES = render.bundle_names()
PROPERTIES = {"train": "train", "evaluate": "infer", "inference": "infer"}


def test_the_bundles_in_the_repository_are_as_rendered(capsys: pytest.CaptureFixture[str]) -> None:
    assert render.main(["--check"]) == 0, capsys.readouterr().out


def test_a_drift_is_named_and_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = ["--output", str(tmp_path)]
    assert render.main(output) == 0
    file = tmp_path / BUNDLES[0] / "configs" / "train.yaml"
    file.write_text(file.read_text() + "# a change by hand\n")
    capsys.readouterr()
    assert render.main([*output, "--check"]) == 1
    assert capsys.readouterr().out.startswith(str(file))
    assert render.main(output) == 0
    assert render.main([*output, "--check"]) == 0


@pytest.mark.parametrize("name", BUNDLES)
@pytest.mark.parametrize("config", PROPERTIES)
def test_a_config_is_short_and_has_only_known_references(name: str, config: str) -> None:
    file = render.BUNDLES / name / "configs" / f"{config}.yaml"
    text = file.read_text()
    assert len(text.splitlines()) <= 180 and max(map(len, text.splitlines())) <= 120
    parser = ConfigParser(ConfigParser.load_config_file(str(file)))
    parser.parse()  # raises for a reference to nothing
    assert "run" in parser


@pytest.mark.parametrize("name", BUNDLES)
def test_metadata_has_what_a_bundle_must_declare(name: str) -> None:
    metadata = json.loads((render.BUNDLES / name / "configs" / "metadata.json").read_text())
    required = {"version", "monai_version", "pytorch_version", "numpy_version", "required_packages_version"}
    assert required | {"task", "description", "authors", "copyright", "network_data_format"} <= set(metadata)
    channels = metadata["network_data_format"]["outputs"]["pred"]
    assert len(channels["channel_def"]) == channels["num_channels"]


@pytest.mark.parametrize("name", BUNDLES)
def test_one_tensor_in_one_tensor_out_as_the_metadata_says(name: str) -> None:
    configs = render.BUNDLES / name / "configs"
    metadata = json.loads((configs / "metadata.json").read_text())
    parser = ConfigParser(ConfigParser.load_config_file(str(configs / "inference.yaml")))
    network = parser.get_parsed_content("network_def")
    size = (16, 32, 16)[: network.spatial_dims]
    given = metadata["network_data_format"]["inputs"]["image"]
    assert len(given["spatial_shape"]) == network.spatial_dims and given["num_channels"] == len(given["channel_def"])
    pred = network(torch.rand(1, given["num_channels"], *size))
    wanted = metadata["network_data_format"]["outputs"]["pred"]["num_channels"]
    assert pred.shape == (1, wanted, *size) and len(network.channels) == wanted


@pytest.mark.parametrize("name", BUNDLES)
@pytest.mark.parametrize("config", PROPERTIES)
def test_what_monai_requires_stands_in_the_config(name: str, config: str) -> None:
    file = render.BUNDLES / name / "configs" / f"{config}.yaml"
    workflow = ConfigWorkflow(str(file), workflow_type=PROPERTIES[config], logging_file=False)
    for wanted in workflow.properties.values():
        if wanted[BundleProperty.REQUIRED]:
            identity = wanted[BundlePropertyConfig.ID]
            assert identity in workflow.parser or identity.startswith("_meta_"), identity


@pytest.mark.parametrize("name", BUNDLES)
def test_shipped_weights_are_those_of_the_metadata_and_load_strictly(name: str) -> None:
    configs = render.BUNDLES / name / "configs"
    declared = weights_of(configs.parent)
    assert {each.file for each in declared.values()} == set((configs.parent / "models").glob("*"))
    if not declared:
        assert "There are no weights yet" in (configs.parent / "docs" / "README.md").read_text()
    parser = ConfigParser(ConfigParser.load_config_file(str(configs / "inference.yaml")))
    for weights in declared.values():
        assert file_hash(weights.file) == weights.about["sha256"]
        parser.update({"checkpoint": str(weights.file)})
        parser.parse(reset=True)
        load_weights(parser.get_parsed_content("network_def"), weights.file)


def test_every_set_of_weights_is_told_with_its_data_licence_and_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes = shutil.copytree(shipped.RECIPES, tmp_path / "recipes")
    row = json.loads((recipes / "results" / "vxm_mse.json").read_text())
    row |= {"dataset": "CAMUS", "pairs": 200, "settings": {"augmentation": "pair"}}
    del row["grid"]
    row["weights"] |= {"sha256": "f" * 64, "steps": 3420}
    (recipes / "results" / "camus").mkdir(exist_ok=True)
    (recipes / "results" / "camus" / "vxm_mse.json").write_text(json.dumps(row))
    monkeypatch.setattr(shipped, "RECIPES", recipes)
    files = render.render(*render.combinations()["vxm_mse"])
    page, licences = files["docs/README.md"], files["docs/data_license.txt"]
    for text in (page, licences):
        assert "models/model.pt" in text and "models/model_camus.pt" in text and "Leclerc" in text and "Bernard" in text
    assert "| `acdc`, the default | ACDC, 80 training patients |" in page
    assert "| `camus` | CAMUS, 300 training patients |" in page
    assert "Trained with: `smooth_weight` 0.02" in " ".join(page.split()) and "--smooth_weight 0.02" in page
    assert "--augmentation pair" in page and max(map(len, page.splitlines())) <= 170  # the table's lines
    about = json.loads(files["configs/metadata.json"])["weights"]
    assert list(about) == ["acdc", "acdc_3d", "acdc_iterated", "camus"] and about["acdc"]["file"] == "models/model.pt"
    card = {
        "spacing_mm": None,
        "size": [128, 128],
        "resized": True,
        "modality": "US",
        "sha256": "f" * 64,
        "steps": 3420,
    }
    assert card.items() <= about["camus"].items() and "ShareAlike" in about["camus"]["licence"]
    assert about["camus"]["data"] == "CAMUS, 300 training patients; validated on 200 pairs of 100 patients"


def test_a_document_is_wrapped_and_says_what_the_network_gives() -> None:
    text = (render.BUNDLES / "vxm_hetero_disp" / "docs" / "README.md").read_text()
    assert "`NAME_displacement_log_variance.nii.gz`" in text and "`--image_variance false`" in text


@pytest.mark.parametrize("name", BUNDLES)
def test_a_document_has_no_overlong_line(name: str) -> None:
    lines = (render.BUNDLES / name / "docs" / "README.md").read_text().splitlines()
    assert max(len(line) for line in lines if not line.startswith("|")) <= 130  # one command is a little longer


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"limits": None}, "tools/recipes/methods/mse.yaml: no limits; docs/extending.md"),
        ({"limit": "none"}, "tools/recipes/methods/mse.yaml: limit: no such key; known are name, title, .*, limits"),
        ({"name": "my method"}, "tools/recipes/methods/my method.yaml: name 'my method': give one like"),
        (
            {"objective": "MSE", "companion": {"network": "Variance", "map": "score", "what": ""}},
            "Variance: common.networks",
        ),
    ],
)
def test_a_recipe_that_cannot_be_rendered_is_one_line(change: dict, message: str) -> None:
    architecture, mse = render.combinations()["vxm_mse"]
    method = {key: value for key, value in (mse | change).items() if value is not None}
    with pytest.raises(InputError, match=message) as raised:
        render.render(architecture, method)
    assert "\n" not in str(raised.value)


def test_a_class_is_found_by_its_name_or_its_module_and_else_named() -> None:
    assert render.class_of("networks", "unet.UNet").__name__ == "UNet"
    assert render.class_of("losses", "MSEObjective") is render.class_of("losses", "mse.MSEObjective")
    for name in ("Unet", "unet.Unet", "u_net.UNet"):
        with pytest.raises(InputError, match=f"^{name}: common.networks exports no such class; write MODULE.CLASS"):
            render.class_of("networks", name)


def test_only_a_network_with_a_path_offers_its_steps() -> None:
    for name, (architecture, _) in render.combinations().items():
        text = (render.BUNDLES / name / "configs" / "inference.yaml").read_text()
        assert text.count("path_steps") == 3 * architecture["path"], name

"""Opening a bundle: what it says, and what is wrong with it in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from toy_registration import toy_bundle

from common.errors import InputError
from common.registration.bundle import open_bundle


def test_a_bundle_says_how_images_are_brought_to_it(tmp_path: Path) -> None:
    bundle = open_bundle(toy_bundle(tmp_path / "toy", spacing=1.5, axes="RAS", percentiles=[1, 99]))
    assert (bundle.name, bundle.version, bundle.spatial_dims) == ("toy", "1.2.3", 3)
    assert (bundle.spacing, bundle.axes) == ((1.5, 1.5, 1.5), "RAS")
    assert (bundle.framing.crop_size, list(bundle.framing.percentiles)) == ("all", [1, 99])
    assert not bundle.network.training and bundle.folder == tmp_path / "toy"


def test_the_json_twin_serves_too_and_settings_can_be_overridden(tmp_path: Path) -> None:
    folder = toy_bundle(tmp_path / "toy")
    config = folder / "configs" / "inference.yaml"
    config.with_suffix(".json").write_text(json.dumps(yaml.safe_load(config.read_text())))
    config.unlink()
    shutil.copy(folder / "models" / "model.pt", tmp_path / "other.pt")
    bundle = open_bundle(folder, center="detect", checkpoint=str(tmp_path / "other.pt"), **{"registration#spacing": 2})
    assert (bundle.framing.center, bundle.spacing, bundle.weights.name) == ("detect", (2.0,) * 3, "other.pt")
    assert open_bundle(folder).weights == folder / "models" / "model.pt"


def test_an_older_bundle_without_the_block_takes_images_as_they_are(tmp_path: Path) -> None:
    folder = toy_bundle(tmp_path / "toy")
    file = folder / "configs" / "inference.yaml"
    config = yaml.safe_load(file.read_text())
    del config["registration"]
    file.write_text(yaml.safe_dump(config))
    (folder / "configs" / "metadata.json").unlink()
    bundle = open_bundle(folder)
    assert (bundle.spacing, bundle.axes, bundle.version) == (None, "stored", "unknown")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"registration": {"spacing": [1, 2], "axes": "RAS"}}, r"spacing is \[1, 2\]; give 3 lengths"),
        ({"registration": {"spacing": -1, "axes": "RAS"}}, "spacing is -1"),
        ({"registration": {"spacing": None, "axes": "LPS"}}, "axes is 'LPS'; give stored or RAS"),
        ({"network_def": {"_target_": "toy_registration.Missing"}}, "inference.yaml: .*Missing"),
        ({"network_def": {"_target_": "toy_registration.CentreOfMass", "dims": 3}}, "inference.yaml: .*dims"),
        ({"percentiles": [99, 1]}, r"percentiles is \[99, 1\]; give two numbers"),
        ({"network_size": 32}, "network_size is 32; give a list"),
        ({"checkpoint": "$@nowhere"}, "inference.yaml: .*nowhere"),
        ({"checkpoint": "missing.pt"}, "missing.pt: no such file; train first"),
    ],
    ids=str,
)
def test_a_config_that_makes_no_sense_is_named(tmp_path: Path, setting: dict[str, object], message: str) -> None:
    folder = toy_bundle(tmp_path / "toy")
    file = folder / "configs" / "inference.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | setting))
    with pytest.raises(InputError, match=message) as caught:
        open_bundle(folder)
    assert "\n" not in str(caught.value)


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: no such folder; give the folder of a bundle"):
        open_bundle(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no configs/inference.yaml or .json in it"):
        open_bundle(tmp_path)
    folder = toy_bundle(tmp_path / "toy")
    with pytest.raises(InputError, match="--centre: no such setting in .*; did you mean --center"):
        open_bundle(folder, centre="detect")
    with pytest.raises(InputError, match="device is 'gpu0'; give cpu or cuda"):
        open_bundle(folder, "gpu0")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="device is 'cuda', but PyTorch sees no GPU"):
            open_bundle(folder, "cuda")
    torch.save({"other": torch.zeros(1)}, folder / "models" / "model.pt")
    with pytest.raises(InputError, match="model.pt: weights of another network: missing: value"):
        open_bundle(folder)
    for broken in ("network_def: [", "- 1", "other: 1"):
        (folder / "configs" / "inference.yaml").write_text(broken)
        with pytest.raises(InputError, match="inference.yaml: (cannot be read|has no network_def)"):
            open_bundle(folder)

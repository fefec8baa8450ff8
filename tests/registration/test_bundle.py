"""Opening a bundle: what it says, and what is wrong with it in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from toy_registration import CentreOfMass, toy_bundle

from common.collection.find import RECORD, Found, find_bundle
from common.errors import InputError
from common.files import write_json
from common.io.weights import save_weights
from common.registration.bundle import open_bundle
from common.registration.region import Framing


def test_a_bundle_says_how_images_are_brought_to_it(tmp_path: Path) -> None:
    bundle = open_bundle(toy_bundle(tmp_path / "toy", spacing=1.5, axes="RAS", percentiles=[1, 99]))
    assert (bundle.name, bundle.version, bundle.spatial_dims) == ("toy", "1.2.3", 3)
    framing = bundle.framing
    assert (framing.spacing_for(3), framing.axes, framing.center) == ((1.5, 1.5, 1.5), "RAS", "image")
    assert (framing.crop_size, list(framing.percentiles)) == ("all", [1, 99])
    assert not bundle.network.training and bundle.folder == tmp_path / "toy"


def test_the_json_twin_serves_too_and_settings_can_be_overridden(tmp_path: Path) -> None:
    folder = toy_bundle(tmp_path / "toy")
    config = folder / "configs" / "inference.yaml"
    config.with_suffix(".json").write_text(json.dumps(yaml.safe_load(config.read_text())))
    config.unlink()
    shutil.copy(folder / "models" / "model.pt", tmp_path / "other.pt")
    bundle = open_bundle(folder, center="detect", checkpoint=str(tmp_path / "other.pt"), spacing=2)
    assert (bundle.framing.center, bundle.framing.spacing, bundle.weights.name) == ("detect", 2, "other.pt")
    assert open_bundle(folder).weights == folder / "models" / "model.pt"


def without(folder: Path, *keys: str, **more: object) -> Path:
    """Take settings out of the config of a bundle, and put ``more`` in."""
    file = folder / "configs" / "inference.yaml"
    config = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({key: value for key, value in config.items() if key not in keys} | more))
    return folder


def test_a_bundle_that_says_nothing_of_space_takes_images_as_they_are(tmp_path: Path) -> None:
    folder = without(toy_bundle(tmp_path / "toy"), "spacing", "axes", "center", "crop_size", "network_size")
    (folder / "configs" / "metadata.json").unlink()
    bundle = open_bundle(folder)
    assert (bundle.framing, bundle.version) == (Framing(), "unknown")


def test_a_bundle_of_version_0_2_is_opened(tmp_path: Path) -> None:
    section = {"spacing": [1, 2, 3], "axes": "RAS"}
    folder = without(toy_bundle(tmp_path / "toy"), "spacing", "axes", registration=section)
    assert open_bundle(folder).framing == Framing("all", "image", spacing=[1, 2, 3], axes="RAS")


def test_a_run_is_refined_as_its_bundle_is(tmp_path: Path) -> None:
    """A run records the network of its training, which knows of no refinement: it was left out without a word."""
    folder, shipped = find_bundle("vxm_mse").folder, open_bundle("vxm_mse")
    estimator = {"_target_": "common.networks.VoxelMorph", "spatial_dims": 2}
    network = {"_target_": "common.networks.RegistrationNetwork", "estimator": estimator, "cascades": 1}
    write_json(tmp_path / "run" / RECORD, {"folder": str(folder), "network_def": network})
    shutil.copyfile(shipped.weights, tmp_path / "run" / "model.pt")
    images = torch.rand(1, 2, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        plain, refined = (open_bundle(tmp_path / "run", refine_steps=steps).network(images) for steps in (0, 5))
        assert not torch.equal(plain, refined)
        assert torch.equal(refined, open_bundle("vxm_mse", refine_steps=5).network(images))


def test_a_name_and_a_run_are_opened_as_a_folder_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = toy_bundle(tmp_path / "bundles" / "toy")
    assert open_bundle("toy").folder == open_bundle(Found(folder)).folder == folder
    run, network = tmp_path / "run", {"_target_": "toy_registration.CentreOfMass", "map_name": "score"}
    write_json(run / RECORD, {"folder": str(folder), "network_def": network})
    save_weights(CentreOfMass(value=0.25), run / "model.pt")
    bundle = open_bundle(run, center="detect")
    assert (bundle.name, bundle.weights, bundle.framing.center) == ("toy", run / "model.pt", "detect")
    assert bundle.network.channels[3] == "score" and bundle.network.value.item() == 0.25
    shipped = str(folder / "models" / "model.pt")
    assert open_bundle(run, checkpoint=shipped).network.value.item() == 0.5


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"axes": "LPS"}, "axes is 'LPS'; give stored or RAS"),
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
    with pytest.raises(InputError, match="nowhere: no bundle, run or package"):
        open_bundle(tmp_path / "nowhere")
    (tmp_path / "configs").mkdir()
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

"""Every bundle of the collection trains, evaluates and registers a pair, as its own configs say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml
from monai.bundle import ConfigParser

from common.bundle import default_precision
from common.engines import AlternatingTrainer, SingleTrainer
from tools.render import BUNDLES, bundle_names, combinations, recipes

KINDS = {"warped", "warped_label", "field", "inverse_field", "displacement", "jacobian", "seen"}


def made_of(name: str, config: str, key: str, **overrides: object) -> object:
    parser = ConfigParser(ConfigParser.load_config_files(str(BUNDLES / name / "configs" / config)))
    parser.update({"device": "cpu", "spatial_dims": 2, **overrides})
    return parser.get_parsed_content(key)


@pytest.mark.parametrize("name", bundle_names())
def test_a_bundle_trains_evaluates_and_registers(name: str, make_trainer, tiny_dataset: Path, tmp_path: Path) -> None:
    trainer: SingleTrainer = make_trainer(name, max_epochs=2, batch_size=4, precision=default_precision("cpu"))
    before = {key: value.clone() for key, value in trainer.network.state_dict().items()}
    trainer.run()
    after = trainer.network.state_dict()
    assert all(torch.isfinite(value).all() for value in after.values())
    assert any(not torch.equal(before[key], after[key]) for key in before)

    weights = tmp_path / "run" / "model.pt"
    shared = {"checkpoint": str(weights), "dataset_dir": str(tiny_dataset)}
    made_of(name, "evaluate.yaml", "evaluator", split="val", output_dir=str(tmp_path / "val"), **shared).run()
    summary = json.loads((tmp_path / "val" / "metrics.json").read_text())
    assert summary["bundle"] == name and summary["pairs"] == 4 and summary["protocols"]["standard"]["dsc"]["n"] == 4

    inference = made_of(name, "inference.yaml", "evaluator", split="test", output_dir=str(tmp_path / "out"), **shared)
    inference.run()
    channels = dict.fromkeys(re.sub(r"_\d+$", "", channel) for channel in inference.network.channels)
    maps = [channel for channel in channels if channel not in ("ddf", "warped")]
    maps += ["uncertainty_mm"] * ("displacement_log_variance" in maps)
    written = sorted(path for path in (tmp_path / "out").rglob("*.nii.gz") if path.parent.name == "pair16")
    assert [path.name for path in written] == sorted(f"pair16_{kind}.nii.gz" for kind in KINDS | set(maps))
    assert all(np.isfinite(nib.load(path).get_fdata()).all() for path in written)


def ablations() -> list[tuple[str, str]]:
    """Each override that a method's page lists: (method, "--key value")."""
    listed = {method["name"]: method.get("ablations", []) for method in recipes("methods")}
    pairs = [(name, each["override"]) for name, ablations in listed.items() for each in ablations]
    return [(name, override) for name, override in pairs if override.startswith("--")]


@pytest.mark.parametrize(("method", "override"), ablations())
def test_an_ablation_trains_by_its_one_override(method: str, override: str, make_trainer) -> None:
    key, _, value = override.removeprefix("--").partition(" ")
    setting = {key.replace("#", "::"): yaml.safe_load(value.strip('"'))}
    losses, bundle = {}, {of["name"]: bundle for bundle, (_, of) in combinations().items()}[method]
    for name, settings in (("plain", {}), ("ablation", setting)):
        trainer: SingleTrainer = make_trainer(bundle, max_epochs=1, batch_size=4, resume=False, **settings)
        if isinstance(trainer, AlternatingTrainer):
            trainer.warm_up = (0, 0)
        trainer.run()
        losses[name] = trainer.state.output[0]["terms"]
    assert any(losses["plain"].get(term) != value for term, value in losses["ablation"].items())

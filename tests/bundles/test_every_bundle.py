"""Every bundle of the collection trains, evaluates and registers a pair, as its own configs say."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from common.engines import SingleTrainer
from tools.render import BUNDLES, bundle_names

KINDS = {"warped", "warped_label", "displacement"}


def made_of(name: str, config: str, key: str, **overrides: object) -> object:
    parser = ConfigParser(ConfigParser.load_config_files(str(BUNDLES / name / "configs" / config)))
    parser.update({"device": "cpu", **overrides})
    return parser.get_parsed_content(key)


@pytest.mark.parametrize("name", bundle_names())
def test_a_bundle_trains_evaluates_and_registers(name: str, make_trainer, tiny_dataset: Path, tmp_path: Path) -> None:
    trainer: SingleTrainer = make_trainer(name, max_epochs=2, batch_size=4, precision="bfloat16")
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
    maps = [channel for channel in inference.network.channels if not channel.startswith(("ddf", "warped"))]
    written = sorted(path for path in (tmp_path / "out").rglob("*.nii.gz") if path.parent.name == "pair16")
    assert [path.name for path in written] == sorted(f"pair16_{kind}.nii.gz" for kind in KINDS | set(maps))
    assert all(np.isfinite(nib.load(path).get_fdata()).all() for path in written)

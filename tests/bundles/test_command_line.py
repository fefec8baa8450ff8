"""What a user sees: `python -m monai.bundle run` from another folder, in a process of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import torch

from common.registration.bundle import open_bundle

RunBundle = Callable[..., subprocess.CompletedProcess]
BUNDLES = Path(__file__).resolve().parent.parent.parent / "bundles"
FAULTY = """
from common.losses import MSEObjective

class Faulty(MSEObjective):
    calls = 0

    def displacement_loss(self, *arguments):
        terms = super().displacement_loss(*arguments)
        self.calls += 1
        return terms if self.calls < 4 else {name: value * float("nan") for name, value in terms.items()}
"""


def errors_in(ended: subprocess.CompletedProcess) -> list[str]:
    """The lines of stderr that a failure has caused."""
    return [line for line in ended.stderr.splitlines() if line.startswith("error: ")]


def listing(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*") if "runs" not in path.parts and "data" not in path.parts)


def test_training_from_another_folder_writes_to_its_output_folder_alone(
    run_bundle: RunBundle, tiny_dataset: Path, tmp_path: Path
) -> None:
    before = listing(BUNDLES)
    ended = run_bundle(
        "vxm_hetero", "training", tmp_path, dataset_dir=tiny_dataset, output_dir=tmp_path / "run", max_epochs=1
    )
    assert ended.returncode == 0, ended.stderr
    assert not errors_in(ended) and "Traceback" not in ended.stderr and "terminating" not in ended.stderr
    assert listing(BUNDLES) == before
    assert sorted(os.listdir(tmp_path)) == ["run"]
    written = "bundle.json checkpoint.pt log.csv model.pt tensorboard"
    assert sorted(os.listdir(tmp_path / "run")) == written.split()
    assert torch.load(tmp_path / "run" / "model.pt", weights_only=True)
    opened = open_bundle(tmp_path / "run")
    assert (opened.name, opened.folder, opened.weights) == (
        "vxm_hetero",
        BUNDLES / "vxm_hetero",
        tmp_path / "run/model.pt",
    )


def test_a_misspelt_override_is_one_line_and_writes_nothing(
    run_bundle: RunBundle, tiny_dataset: Path, tmp_path: Path
) -> None:
    ended = run_bundle("vxm_mse", "training", tmp_path, dataset_dir=tiny_dataset, output_dir="run", max_epoch=1)
    config = BUNDLES / "vxm_mse" / "configs" / "train.yaml"
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    assert ended.stderr.splitlines()[-1] == errors_in(ended)[0]
    assert errors_in(ended) == [f"error: --max_epoch: no such setting in {config}; did you mean --max_epochs?"]
    assert not os.listdir(tmp_path)


def test_a_loss_that_is_not_a_number_is_one_line_and_keeps_the_last_good_epoch(
    run_bundle: RunBundle, tiny_dataset: Path, tmp_path: Path
) -> None:
    (tmp_path / "faulty.py").write_text(FAULTY)
    overrides = {"objective#_target_": "faulty.Faulty", "dataset_dir": tiny_dataset, "output_dir": "run"}
    ended = run_bundle("vxm_mse", "training", tmp_path, max_epochs=3, **overrides)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr and "terminating due to exception" not in ended.stderr
    assert ended.stderr.splitlines()[-1] == errors_in(ended)[0]
    (message,) = errors_in(ended)
    assert message.startswith("error: epoch 2: displacement loss is nan (term data, smooth) on pair")
    assert "_moving.nii.gz" in message
    assert torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["epoch"] == 1
    weights = torch.load(tmp_path / "run" / "model.pt", weights_only=True)
    assert all(torch.isfinite(value).all() for value in weights.values())

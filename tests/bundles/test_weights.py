"""`--weights NAME` of MONAI's own commands, as a user gives it, of a bundle that has two sets of weights."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from common.files import file_hash
from common.nifti import save_image
from tools.render import BUNDLES

RunBundle = Callable[..., subprocess.CompletedProcess]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of vxm_mse whose second weights, "camus", are the first, halved."""
    folder = shutil.copytree(BUNDLES / "vxm_mse", tmp_path_factory.mktemp("named") / "vxm_mse")
    state = torch.load(folder / "models" / "model.pt", weights_only=True)
    torch.save({key: value / 2 for key, value in state.items()}, folder / "models" / "model_camus.pt")
    metadata = json.loads((folder / "configs" / "metadata.json").read_text())
    card = {"file": "models/model_camus.pt", "sha256": file_hash(folder / "models" / "model_camus.pt")}
    metadata["weights"]["camus"] = card | {"data": "CAMUS", "spacing_mm": None, "size": [128, 128], "resized": True}
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    return folder


def test_inference_by_a_name_uses_its_file_and_its_card(run_bundle: RunBundle, bundle: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        save_image(tmp_path / f"{name}.nii.gz", rng.random((90, 70, 1)).astype(np.float32), np.eye(4))
    files = {"moving": tmp_path / "a.nii.gz", "fixed": tmp_path / "b.nii.gz", "output_dir": tmp_path / "out"}
    ended = run_bundle(str(bundle), "inference", tmp_path, "inference.yaml", weights="camus", picture="no", **files)
    assert ended.returncode == 0, ended.stderr
    report = json.loads((tmp_path / "out" / "a.json").read_text())
    assert report["bundle"]["weights"] == "camus" and report["network"]["shape"] == [128, 128]
    assert report["bundle"]["weights_sha256"] == file_hash(bundle / "models" / "model_camus.pt")


@pytest.mark.parametrize(
    ("config", "asked", "line"),
    [
        (
            "evaluate.yaml",
            {"weights": "camux"},
            "error: vxm_mse: no weights 'camux'; it has acdc, acdc_3d, acdc_iterated, camus.",
        ),
        (
            "evaluate.yaml",
            {"weights": "camus", "checkpoint": "x.pt"},
            "error: --weights camus: --checkpoint says others; give one of the two.",
        ),
        (
            "ensemble_evaluate.yaml",
            {"weights": "camus", "members": "x.pt"},
            "error: --weights camus: --members says others; give one of the two.",
        ),
    ],
    ids=["unknown", "and a file", "and members"],
)
def test_what_cannot_be_followed_is_one_line(
    run_bundle: RunBundle, bundle: Path, tiny_dataset: Path, tmp_path: Path, config: str, asked: dict, line: str
) -> None:
    given = {"dataset_dir": tiny_dataset, "split": "val", "output_dir": tmp_path / "val", **asked}
    ended = run_bundle(str(bundle), "evaluation", tmp_path, config, **given)
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    assert [each for each in ended.stderr.splitlines() if each.startswith("error: ")] == [line]
    assert not (tmp_path / "val").exists()


@pytest.mark.parametrize("config", ["evaluate.yaml", "ensemble_evaluate.yaml"])
def test_evaluation_by_a_name(
    run_bundle: RunBundle, bundle: Path, tiny_dataset: Path, tmp_path: Path, config: str
) -> None:
    given = {"dataset_dir": tiny_dataset, "split": "val", "output_dir": tmp_path / "val", "weights": "camus"}
    ended = run_bundle(str(bundle), "evaluation", tmp_path, config, **given)
    assert ended.returncode == 0, ended.stderr
    summary = json.loads((tmp_path / "val" / "metrics.json").read_text())
    told = summary["members"][0] if "members" in summary else summary
    assert told["checkpoint_sha256"] == file_hash(bundle / "models" / "model_camus.pt")

"""A bundle that learns from labels, as a user runs it: train, snapshots, segment by one network and by several."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np

RunBundle = Callable[..., subprocess.CompletedProcess]
NAME = "vxm_predictive"
KINDS = ("segmentation", "confidence", "warped")


def lines_of(ended: subprocess.CompletedProcess) -> str:
    assert ended.returncode == 0 and "Traceback" not in ended.stderr, ended.stderr
    return ended.stdout + ended.stderr


def segmented(folder: Path, image: Path) -> dict[str, np.ndarray]:
    """The files of a segmentation, each on the grid of ``image``."""
    own, found = nib.load(image), {}
    for kind in KINDS:
        file = nib.load(folder / f"{image.name.removesuffix('.nii.gz')}_{kind}.nii.gz")
        assert file.shape == own.shape and np.allclose(file.affine, own.affine, atol=1e-4)
        found[kind] = file.get_fdata()
    assert sorted(folder.iterdir()) == sorted(folder / path.name for path in folder.glob("*.nii.gz"))
    return found


def test_train_with_snapshots_evaluate_and_segment(
    run_bundle: RunBundle, source: Path, atlas_dir: Path, tmp_path: Path
) -> None:
    run, image = tmp_path / "run", source / "imagesTr/toy_7.nii.gz"
    settings = {"dataset_dir": atlas_dir, "output_dir": run, "max_epochs": 2, "cycles": 2, "pairs_per_epoch": 3}
    lines_of(run_bundle(NAME, "training", tmp_path, files=["snapshot_train.yaml"], **settings))
    snapshots = sorted(path.name for path in (run / "snapshots").iterdir())
    assert snapshots == ["snapshot_01.pt", "snapshot_02.pt"]

    asked = {"image": image, "atlas_dir": atlas_dir}
    one = run_bundle(NAME, "segmentation", tmp_path, "inference.yaml", output_dir=tmp_path / "one",
                     checkpoint=run / "model.pt", **asked)  # fmt: skip
    assert "toy_7: atlas toy_" in lines_of(one)
    both = run_bundle(NAME, "segmentation", tmp_path, "ensemble_inference.yaml", output_dir=tmp_path / "both",
                      members=run / "snapshots", **asked)  # fmt: skip
    lines_of(both)
    for folder in ("one", "both"):
        found = segmented(tmp_path / folder, image)
        assert set(np.unique(found["segmentation"])) <= {0, 1, 2} and found["segmentation"].any()
        assert 0 <= found["confidence"].min() < found["confidence"].max() <= 1

    ended = run_bundle(NAME, "evaluation", tmp_path, "ensemble_evaluate.yaml", dataset_dir=atlas_dir, split="val",
                       pairing="atlas", members=run / "snapshots", output_dir=tmp_path / "val")  # fmt: skip
    lines_of(ended)
    summary = json.loads((tmp_path / "val" / "metrics.json").read_text())
    assert summary["pairs"] == 2 and len(summary["members"]) == 2
    assert summary["label_sparsification"]["ranked_by"] == "label_uncertainty" and summary["label"]["dsc"]["n"] == 2


def test_a_network_without_labels_does_not_segment(run_bundle: RunBundle, atlas_dir: Path, tmp_path: Path) -> None:
    ended = run_bundle("vxm_mse", "segmentation", tmp_path, "inference.yaml")
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    assert "error: run segmentation: no such key" in ended.stderr.splitlines()[-1]


def test_members_misspelt_are_named(run_bundle: RunBundle, atlas_dir: Path, tmp_path: Path) -> None:
    ended = run_bundle(NAME, "evaluation", tmp_path, "ensemble_evaluate.yaml", dataset_dir=atlas_dir, member="a.pt")
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    assert "error: --member: no such setting" in ended.stderr and "did you mean --members?" in ended.stderr

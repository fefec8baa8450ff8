"""tools.benchmark.refine: Dice against seconds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from common.collection.find import BUNDLES
from tools.benchmark import __main__ as benchmark


def test_every_number_of_steps_and_every_opponent_is_a_point(tiny_dataset: Path, tmp_path: Path) -> None:
    output, figure = tmp_path / "refine.json", tmp_path / "refine.png"
    words = ["refine", "--dataset", tiny_dataset, "--bundles", "vxm_mse", "--steps", 0, 8, "--opponents", "undeformed"]
    benchmark.main([*map(str, words), "--output", str(output), "--figure", str(figure)])
    content = json.loads(output.read_text())
    none, some = content["points"]["vxm_mse"]
    assert (none["steps"], some["steps"]) == (0, 8) and some["seconds"] > 2 * none["seconds"]
    assert some["standard"] != none["standard"]
    assert content["pairs"] == 4 and content["points"]["undeformed"][0]["folding_percent"] == 0
    with Image.open(figure) as drawn:
        assert drawn.size == (1080, 504)


def test_an_opponent_that_is_not_known_is_refused(tiny_dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        benchmark.main(["refine", "--dataset", str(tiny_dataset), "--opponents", "nobody"])
    assert "nobody" in capsys.readouterr().err


def test_a_path_with_an_equals_sign_is_a_path(tiny_dataset: Path, tmp_path: Path) -> None:
    folder = tmp_path / "runs=2" / "vxm_mse"
    shutil.copytree(BUNDLES / "vxm_mse", folder)
    before, output = sorted(folder.rglob("*")), tmp_path / "refine.json"
    words = ["refine", "--dataset", tiny_dataset, "--bundles", folder, "--steps", 0, "--output", output]
    benchmark.main([*map(str, words)])
    assert [point["steps"] for point in json.loads(output.read_text())["points"][str(folder)]] == [0]
    assert sorted(folder.rglob("*")) == before  # nothing is written beside it


def test_trainings_of_several_seeds_are_one_row_with_their_deviation(tiny_dataset: Path, tmp_path: Path) -> None:
    for seed, weights in enumerate(("model.pt", "model_camus.pt")):
        run = tmp_path / "runs" / f"seed_{seed}" / "train"
        run.mkdir(parents=True)
        estimator = {"_target_": "common.networks.VoxelMorph", "spatial_dims": 2}
        network = {"_target_": "common.networks.RegistrationNetwork", "estimator": estimator, "cascades": 1}
        record = {"folder": str(BUNDLES / "vxm_mse"), "network_def": network}
        (run / "bundle.json").write_text(json.dumps(record))
        shutil.copy(BUNDLES / "vxm_mse" / "models" / weights, run / "model.pt")
    output = tmp_path / "refine.json"
    words = ["refine", "--dataset", tiny_dataset, "--bundles", tmp_path / "runs", "--steps", 0, 3, "--rate", 0.02]
    benchmark.main([*map(str, words), "--smooth-weight", "0.01", "--output", str(output)])
    content = json.loads(output.read_text())
    assert (content["rate"], content["smooth_weight"]) == (0.02, 0.01)
    none, some = content["points"]["vxm_mse, 2 seeds"]
    assert (none["steps"], some["steps"]) == (0, 3) and none["standard_sd"] > 0 and some["standard"] != none["standard"]

"""Runs on disk: names that are read back, commands, locks, and what is refused."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import InputError
from common.options import parse_overrides
from tools.campaign.execution import command, devices, execute
from tools.campaign.launching import environment, exclusive
from tools.campaign.runs import Run, check, find, method_recipe, score, state

Calls = Callable[[], list[str]]


@pytest.mark.parametrize(
    ("texts", "variant"),
    [
        ([], "default"),
        (["smooth_weight=0.010", "max_epochs=6"], "max_epochs=6,smooth_weight=0.01"),
        (["warm_up=[2, 1]", "alpha=1e-5", "formulation=paper"], "alpha=1e-05,formulation=paper,warm_up=[2,1]"),
        (["patience=null", "bidirectional=true"], "bidirectional=true,patience=null"),
        (["optimizer#amsgrad=true", "labels=1,2"], "labels=[1,2],optimizer#amsgrad=true"),
    ],
)
def test_a_run_is_read_back_from_its_folder(texts: list[str], variant: str, tmp_path: Path) -> None:
    run = Run("vxm_mse", parse_overrides(texts), 3)
    folder = run.folder(tmp_path)
    assert folder == tmp_path / "vxm_mse" / variant / "seed_3"
    again = Run.of(folder)
    assert again.folder(tmp_path) == folder and again.variant == variant and again.seed == 3


def test_runs_are_found_in_order_and_a_stranger_is_named(tmp_path: Path) -> None:
    runs = [Run("vxm_hetero", {}, 2), Run("vxm_mse", {}, 2), Run("vxm_mse", {}, 10), Run("vxm_mse", {"alpha": 1}, 0)]
    for run in reversed(runs):
        run.folder(tmp_path).mkdir(parents=True)
    names = ["vxm_hetero default seed 2", "vxm_mse alpha=1 seed 0", "vxm_mse default seed 2", "vxm_mse default seed 10"]
    assert [str(run) for run in find(tmp_path)] == names
    (tmp_path / "vxm_mse" / "smooth_0.01" / "seed_0").mkdir(parents=True)
    with pytest.raises(InputError, match="smooth_0.01/seed_0: not named as a run"):
        find(tmp_path)


@pytest.mark.parametrize(("texts", "variant"), [([], "snapshot"), (["cycles=10"], "snapshot,cycles=10")])
def test_a_run_with_an_overlay_is_called_by_it_first(
    texts: list[str], variant: str, tmp_path: Path, tiny_dataset: Path
) -> None:
    run = Run("vxm_weak", parse_overrides(texts), 0, "snapshot")
    check("vxm_weak", run.overrides, run.overlay)
    run.folder(tmp_path).mkdir(parents=True)
    assert run.folder(tmp_path) == tmp_path / "vxm_weak" / variant / "seed_0"
    (again,) = find(tmp_path)
    assert again == run and state(again, tmp_path) == "waiting"
    words = command("training", run, tmp_path, tiny_dataset, "val")
    assert [Path(file).name for file in ast.literal_eval(words[6])] == ["train.yaml", "snapshot_train.yaml"]
    assert command("evaluation", run, tmp_path, tiny_dataset, "val")[6].endswith("vxm_weak/configs/evaluate.yaml")


@pytest.mark.parametrize(
    ("overlay", "text", "message"),
    [
        ("cyclic", None, "--overlay cyclic_train.yaml: no config to lay over .*; there is snapshot_train.yaml"),
        ("multi_gpu", None, "--overlay multi_gpu_train.yaml: no config to lay over"),
        ("snapshot", "cycle=1", "--cycle: no such setting in .*snapshot_train.yaml; did you mean --cycles"),
        ("", "cycles=1", "--cycles: no such setting"),
    ],
)
def test_bad_overlays_are_refused(overlay: str, text: str | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check("vxm_weak", parse_overrides([text] if text else []), overlay)


@pytest.mark.parametrize(
    ("bundle", "text", "message"),
    [
        ("vxm_msee", None, "vxm_msee: no such bundle in .*; did you mean vxm_mse"),
        ("vxm_mse", "max_epoch=1", "--max_epoch: no such setting in .*; did you mean --max_epochs"),
        ("vxm_mse", "max_epochs", "--override max_epochs: not of the form KEY=VALUE"),
        ("vxm_mse", "seed=1", "--override seed: this has an option of its own, --seeds"),
        ("vxm_mse", "network#integration_steps=5", "--override network#integration_steps: evaluation would not know"),
        ("vxm_mse", "precision=a/b", "--override precision=a/b: .* cannot hold a slash"),
    ],
)
def test_bad_bundles_and_overrides_are_refused(bundle: str, text: str | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check(bundle, parse_overrides([text] if text else []))


def test_commands_train_with_all_overrides_and_evaluate_with_those_that_evaluation_knows(
    tmp_path: Path, tiny_dataset: Path
) -> None:
    run = Run("vxm_mse", {"smooth_weight": 0.1, "batch_size": 4, "device": "cpu", "patience": None}, 2)
    training, evaluation = (command(a, run, tmp_path, tiny_dataset, "test") for a in ("training", "evaluation"))
    pairs = dict(zip(training[5::2], training[6::2]))
    assert pairs["--smooth_weight"] == "0.1" and pairs["--seed"] == "2" and pairs["--patience"] == "null"
    pairs = dict(zip(evaluation[5::2], evaluation[6::2]))
    assert pairs["--device"] == "cpu" and pairs["--split"] == "test"
    assert pairs["--dataset_dir"] == str(tiny_dataset.resolve())
    assert pairs["--checkpoint"] == str(run.folder(tmp_path) / "train" / "model.pt")
    assert not {"--smooth_weight", "--batch_size", "--seed", "--patience"} & set(pairs)


def test_the_pairing_of_a_training_is_not_that_of_its_evaluation(tmp_path: Path, tiny_dataset: Path) -> None:
    run = Run("vxm_weak", {"pairing": "all", "num_classes": 4}, 0)
    for pairing, expected in (("listed", None), ("atlas", "atlas")):
        training, evaluation = (command(action, run, tmp_path, tiny_dataset, "val", pairing)
                                for action in ("training", "evaluation"))  # fmt: skip
        assert dict(zip(training[5::2], training[6::2]))["--pairing"] == "all"
        found = dict(zip(evaluation[5::2], evaluation[6::2]))
        assert found.get("--pairing") == expected and found["--num_classes"] == "4"


def test_the_data_set_decides_the_dimensions(tmp_path: Path, tiny_dataset: Path) -> None:
    for bundle, told in (("vxm_weak", "2"), ("vxm_mse", None)):  # which is 2D by itself
        for action in ("training", "evaluation"):
            words = command(action, Run(bundle, {}, 0), tmp_path, tiny_dataset, "val")
            assert dict(zip(words[5::2], words[6::2])).get("--spatial_dims") == told


def test_other_pairs_are_evaluated_without_another_training(
    tmp_path: Path, tiny_dataset: Path, pretended: Calls
) -> None:
    run, output = Run("vxm_mse", {}, 0), tmp_path / "runs"
    for pairing in ("listed", "listed", "atlas", "atlas", "listed"):
        execute(run, output, tiny_dataset, pairing=pairing)
    assert [call.split()[0] for call in pretended()] == ["training", *["evaluation"] * 3]
    assert json.loads((run.folder(output) / "val" / "overrides.json").read_text()) == {}


def test_a_method_is_that_of_the_longest_name() -> None:
    names = {"vxm_nll": "nll", "vxm_beta_nll": "beta_nll", "vxm_hetero_disp": "hetero_disp", "vxm_other": None}
    assert {bundle: method_recipe(bundle).get("name") for bundle in names} == names


def test_states_follow_a_run(tmp_path: Path, tiny_dataset: Path, pretended: Calls) -> None:
    run, output = Run("vxm_mse", {}, 0), tmp_path / "runs"
    folder = run.folder(output)
    folder.mkdir(parents=True)
    (folder / "break").touch()
    assert state(run, output) == "waiting" and score(run, output) is None
    with pytest.raises(InputError, match=r"seed_0/log.txt: training failed with status 1: error: nothing is to be"):
        execute(run, output, tiny_dataset)
    assert state(run, output) == "failed"
    (folder / "break").unlink()
    execute(run, output, tiny_dataset)
    assert state(run, output) == "done" and score(run, output) == 80.0
    execute(run, output, tiny_dataset)
    assert [call.split()[0] for call in pretended()] == ["training", "training", "evaluation"]


def test_a_run_belongs_to_one_process_until_the_last_of_its_children_ends(
    tmp_path: Path, tiny_dataset: Path, pretended: Calls
) -> None:
    run, output = Run("vxm_mse", {}, 0), tmp_path / "runs"
    with exclusive(run.folder(output) / "log.txt") as log:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], stdout=log)
    assert state(run, output) == "running"  # though who began it has let go
    other = threading.Thread(target=execute, args=(run, output, tiny_dataset))
    other.start()
    other.join(0.3)
    assert other.is_alive() and not pretended()
    child.kill()
    child.wait()
    other.join(30)
    assert state(run, output) == "done"


def test_a_finished_run_of_other_data_is_refused(tmp_path: Path, tiny_dataset: Path, pretended: Calls) -> None:
    run = Run("vxm_mse", {}, 0)
    execute(run, tmp_path / "runs", tiny_dataset)
    metrics = run.folder(tmp_path / "runs") / "val" / "metrics.json"
    metrics.write_text(json.dumps(json.loads(metrics.read_text()) | {"dataset": "ACDC"}))
    with pytest.raises(InputError, match="seed_0: a run on ACDC, not tiny; give another --output"):
        execute(run, tmp_path / "runs", tiny_dataset)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    with pytest.raises(InputError, match=r"runs/vxm_mse/default/seed_0: cannot be made \(Not a directory\)"):
        execute(Run("vxm_mse", {}, 0), tmp_path / "runs", tmp_path)


def test_children_see_nothing_of_the_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = ["RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "ROLE_RANK", "ROLE_NAME",
                "ROLE_WORLD_SIZE", "GROUP_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID"]  # fmt: skip
    for name in launcher:
        monkeypatch.setenv(name, "1")
    assert set(os.environ) - set(environment()) == set(launcher)
    assert environment("2")["CUDA_VISIBLE_DEVICES"] == "2"


def test_trainings_are_dealt_to_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert devices(2) == [None, None]
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert devices(3) == ["0", "1", "0"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,GPU-6e")
    assert devices(2) == ["4", "GPU-6e"]
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert devices(2) == ["GPU-6e", "GPU-6e"]

"""A run that is stopped at any moment goes on as if it had never stopped, bit for bit."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from ignite.engine import Events
from torch import Tensor

from common.collection.find import RECORD
from common.engines import SingleTrainer
from common.files import write_bytes

MakeTrainer = Callable[..., SingleTrainer]
EPOCHS = 4  # with warm_up [1, 1]: displacement, companion, both, both
FILES = ("log.csv", "model.pt", "checkpoint.pt")
BUNDLES = ("vxm_mse", "vxm_hetero", "vxm_adacs", "vxm_predictive")
AS_RELEASED = {"formulation": "released", "bidirectional": True}  # with a momentum in the warm-up too
RANDOM = {"vxm_predictive": {"augmentation": "image", "dropout": 0.2, "pairs_per_epoch": 7, "training_share": 0.9}}


class Killed(BaseException):
    """What nothing catches and nothing cleans up after, like SIGKILL."""


def settings_of(bundle: str) -> dict[str, object]:
    warm_up = {"warm_up": [1, 1]} if bundle in ("vxm_hetero", "vxm_adacs") else {}
    return {"max_epochs": EPOCHS} | warm_up | RANDOM.get(bundle, {})


def state_of(run: Path) -> tuple[str, dict[str, Tensor], dict[str, object]]:
    """Everything that a run has left: its table, its best weights, its checkpoint."""
    model, checkpoint = (torch.load(run / name, weights_only=True) for name in FILES[1:])
    return (run / "log.csv").read_text(), model, checkpoint


def same(ours: object, theirs: object) -> bool:
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, (list, tuple)):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return torch.equal(ours, theirs) if torch.is_tensor(ours) else ours == theirs


def assert_same_run(ours: Path, theirs: Path) -> None:
    for name, one, other in zip(FILES, state_of(ours), state_of(theirs)):
        assert same(one, other), name
    names = ({path.name for path in run.iterdir()} - {RECORD} for run in (ours, theirs))  # of a config's run alone
    assert next(names) == next(names)


def scramble() -> None:
    """Leave every generator where the run that goes on did not leave it."""
    random.seed(99), np.random.seed(99), torch.manual_seed(99)


@pytest.mark.parametrize(("bundle", "settings"), [*((name, {}) for name in BUNDLES), ("vxm_adacs", AS_RELEASED)])
def test_a_run_stopped_in_any_phase_goes_on_bit_for_bit(
    make_trainer: MakeTrainer, tmp_path: Path, bundle: str, settings: dict[str, object]
) -> None:
    run, settings = tmp_path / "run", settings_of(bundle) | settings
    trainer = make_trainer(bundle, **settings)
    trainer.add_event_handler(
        Events.EPOCH_COMPLETED, lambda: shutil.copytree(run, tmp_path / f"stopped{trainer.state.epoch}")
    )
    trainer.run()
    for epoch in range(1, EPOCHS):
        stopped = tmp_path / f"stopped{epoch}"
        resumed = make_trainer(bundle, **settings, output_dir=str(stopped))
        scramble()
        resumed.run()
        assert_same_run(stopped, run)


def kill_in_write(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Die in the ``number``-th file that is written: half of it in the temporary file, nothing in place."""
    write, count = write_bytes, 0

    def half(path: Path, content: bytes) -> None:
        nonlocal count
        count += 1
        if count == number:
            path.with_name(f".{path.name}.4194305.tmp").write_bytes(content[: len(content) // 2])
            raise Killed
        write(path, content)

    for module in ("common.io.weights", "common.handlers.log", "common.handlers.checkpoint"):
        monkeypatch.setattr(f"{module}.write_bytes", half)


def assert_survives_death_in_write(number: int, make_trainer: MakeTrainer, folder: Path, whole: Path) -> None:
    killed, settings = folder / f"killed{number}", settings_of("vxm_adacs")
    with pytest.MonkeyPatch.context() as monkeypatch, pytest.raises(Killed):
        kill_in_write(monkeypatch, number)
        make_trainer("vxm_adacs", **settings, output_dir=str(killed)).run()
    assert list(killed.glob(".*.tmp"))
    make_trainer("vxm_adacs", **settings, output_dir=str(killed)).run()
    assert_same_run(killed, whole)


# the writes of a run: weights, table, checkpoint; table, checkpoint (companion alone); weights, ...
@pytest.mark.parametrize("number", [3, 5, 6])
def test_death_while_a_file_is_written_loses_nothing(make_trainer: MakeTrainer, tmp_path: Path, number: int) -> None:
    make_trainer("vxm_adacs", **settings_of("vxm_adacs")).run()
    assert_survives_death_in_write(number, make_trainer, tmp_path, tmp_path / "run")


@pytest.mark.slow
def test_death_while_any_file_is_written_loses_nothing(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    make_trainer("vxm_adacs", **settings_of("vxm_adacs")).run()
    for number in range(1, 10):
        assert_survives_death_in_write(number, make_trainer, tmp_path, tmp_path / "run")


KILLER = """
import os, signal, sys
from common import files

name, number, half = sys.argv[1], int(sys.argv[2]), files.os.replace
def replace(source, target):
    global number
    number -= os.path.basename(target) == name
    if not number:
        os.truncate(source, os.path.getsize(source) // 2)
        os.kill(os.getpid(), signal.SIGKILL)
    half(source, target)
files.os.replace = replace

from monai.bundle import run
run("training", config_file=sys.argv[3], **dict(a.split("=") for a in sys.argv[4:]), max_epochs=3, warm_up=[1, 1])
"""


def assert_survives_sigkill(name: str, number: int, folder: Path, dataset: Path, make_trainer: MakeTrainer) -> None:
    root = Path(__file__).resolve().parent.parent.parent
    config, killed = root / "bundles/vxm_adacs/configs/train.yaml", folder / "killed"
    shared = {"dataset_dir": str(dataset), "output_dir": str(killed), "device": "cpu", "precision": "float32"}
    command = [sys.executable, "-c", KILLER, name, str(number), str(config), *(f"{k}={v}" for k, v in shared.items())]
    environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert len(list(killed.glob(".*.tmp"))) == 1
    for output_dir in (killed, folder / "whole"):
        make_trainer("vxm_adacs", max_epochs=3, warm_up=[1, 1], output_dir=str(output_dir)).run()
    assert_same_run(killed, folder / "whole")


def test_a_killed_process_goes_on_bit_for_bit(make_trainer: MakeTrainer, tmp_path: Path, tiny_dataset: Path) -> None:
    assert_survives_sigkill("checkpoint.pt", 2, tmp_path, tiny_dataset, make_trainer)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "number"), [("checkpoint.pt", 1), ("model.pt", 1), ("model.pt", 2), ("log.csv", 3)])
def test_a_process_killed_in_any_file_goes_on_bit_for_bit(
    make_trainer: MakeTrainer, tmp_path: Path, tiny_dataset: Path, name: str, number: int
) -> None:
    assert_survives_sigkill(name, number, tmp_path, tiny_dataset, make_trainer)


def test_a_run_that_stopped_early_is_over(
    make_trainer: MakeTrainer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"max_epochs": 9, "patience": 2, "learning_rate": 0.0}  # nothing is ever better than the first epoch
    first = make_trainer("vxm_mse", **settings)
    first.run()
    assert first.state.epoch == 3
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*")}
    capsys.readouterr()
    make_trainer("vxm_mse", **settings).run()
    assert capsys.readouterr().out == f"{tmp_path}/run/checkpoint.pt: trained already, at epoch 3 of 9\n"
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*")} == before
    patient = make_trainer("vxm_mse", **settings | {"patience": 4})
    patient.run()
    assert patient.state.epoch == 5


def test_a_finished_run_is_left_as_it_is(
    make_trainer: MakeTrainer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_trainer("vxm_mse", max_epochs=1).run()
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*")}
    capsys.readouterr()
    make_trainer("vxm_mse", max_epochs=1).run()
    assert capsys.readouterr().out == f"{tmp_path}/run/checkpoint.pt: trained already, at epoch 1 of 1\n"
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*")} == before


def test_without_resume_a_run_begins_anew(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    make_trainer("vxm_mse", max_epochs=2).run()
    before = state_of(tmp_path / "run")
    again = make_trainer("vxm_mse", max_epochs=2, resume=False)
    epochs: list[int] = []
    again.add_event_handler(Events.EPOCH_STARTED, lambda: epochs.append(again.state.epoch))
    torch.manual_seed(0)
    again.run()
    assert epochs == [1, 2]
    assert same(before[:2], state_of(tmp_path / "run")[:2])

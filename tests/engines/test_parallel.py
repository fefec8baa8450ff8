"""Two processes train as one, and end as one."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from common.engines import SingleTrainer
from common.parallel import gather_objects, is_parallel, mean_over_processes, rank, world_size

MakeTrainer = Callable[..., SingleTrainer]
RunBundle = Callable[..., subprocess.CompletedProcess]
FAULTY = """
from common.losses import MSEObjective
from common.parallel import rank

class Faulty(MSEObjective):
    calls = 0

    def displacement_loss(self, *arguments):
        self.calls += 1
        bad = float("nan") if self.calls == 2 and rank() == 1 else 1.0
        return {name: value * bad for name, value in super().displacement_loss(*arguments).items()}
"""


def assert_two_processes_are_one(
    run_bundle: RunBundle, make_trainer: MakeTrainer, dataset: Path, folder: Path, name: str, **settings: object
) -> None:
    """Train in two processes through torchrun and in this one, and compare all that is left."""
    where = {"dataset_dir": dataset, "output_dir": folder / "two", "precision": "float32"}
    ended = run_bundle(name, "training", folder, files=["multi_gpu_train.yaml"], processes=2, **where, **settings)
    assert ended.returncode == 0, ended.stderr
    make_trainer(name, output_dir=str(folder / "one"), **settings).run()
    one, two = (torch.load(folder / n / "checkpoint.pt", weights_only=True) for n in ("one", "two"))
    for part in ("network", "objective"):
        for key, value in one[part].items():
            torch.testing.assert_close(two[part][key], value, rtol=1e-4, atol=1e-5, msg=lambda m, k=key: f"{k}: {m}")
    assert len(two["random"]) == 2
    rows = [(folder / n / "log.csv").read_text().splitlines() for n in ("one", "two")]
    assert rows[0][0] == rows[1][0]
    for ours, theirs in zip(rows[0][1:], rows[1][1:]):
        values = [[float(v) if v else 0.0 for v in row.split(",")[2:]] for row in (ours, theirs)]
        assert values[0] == pytest.approx(values[1], rel=1e-3, abs=1e-6)


def test_two_processes_train_as_one_though_one_has_no_pair_of_the_last_batch(
    run_bundle: RunBundle, make_trainer: MakeTrainer, tiny_dataset: Path, tmp_path: Path
) -> None:
    settings = {"max_epochs": 3, "warm_up": [1, 1], "batch_size": 11}  # of 12 pairs: batches of 11 and of 1
    assert_two_processes_are_one(run_bundle, make_trainer, tiny_dataset, tmp_path, "vxm_adacs", **settings)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "batch_size"), [("vxm_mse", 4), ("vxm_mse", 5), ("vxm_hetero", 7), ("vxm_adacs", 8)])
def test_two_processes_train_as_one(
    run_bundle: RunBundle, make_trainer: MakeTrainer, tiny_dataset: Path, tmp_path: Path, name: str, batch_size: int
) -> None:
    settings = {"max_epochs": 2, "batch_size": batch_size, "accumulation_steps": 2}
    assert_two_processes_are_one(run_bundle, make_trainer, tiny_dataset, tmp_path, name, **settings)


def test_an_error_on_one_process_ends_both_in_a_line_each(
    run_bundle: RunBundle, tiny_dataset: Path, tmp_path: Path
) -> None:
    (tmp_path / "faulty.py").write_text(FAULTY)
    overrides = {"objective#_target_": "faulty.Faulty", "dataset_dir": tiny_dataset, "output_dir": "run"}
    ended = run_bundle("vxm_mse", "training", tmp_path, files=["multi_gpu_train.yaml"], processes=2, **overrides)
    assert ended.returncode == 1
    messages = [line for line in ended.stderr.splitlines() if "error: " in line]
    assert 1 <= len(messages) <= 2, ended.stderr
    assert any("epoch 1: displacement loss is nan" in message for message in messages)
    assert all("loss is nan" in m or "process 0: another process has stopped" in m for m in messages)
    assert "common/" not in ended.stderr  # the one traceback is torchrun's own
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_one_process_alone_is_what_it_holds() -> None:
    assert not is_parallel() and rank() == 0 and world_size() == 1
    assert mean_over_processes(torch.tensor(3.0)) == 3
    assert gather_objects("it") == ["it"]

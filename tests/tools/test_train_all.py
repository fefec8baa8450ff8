"""Training a list: nothing twice, shares and devices, failures listed, progress from the folders alone."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common.errors import InputError
from tools.campaign import progress
from tools.campaign.runs import Run
from tools.train_all import main

Calls = Callable[[], list[str]]
ROOT = Path(__file__).resolve().parent.parent.parent


def arguments(tmp_path: Path, dataset: Path, *extra: str) -> list[str]:
    return ["--dataset", str(dataset), "--output", str(tmp_path / "runs"), "--bundles", "vxm_mse", "vxm_hetero", *extra]


def trained(calls: list[str]) -> list[str]:
    return [call.removeprefix("training ") for call in calls if call.startswith("training")]


def test_each_bundle_is_trained_with_each_seed_and_never_again(
    tmp_path: Path, tiny_dataset: Path, pretended: Calls, capsys: pytest.CaptureFixture
) -> None:
    assert main(arguments(tmp_path, tiny_dataset, "--seeds", "0", "1", "1", "--override", "max_epochs=2")) == 0
    names = [f"{b}/max_epochs=2/seed_{seed}" for b in ("vxm_mse", "vxm_hetero") for seed in (0, 1)]
    assert trained(pretended()) == names
    assert "vxm_hetero max_epochs=2 seed 1: done, DSC 80.60 %\n" in capsys.readouterr().out
    again = ["--seeds", "0", "1", "2", "--override", "max_epochs=2", "--jobs", "2"]
    assert main(arguments(tmp_path, tiny_dataset, *again)) == 0
    assert sorted(trained(pretended())[4:]) == sorted(f"{b}/max_epochs=2/seed_2" for b in ("vxm_mse", "vxm_hetero"))


def test_settings_are_those_that_a_search_found_unless_overridden(
    tmp_path: Path, tiny_dataset: Path, pretended: Calls, capsys: pytest.CaptureFixture
) -> None:
    best = tmp_path / "best.json"
    best.write_text(json.dumps({"vxm_hetero": {"smooth_weight": 0.04, "gamma": 0.25}}))
    settings = ["--seeds", "0", "--settings", str(best), "--override", "bidirectional=true"]
    assert main(arguments(tmp_path, tiny_dataset, *settings)) == 0
    assert trained(pretended()) == [
        "vxm_mse/bidirectional=true/seed_0",
        "vxm_hetero/bidirectional=true,gamma=0.25,smooth_weight=0.04/seed_0",
    ]
    assert "vxm_mse: not in" in capsys.readouterr().out


def test_an_overlay_makes_runs_of_their_own(
    tmp_path: Path, tiny_dataset: Path, pretended: Calls, capsys: pytest.CaptureFixture
) -> None:
    words = ["--seeds", "0", "--bundles", "vxm_weak", "--overlay", "snapshot_train.yaml", "--pairing", "atlas"]
    for more in ([], ["--override", "cycles=10"]):
        assert main(arguments(tmp_path, tiny_dataset, *words, *more)) == 0
    assert trained(pretended()) == ["vxm_weak/snapshot/seed_0", "vxm_weak/snapshot,cycles=10/seed_0"]
    folder = tmp_path / "runs" / "vxm_weak" / "snapshot" / "seed_0"
    assert json.loads((folder / "val" / "overrides.json").read_text()) == {"pairing": "atlas"}
    capsys.readouterr()
    assert main(["--status", "--output", str(tmp_path / "runs")]) == 0
    assert "2 done" in capsys.readouterr().out


@pytest.mark.parametrize(("content", "message"), [("{", "cannot be read"), ('{"vxm_mse": 1}', "not a mapping")])
def test_bad_settings_are_one_line(tmp_path: Path, tiny_dataset: Path, content: str, message: str) -> None:
    (tmp_path / "best.json").write_text(content)
    with pytest.raises(InputError, match=f"best.json: {message}.*; give the best.json of warpsure search"):
        main(arguments(tmp_path, tiny_dataset, "--settings", str(tmp_path / "best.json")))


def test_a_failed_run_stops_no_other_and_is_listed(
    tmp_path: Path, tiny_dataset: Path, pretended: Calls, capsys: pytest.CaptureFixture
) -> None:
    broken = Run("vxm_mse", {}, 0).folder(tmp_path / "runs")
    broken.mkdir(parents=True)
    (broken / "break").touch()
    assert main(arguments(tmp_path, tiny_dataset, "--seeds", "0", "1")) == 1
    assert len(trained(pretended())) == 4
    (line,) = capsys.readouterr().err.splitlines()
    reason = "training failed with status 1: error: nothing is to be learnt so"
    assert line == f"error: {broken / 'log.txt'}: {reason}"
    (broken / "break").unlink()
    assert main(arguments(tmp_path, tiny_dataset, "--seeds", "0", "1")) == 0
    assert trained(pretended())[4:] == ["vxm_mse/default/seed_0"]


def test_the_processes_of_a_launcher_share_the_runs(
    tmp_path: Path, tiny_dataset: Path, pretended: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    for rank in ("0", "1", "2", "3"):
        monkeypatch.setenv("RANK", rank)
        assert main(arguments(tmp_path, tiny_dataset)) == 0
        taken = trained(pretended())
        assert len(taken) == (2, 4, 5, 6)[int(rank)] and len(set(taken)) == len(taken)
    environment = json.loads((tmp_path / "runs" / taken[0] / "environment.json").read_text())
    assert not {"RANK", "WORLD_SIZE"} & set(environment)


def test_status_tells_from_the_folders_alone(
    tmp_path: Path, tiny_dataset: Path, pretended: Calls, capsys: pytest.CaptureFixture
) -> None:
    broken = Run("vxm_mse", {"max_epochs": 3}, 1).folder(tmp_path / "runs")
    broken.mkdir(parents=True)
    (broken / "break").touch()
    main(arguments(tmp_path, tiny_dataset, "--seeds", "0", "1", "--override", "max_epochs=3"))
    Run("vxm_adacs", {}, 7).folder(tmp_path / "runs").mkdir(parents=True)
    capsys.readouterr()
    assert main(["--status", "--output", str(tmp_path / "runs")]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[:2] == [
        ["bundle", "variant", "seed", "epoch", "dsc", "state"],
        ["vxm_adacs", "default", "7", "0/39", "-", "waiting"],
    ]
    assert lines[2][2:] == ["0", "3/3", "80.50", "done"] and lines[5][2:] == ["1", "1/3", "71.50", "failed"]
    assert " ".join(lines[-1]) == "3 done, 1 waiting, 1 failed, 0 running"


def test_a_terminal_gets_one_table_that_is_drawn_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("LINES", "6")
    runs = [Run("vxm_mse", {}, seed) for seed in range(9)]
    screen = progress.Screen(runs, tmp_path, "val", shown=True)
    screen.draw()
    screen.draw()
    first, second = sys.stdout.getvalue().split("\x1b[5F\x1b[J")
    assert first == second and len(first.splitlines()) == 5 and first.endswith("9 waiting, 0 failed, 0 running\n")
    assert max(map(len, first.splitlines())) < 40


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--bundles", "vxm_mes"], "vxm_mes: no such bundle in .*; did you mean vxm_mse"),
        (["--override", "max_epoch=1"], "--max_epoch: no such setting in .*; did you mean --max_epochs"),
        (["--dataset", "nowhere"], "nowhere: no such folder"),
        (["--status"], "runs: no runs there; give the --output of the program that trains"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_made(
    tmp_path: Path, tiny_dataset: Path, extra: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        main(arguments(tmp_path, tiny_dataset, *extra))
    assert not (tmp_path / "runs").exists()


def start(tmp_path: Path, dataset: Path, *extra: str, launcher: tuple[str, ...] = ()) -> subprocess.Popen:
    """The program as a user starts it, for a tiny training of one bundle."""
    words = [sys.executable, "-m", *launcher, "tools.train_all", "--dataset", str(dataset)]
    words += ["--output", str(tmp_path / "runs"), "--bundles", "vxm_mse", *extra]
    quiet = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONWARNINGS": "default"}
    return subprocess.Popen(
        words, cwd=ROOT, env=os.environ | quiet, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C raises, even where the tests were started in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interruption_stops_what_runs_and_begins_nothing_more(
    tmp_path: Path, tiny_dataset: Path, pretended: Calls, interruptible: None
) -> None:
    run, output = Run("vxm_mse", {}, 0), tmp_path / "runs"
    hang, log = run.folder(output) / "hang", run.folder(output) / "train" / "log.csv"
    hang.parent.mkdir(parents=True)
    hang.touch()

    def interrupt() -> None:
        while not log.is_file() or "\n3," not in log.read_text():
            time.sleep(0.01)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        main(arguments(tmp_path, tiny_dataset))
    assert trained(pretended()) == ["vxm_mse/default/seed_0"]
    assert progress.progress(run, output)[3:] == ("3/36", "73.50", "waiting")
    hang.unlink()
    assert main(arguments(tmp_path, tiny_dataset, "--seeds", "0")) == 0


@pytest.mark.slow
def test_a_stopped_training_goes_on(tmp_path: Path, tiny_dataset: Path) -> None:
    begun = start(tmp_path, tiny_dataset, "--seeds", "0", "--override", "max_epochs=400")
    folder = tmp_path / "runs" / "vxm_mse" / "max_epochs=400" / "seed_0"
    while not (folder / "train" / "checkpoint.pt").is_file() and begun.poll() is None:
        time.sleep(0.05)
    run = Run("vxm_mse", {"max_epochs": 400}, 0)
    assert progress.progress(run, tmp_path / "runs").state == "running"
    begun.send_signal(signal.SIGTERM)
    begun.communicate(timeout=60)
    assert begun.returncode == 128 + signal.SIGTERM
    stopped = progress.progress(run, tmp_path / "runs")
    assert stopped.state == "waiting" and 0 < int(stopped.epoch.split("/")[0]) < 400
    again = start(tmp_path, tiny_dataset, "--seeds", "0", "--override", "max_epochs=400")
    while "resumed, at epoch" not in (folder / "log.txt").read_text() and again.poll() is None:
        time.sleep(0.05)
    again.send_signal(signal.SIGTERM)
    again.communicate(timeout=60)
    assert "resumed, at epoch" in (folder / "log.txt").read_text()


@pytest.mark.slow
def test_torchrun_trains_all_and_lists_every_process_s_failures(tmp_path: Path, tiny_dataset: Path) -> None:
    broken = tmp_path / "runs" / "vxm_mse" / "max_epochs=2" / "seed_1" / "train"
    broken.parent.mkdir(parents=True)
    broken.touch()  # where a folder should be
    torchrun = ("torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m")
    ended = start(tmp_path, tiny_dataset, "--override", "max_epochs=2", launcher=torchrun)
    out, err = ended.communicate(timeout=300)
    assert ended.returncode == 1
    (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert f"{broken.parent / 'log.txt'}: training failed" in line
    assert out.count(": done, DSC") == 2
    assert (tmp_path / "runs" / "vxm_mse" / "max_epochs=2" / "seed_2" / "val" / "metrics.json").is_file()

"""Searching: each point once, over stops and processes, and what is best written down."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import InputError
from tools.campaign import runs, trials
from tools.search import main

Calls = Callable[[], list[str]]
ROOT = Path(__file__).resolve().parent.parent.parent
GRID = ("--grid", "--space", "smooth_weight=0.01,0.02,0.04")


def arguments(tmp_path: Path, dataset: Path, *extra: str, bundle: str = "vxm_mse") -> list[str]:
    return ["--dataset", str(dataset), "--output", str(tmp_path / "runs"), "--bundle", bundle, *extra]


def best(tmp_path: Path) -> dict:
    return json.loads((tmp_path / "runs" / "best.json").read_text())


def trained(calls: list[str]) -> list[str]:
    return sorted(call.removeprefix("training ") for call in calls if call.startswith("training"))


def names(bundle: str, *weights: float) -> list[str]:
    return [f"{bundle}/smooth_weight={weight}/seed_0" for weight in weights]


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A recipe of vxm_mse to write to."""
    monkeypatch.setattr(runs, "RECIPES", tmp_path)
    (tmp_path / "methods").mkdir()
    return tmp_path / "methods" / "mse.yaml"


def test_a_grid_is_trained_once_and_its_best_kept_beside_other_bundles(
    tmp_path: Path, tiny_dataset: Path, pretended: Calls, capsys: pytest.CaptureFixture
) -> None:
    assert main(arguments(tmp_path, tiny_dataset, *GRID)) == 0
    assert trained(pretended()) == names("vxm_mse", 0.01, 0.02, 0.04)
    assert "vxm_mse smooth_weight=0.04 seed 0: DSC 79.00 %\n" in capsys.readouterr().out
    assert main(arguments(tmp_path, tiny_dataset, *GRID)) == 0
    wider = ("--grid", "--space", "smooth_weight=0.04,0.08")
    assert main(arguments(tmp_path, tiny_dataset, *wider, bundle="vxm_hetero")) == 0
    assert len(pretended()) == 2 * 5
    assert best(tmp_path) == {"vxm_mse": {"smooth_weight": 0.02}, "vxm_hetero": {"smooth_weight": 0.04}}
    with (tmp_path / "runs" / "search.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5
    assert rows[-1] == {
        "bundle": "vxm_mse", "seed": "0", "state": "done", "published": "79.0", "standard": "79.0",
        "smooth_weight": "0.04",
    }  # fmt: skip


def test_trials_go_on_to_the_number_asked_for(
    tmp_path: Path, tiny_dataset: Path, pretended: Calls, recipe: Path
) -> None:
    recipe.write_text("search: {smooth_weight: {low: 0.003, high: 0.1, log: true}, batch_size: {low: 4, high: 8}}")
    extra = ("--override", "max_epochs=2", "--storage", f"sqlite:///{tmp_path}/shared.db")
    for total in (2, 5, 5):
        assert main(arguments(tmp_path, tiny_dataset, "--trials", str(total), *extra)) == 0
        assert len(trained(pretended())) == total
    (found,) = best(tmp_path).values()
    tried = runs.find(tmp_path / "runs")
    assert all(run.overrides["max_epochs"] == 2 and 4 <= run.overrides["batch_size"] <= 8 for run in tried)
    assert found in [{key: run.overrides[key] for key in found} for run in tried]
    assert runs.score(runs.Run("vxm_mse", {"max_epochs": 2} | found, 0), tmp_path / "runs") == max(
        runs.score(run, tmp_path / "runs") for run in tried
    )


def test_choices_may_be_words_of_the_recipe(tmp_path: Path, tiny_dataset: Path, pretended: Calls, recipe: Path) -> None:
    recipe.write_text("search: {precision: [float32, bfloat16], bidirectional: [true, false]}")
    assert main(arguments(tmp_path, tiny_dataset, "--grid")) == 0
    assert len(trained(pretended())) == 4
    assert "vxm_mse/bidirectional=false,precision=float32/seed_0" in trained(pretended())


def test_a_failed_trial_is_listed_and_tried_again_next_time(
    tmp_path: Path, tiny_dataset: Path, pretended: Calls, capsys: pytest.CaptureFixture
) -> None:
    folder = tmp_path / "runs" / names("vxm_mse", 0.02)[0]
    folder.mkdir(parents=True)
    (folder / "break").touch()
    assert main(arguments(tmp_path, tiny_dataset, *GRID)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {folder / 'log.txt'}: training failed with status 1")
    assert best(tmp_path) == {"vxm_mse": {"smooth_weight": 0.01}}
    (folder / "break").unlink()
    assert main(arguments(tmp_path, tiny_dataset, *GRID)) == 0
    assert best(tmp_path) == {"vxm_mse": {"smooth_weight": 0.02}}
    assert trained(pretended()) == sorted([*names("vxm_mse", 0.01, 0.02, 0.04), *names("vxm_mse", 0.02)])


@pytest.mark.parametrize(
    ("stop", "extent"),
    [(KeyboardInterrupt, GRID), (SystemExit, ("--trials", "3", "--space", "smooth_weight=0.01,0.02,0.04"))],
)
def test_an_interrupted_trial_is_finished_first(
    stop: type[BaseException],
    extent: tuple[str, ...],
    tmp_path: Path,
    tiny_dataset: Path,
    pretended: Calls,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    interrupted = []

    def interrupt(run: runs.Run, *_: object, **__: object) -> None:
        interrupted.append(run)
        raise stop

    with monkeypatch.context() as patch, pytest.raises(stop):
        patch.setattr(trials, "execute", interrupt)
        main(arguments(tmp_path, tiny_dataset, *extent))
    assert main(arguments(tmp_path, tiny_dataset, *extent)) == 0
    first = next(call for call in pretended() if call.startswith("training"))
    assert first == f"training vxm_mse/{interrupted[0].variant}/seed_0"
    if extent is GRID:
        assert trained(pretended()) == names("vxm_mse", 0.01, 0.02, 0.04)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--bundle", "vxm_mes", *GRID], "vxm_mes: no such bundle in .*; did you mean vxm_mse"),
        (["--grid", "--space", "smooth_wait=1,2"], "--smooth_wait: no such setting in .*; did you mean --smooth_w"),
        (["--space", "smooth_weight"], "--space smooth_weight: not of the form KEY=VALUE"),
        ([*GRID, "--override", "smooth_weight=1"], "--override smooth_weight: it is searched; leave it out"),
        ([*GRID, "--storage", "nonsense"], "--storage nonsense: cannot be used: "),
        ([*GRID, "--storage", "sqlite:////nowhere/a.db"], "--storage sqlite:////nowhere/a.db: cannot be used: "),
        ([*GRID, "--storage", "redis://nowhere"], "--storage redis://nowhere: cannot be used: "),
    ],
)
def test_bad_arguments_are_one_line(tmp_path: Path, tiny_dataset: Path, extra: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        main(arguments(tmp_path, tiny_dataset, *extra))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name: mse", "vxm_mse: its recipe has nothing to search; give --space"),
        ("search: {smooth_weight: 3}", "vxm_mse: search of smooth_weight: 3 is neither choices nor"),
        ("search: {smooth_weight: {low: 1, hgih: 2}}", "vxm_mse: search of smooth_weight: .* is neither choices nor"),
        ("search: {smooth_weight: {low: 1, high: 2}}", "vxm_mse: a grid needs choices, not ranges"),
    ],
)
def test_bad_recipes_are_one_line(tmp_path: Path, tiny_dataset: Path, recipe: Path, content: str, message: str) -> None:
    recipe.write_text(content)
    with pytest.raises(InputError, match=message):
        main(arguments(tmp_path, tiny_dataset, "--grid"))


def test_a_data_set_without_labels_is_refused(tmp_path: Path, tiny_dataset: Path) -> None:
    shutil.copytree(tiny_dataset, tmp_path / "bare")
    content = json.loads((tmp_path / "bare" / "dataset.json").read_text())
    for pair in content["splits"]["val"]:
        del pair["moving_label"], pair["fixed_label"]
    (tmp_path / "bare" / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="bare: no validation pair has labels, and a search selects by their Dice"):
        main(arguments(tmp_path, tmp_path / "bare", *GRID))


@pytest.mark.slow
def test_two_processes_share_a_search(tmp_path: Path, tiny_dataset: Path) -> None:
    words = [sys.executable, "-m", "tools.search", *arguments(tmp_path, tiny_dataset, "--grid")]
    words += ["--space", "smooth_weight=0.01,0.04", "--override", "max_epochs=1"]
    quiet = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONWARNINGS": "default"}
    both = [subprocess.Popen(words, cwd=ROOT, env=quiet, text=True, stderr=subprocess.PIPE) for _ in range(2)]
    errors = [process.communicate(timeout=600)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    tried = runs.find(tmp_path / "runs")
    assert [run.overrides["smooth_weight"] for run in tried] == [0.01, 0.04]
    for run in tried:  # none of them twice
        assert (run.folder(tmp_path / "runs") / "log.txt").read_text().count(" pairs, published DSC") == 1
    scores = {run.overrides["smooth_weight"]: runs.score(run, tmp_path / "runs") for run in tried}
    assert scores[best(tmp_path)["vxm_mse"]["smooth_weight"]] == max(scores.values())

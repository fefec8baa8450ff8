"""The study: one grid for all, the best of it repeated, nothing done twice."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch

from common.errors import InputError
from tools import study

BEST = {"vxm_mse": 0.01, "vxm_hetero": 0.02}
SUBJECTS = ["a", "a", "b", "b", "c", "c"]


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> list[study.Run]:
    """Trainings that only write what a training would; the list of those that ran."""
    ran: list[study.Run] = []

    def execute(run: study.Run, options: object) -> None:
        folder = run.folder(options.output)
        if (folder / "val" / "metrics.json").is_file():
            return
        ran.append(run)
        (folder / "val").mkdir(parents=True)
        (folder / "train").mkdir()
        dsc = 80 + (run.smooth_weight == BEST[run.bundle]) + 0.1 * run.seed + 0.5 * (run.bundle == "vxm_hetero")
        values = {name: {"mean": dsc, "sd": 1.0, "n": 6} for name in study.FIGURES}
        tables = {"published": values, "standard": values}
        metrics = {"dataset": "Toy", "pairs": 6, "protocols": tables, "undeformed": tables, "ause": None}
        metrics |= {"folding_percent": 0.0, "sd_log_jacobian": 0.1, "seconds_per_pair": 0.01}
        (folder / "val" / "metrics.json").write_text(json.dumps(metrics))
        with (folder / "val" / "metrics.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["subject", "published/dsc", "standard/dsc"])
            table.writerows([subject, dsc + n / 7, "" if n == 0 else dsc] for n, subject in enumerate(SUBJECTS))
        torch.save({"w": torch.zeros(1)}, folder / "train" / "model.pt")
        torch.save({"settings": {"dataset": "x", "seed": run.seed}}, folder / "train" / "checkpoint.pt")

    monkeypatch.setattr(study, "execute", execute)
    return ran


def arguments(tmp_path: Path, *extra: str) -> list[str]:
    bundles = ["--bundles", *BEST, "--reference", "vxm_mse"]
    return ["--dataset", str(tmp_path), "--output", str(tmp_path / "study"), *bundles, *extra]


def table(tmp_path: Path) -> dict:
    return json.loads((tmp_path / "study" / "study.json").read_text())


def test_each_method_gets_the_grid_and_the_best_of_it_all_seeds(tmp_path: Path, pretended: list[study.Run]) -> None:
    study.main(arguments(tmp_path))
    assert len(pretended) == 2 * (3 + 2) == len(set(pretended))
    for bundle, weight in BEST.items():
        row = table(tmp_path)[bundle]
        assert row["smooth_weight"] == weight and set(row["grid"]) == {"0.005", "0.01", "0.02"}
        first = 81.5 if bundle == "vxm_hetero" else 81.0
        assert row["published"]["dsc"]["seeds"] == pytest.approx([first, first + 0.1, first + 0.2])


def test_paired_tests_average_seeds_and_count_what_is_missing(tmp_path: Path, pretended: list[study.Run]) -> None:
    study.main(arguments(tmp_path))
    tests = table(tmp_path)["vxm_hetero"]["against"]["vxm_mse"]
    assert tests["published"]["pairs"]["difference"] == pytest.approx(0.5)
    assert tests["published"]["patients"]["n"] == 3
    assert (tests["standard"]["pairs"]["n"], tests["standard"]["pairs"]["dropped"]) == (5, 1)


def test_a_second_call_trains_nothing_again(tmp_path: Path, pretended: list[study.Run]) -> None:
    study.main(arguments(tmp_path))
    before = list(pretended)
    study.main(arguments(tmp_path, "--seeds", "0", "1", "2", "3"))
    assert {run.seed for run in pretended[len(before) :]} == {3}


def test_shipping_installs_weights_and_figures(
    tmp_path: Path, pretended: list[study.Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "BUNDLES", tmp_path / "bundles")
    monkeypatch.setattr(study, "RECIPES", tmp_path / "recipes")
    (tmp_path / "recipes" / "results").mkdir(parents=True)
    study.main(arguments(tmp_path, "--ship"))
    row = json.loads((tmp_path / "recipes" / "results" / "vxm_mse.json").read_text())
    assert row["weights"]["sha256"] == study.file_hash(tmp_path / "bundles" / "vxm_mse" / "models" / "model.pt")
    assert row["weights"]["settings"] == {"seed": 0}


def test_a_training_that_fails_ends_the_study_with_its_log(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"log.txt: training failed"):
        study.main(arguments(tmp_path, "--smooth-weights", "0.01", "--override", "no_such_setting=1"))

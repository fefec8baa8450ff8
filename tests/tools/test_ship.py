"""Shipping: the first seed's weights, every seed's figures, and refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from common.errors import InputError
from common.files import file_hash
from tools import ship
from tools.campaign import shipping
from tools.campaign.runs import Run
from tools.recipes import shipped as recorded

Make = Callable[..., Run]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where bundles and results are written to, instead of the repository."""
    monkeypatch.setattr(shipping, "BUNDLES", tmp_path / "bundles")
    monkeypatch.setattr(recorded, "RECIPES", tmp_path / "recipes")
    return tmp_path


def shipped(home: Path, *extra: str, bundle: str = "vxm_hetero") -> dict:
    ship.main(["--runs", str(home / "runs"), "--bundle", bundle, *extra])
    return json.loads((home / "recipes" / "results" / f"{bundle}.json").read_text())


def test_the_first_seed_s_weights_and_all_seeds_figures(home: Path, finished: Make) -> None:
    for seed in (1, 2, 10):
        finished("vxm_hetero", home / "runs", seed, smooth_weight=0.04, max_epochs=5)
    row, weights = shipped(home), home / "bundles" / "vxm_hetero" / "models" / "model.pt"
    assert row["weights"] == {
        "seed": 1, "sha256": file_hash(weights), "settings": {"smooth_weight": 0.04, "seed": 1, "max_epochs": 5}
    }  # fmt: skip
    assert row["chosen"] == {"smooth_weight": 0.04} and row["settings"] == {"max_epochs": 5}
    assert (row["dataset"], row["split"], row["pairs"], row["seeds"]) == ("tiny", "val", 6, [1, 2, 10])
    assert row["published"]["dsc"]["seeds"] == pytest.approx([79.6, 79.7, 80.5])
    assert row["published"]["dsc"]["mean"] == pytest.approx(239.8 / 3)
    assert row["shipped"]["standard"]["dsc"] == pytest.approx(79.6) and row["undeformed"]["published"]["hd"]["n"] == 6
    assert not {"ause", "grid", "grid_settings", "select", "against"} & set(row)


def test_weights_of_a_training_that_was_stopped_say_so(home: Path, finished: Make) -> None:
    run = finished("vxm_hetero", home / "runs", max_epochs=5)
    file = run.folder(home / "runs") / "train" / "checkpoint.pt"
    content = torch.load(file, weights_only=True)
    for epoch, said in ((3, 3), (5, None)):
        torch.save(content | {"epoch": epoch}, file)
        assert shipped(home)["weights"].get("stopped_after_epoch") == said


def test_weights_say_their_steps_and_not_where_what_they_began_with_lay(home: Path, finished: Make) -> None:
    run = finished("vxm_hetero", home / "runs")
    file = run.folder(home / "runs") / "train" / "checkpoint.pt"
    content = torch.load(file, weights_only=True)
    weight = torch.nn.Parameter(torch.ones(1))
    optimizers = {name: kind([weight], 0.1) for name, kind in (("Adam", torch.optim.Adam), ("SGD", torch.optim.SGD))}
    for _ in range(3):
        weight.grad = torch.ones(1)
        optimizers["Adam"].step()
    for name, steps in (("Adam", 3), ("SGD", None)):
        settings = content["settings"] | {"init": "elsewhere/runs/before.pt"}
        torch.save(content | {"settings": settings, "optimizer": optimizers[name].state_dict()}, file)
        weights = shipped(home)["weights"]
        assert weights.get("steps") == steps and weights["settings"]["init"] == "before.pt"
    torch.save(content | {"settings": content["settings"] | {"init": "vxm_mse:camus"}}, file)
    assert shipped(home)["weights"]["settings"]["init"] == "vxm_mse:camus"


def test_a_training_that_began_with_another_s_weights_is_told_after_it(home: Path, finished: Make) -> None:
    before = finished("vxm_hetero", home / "before", smooth_weight=0.04).folder(home / "before") / "train"
    file = finished("vxm_hetero", home / "runs").folder(home / "runs") / "train" / "checkpoint.pt"
    content = torch.load(file, weights_only=True)
    torch.save(content | {"settings": content["settings"] | {"init": str(before.resolve() / "model.pt")}}, file)
    row = shipped(home)
    assert row["weights"]["settings"]["init"] == "model.pt" and str(home) not in json.dumps(row)
    assert row["weights"]["began_with"]["smooth_weight"] == 0.04 and "dataset" not in row["weights"]["began_with"]
    first, then = recorded.training_command("vxm_hetero", row).split("    python -m monai.bundle")[1:]
    assert "--smooth_weight 0.04" in first and "--output_dir runs/first" in first
    assert "--init runs/first/model.pt" in then and "runs/first " not in then


def test_a_later_training_without_overrides_keeps_what_was_chosen(home: Path, finished: Make) -> None:
    finished("vxm_hetero", home / "runs", smooth_weight=0.04)
    assert shipped(home)["chosen"] == {"smooth_weight": 0.04}
    finished("vxm_hetero", home / "runs", seed=1)  # of a bundle rendered with the value 0.02
    row = shipped(home, "--variant", "default")
    assert row["chosen"] == {"smooth_weight": 0.02} and "sd" not in row["published"]["dsc"]


def test_a_grid_is_shown_without_what_its_runs_share(home: Path, finished: Make) -> None:
    finished("vxm_hetero", home / "runs")
    for weight in (0.01, 0.02):
        finished("vxm_hetero", home / "grid", smooth_weight=weight, max_epochs=6)
    row = shipped(home, "--searched", str(home / "grid"))
    assert row["grid"] == {"smooth_weight=0.01": 80.0, "smooth_weight=0.02": 80.5}
    assert row["grid_settings"] == {"max_epochs": 6} and row["select"] == "published/dsc"


def test_weights_trained_anew_keep_the_scores_of_the_search_before(home: Path, finished: Make) -> None:
    finished("vxm_hetero", home / "runs", smooth_weight=0.02)
    finished("vxm_hetero", home / "grid", smooth_weight=0.02)
    searched = shipped(home, "--searched", str(home / "grid"))
    assert {key: shipped(home)[key] for key in ("grid", "select")} == {key: searched[key] for key in ("grid", "select")}


def test_paired_tests_average_seeds_and_count_what_is_missing(home: Path, finished: Make) -> None:
    for seed in (0, 1):
        finished("vxm_hetero", home / "runs", seed)
        finished("vxm_mse", home / "runs", seed)
        finished("vxm_mse", home / "runs", seed, smooth_weight=0.04)
    row = shipped(home, "--against", "vxm_mse", "--against-variant", "smooth_weight=0.04")
    tests = row["against"]["vxm_mse"]
    assert tests["published"]["pairs"]["difference"] == pytest.approx(1.5)
    assert tests["published"]["patients"]["n"] == 3
    assert (tests["standard"]["pairs"]["n"], tests["standard"]["pairs"]["dropped"]) == (5, 1)
    assert "against" not in shipped(home, "--against", "vxm_hetero")


def test_nothing_is_written_unless_all_is_well(home: Path, finished: Make) -> None:
    run = finished("vxm_hetero", home / "runs")
    other = finished("vxm_mse", home / "runs")
    table = other.folder(home / "runs") / "val" / "metrics.csv"
    table.write_text(table.read_text().replace("p3,", "p33,"))
    with pytest.raises(InputError, match="vxm_hetero and vxm_mse were evaluated on different pairs"):
        shipped(home, "--against", "vxm_mse")
    (home / "runs" / "vxm_hetero" / "default" / "seed_1").mkdir()
    with pytest.raises(InputError, match="default/seed_1: unfinished; finish it"):
        shipped(home)
    with pytest.raises(InputError, match="no runs of smooth_weight=3, only default; train them first"):
        shipped(home, "--variant", "smooth_weight=3")
    with pytest.raises(InputError, match="runs/vxm_adacs: no runs of any variant, none; train them first"):
        shipped(home, bundle="vxm_adacs")
    finished("vxm_hetero", home / "runs", gamma=1.0)
    with pytest.raises(InputError, match=r"several variants; choose one: --variant default \| gamma=1.0"):
        shipped(home)
    with pytest.raises(InputError, match="vxm_other: no such bundle"):
        shipped(home, bundle="vxm_other")
    assert run.folder(home / "runs").is_dir() and not (home / "bundles").exists() and not (home / "recipes").exists()


def test_large_weights_belong_elsewhere(home: Path, finished: Make) -> None:
    finished("vxm_hetero", home / "runs", size=6_500_000)
    with pytest.raises(InputError, match=r"model.pt: 26 MB, more than the 25 MB that a repository should hold"):
        shipped(home)
    assert not (home / "bundles").exists()


def test_results_in_the_repository_are_of_this_form() -> None:
    needed = {"chosen", "dataset", "split", "pairs", "seeds", "weights", "shipped"}
    needed |= {"published", "standard", "undeformed"}
    without = {"dataset", "split", "pairs", "engine", "settings", "published", "standard", "folding_percent"}
    compared = {"dataset", "bundle", "init", "labels", "train", "val", "steps_an_epoch", "seeds", "rows"}
    followed = {"benchmark", "machine", "subjects", "frames", "steps", "seed", "rows"}
    forms = {"baselines": without, "finetune": compared, "refine": {"benchmark", "dataset", "split", "pairs", "points"}}
    forms["following"] = followed
    for path in (recorded.RECIPES / "results").rglob("*.json"):
        row = yaml.safe_load(path.read_text())
        assert forms.get(path.parent.name, needed) <= set(row), path


def test_no_map_that_is_shipped_is_the_same_everywhere() -> None:
    """A variance that has fallen to its least value everywhere ranks nothing, and has no rank correlation."""
    rows = [(path, json.loads(path.read_text())) for path in (recorded.RECIPES / "results").rglob("*.json")]
    with_map = {path: row for path, row in rows if "ause" in row}
    assert len(with_map) > 10 and not [path for path, row in with_map.items() if "spearman" not in row]


def test_weights_of_a_name_lie_beside_the_default_ones(home: Path, finished: Make) -> None:
    finished("vxm_hetero", home / "runs", smooth_weight=0.04)
    default = shipped(home)
    finished("vxm_hetero", home / "others", seed=3, smooth_weight=0.01, max_epochs=9)
    ship.main(["--runs", str(home / "others"), "--bundle", "vxm_hetero", "--weights", "camus"])
    row = json.loads((home / "recipes" / "results" / "camus" / "vxm_hetero.json").read_text())
    models = home / "bundles" / "vxm_hetero" / "models"
    assert sorted(path.name for path in models.iterdir()) == ["model.pt", "model_camus.pt"]
    assert row["weights"]["sha256"] == file_hash(models / "model_camus.pt")
    assert row["chosen"] == {"smooth_weight": 0.01} and row["settings"] == {"max_epochs": 9}
    assert recorded.results("vxm_hetero") == default and recorded.results("vxm_hetero", "camus") == row
    assert list(recorded.all_results("vxm_hetero")) == ["tiny", "camus"]
    command = recorded.training_command("vxm_hetero", row)
    assert all(text in command for text in ("--smooth_weight 0.01", "--max_epochs 9", "--seed 3"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Camus 2", "--weights Camus 2: give a name of small letters, digits and _, as camus"),
        ("tiny", "--weights tiny: that is vxm_hetero's default; leave out --weights, or choose another name"),
    ],
)
def test_a_name_that_weights_cannot_have_is_refused(home: Path, finished: Make, name: str, message: str) -> None:
    finished("vxm_hetero", home / "runs")
    with pytest.raises(InputError, match="--weights camus: vxm_hetero has no default weights; ship those first"):
        ship.main(["--runs", str(home / "runs"), "--bundle", "vxm_hetero", "--weights", "camus"])
    shipped(home)
    with pytest.raises(InputError, match=message):
        ship.main(["--runs", str(home / "runs"), "--bundle", "vxm_hetero", "--weights", name])
    assert len(list((home / "bundles" / "vxm_hetero" / "models").iterdir())) == 1


def test_half_precision_takes_half_of_the_space_and_is_said(home: Path, finished: Make) -> None:
    run = finished("vxm_hetero", home / "runs", size=10_000)
    row, weights = shipped(home, "--half"), home / "bundles" / "vxm_hetero" / "models" / "model.pt"
    full = torch.load(run.folder(home / "runs") / "train" / "model.pt", weights_only=True)
    half = torch.load(weights, weights_only=True)
    assert row["weights"]["precision"] == "float16" and row["weights"]["sha256"] == file_hash(weights)
    assert full.keys() == half.keys()
    for key, value in full.items():
        assert half[key].dtype == (torch.float16 if value.is_floating_point() else value.dtype)
        assert torch.allclose(half[key].to(value.dtype), value, rtol=1e-3, atol=1e-6)

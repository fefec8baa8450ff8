"""The comparison from end to end, its evaluations pretended: what is evaluated, what the table and the page say."""

from __future__ import annotations

import csv
import json
import re
from math import sqrt
from pathlib import Path

import pytest

from common.data.prepared import read
from common.errors import InputError
from tools.compare.__main__ import main
from tools.compare.published import published_for


def compare(acdc: Path, output: Path, *rows: str | Path) -> int:
    return main(["--dataset", str(acdc), "--split", "val", "--output", str(output), *map(str, rows)])


def lines(output: Path) -> dict[str, dict[str, str]]:
    return {row["row"]: row for row in csv.DictReader((output / "compare.csv").read_text().splitlines())}


@pytest.fixture
def runs(made: dict, tmp_path: Path) -> Path:
    """Two methods of two and one seeds."""
    for bundle, seed, dsc in (("vxm_mse", 0, 80.0), ("vxm_mse", 1, 82.0), ("vxm_hetero", 0, 83.5)):
        made["run"](tmp_path / "runs", bundle, "default", seed, dsc)
    return tmp_path / "runs"


@pytest.mark.usefixtures("no_page")
def test_seeds_are_means_with_their_spread(acdc: Path, runs: Path, pretended: list, tmp_path: Path) -> None:
    assert compare(acdc, tmp_path / "out", "--runs", runs, "elastix") == 0
    rows = lines(tmp_path / "out")
    assert list(rows) == ["no registration", "elastix", "vxm_mse", "vxm_hetero"]
    mse, hetero = rows["vxm_mse"], rows["vxm_hetero"]
    assert (mse["seeds"], float(mse["published/dsc"]), mse["published/dsc_n"]) == ("2", 81.0, "4")
    assert float(mse["published/dsc_sd"]) == pytest.approx(sqrt(2))
    assert (hetero["seeds"], hetero["published/dsc"], hetero["published/dsc_sd"]) == ("1", "83.5", "")
    assert float(rows["no registration"]["published/dsc"]) == 60
    assert (mse["parameters"], rows["elastix"]["parameters"]) == ("1234567", "1234567")
    # against vxm_mse, whose seeds are averaged per pair: the same 2.5 points for each of the 4 pairs
    assert float(hetero["tests/standard/dsc/pairs/difference"]) == 2.5
    assert (hetero["tests/standard/dsc/pairs/n"], hetero["tests/standard/dsc/patients/n"]) == ("4", "4")
    assert float(hetero["tests/standard/dsc/pairs/ci_low"]) == pytest.approx(2.5)
    assert mse["tests/standard/dsc/pairs/difference"] == ""


def test_the_papers_numbers_stand_beside_ours(
    acdc: Path, runs: Path, made: dict, pretended: list, tmp_path: Path
) -> None:
    made["weights"](runs / "vxm_hetero" / "default" / "seed_0" / "train" / "model.pt", 83.5, True)
    compare(acdc, tmp_path / "out", "--runs", runs, "undeformed")
    rows = lines(tmp_path / "out")
    assert (rows["vxm_mse"]["papers/dsc"], rows["vxm_hetero"]["papers/asd"]) == ("80.2", "1.21")
    assert float(rows["vxm_mse"]["papers/dsc_difference"]) == pytest.approx(0.8)
    assert float(rows["undeformed"]["papers/dsc"]) == 47.98
    html = (tmp_path / "out" / "compare.html").read_text()
    assert "Δ +0.80" in html and "paper 1.10" in html  # AUSE of hetero
    assert "50 test patients of ACDC" in html


def test_published_numbers_are_chosen_by_the_data_set(acdc: Path, tiny_dataset: Path) -> None:
    known = published_for(read(acdc))
    assert known.of("vxm_mse")[0].dsc == 80.20 and known.of("vxm_mse")[1].dsc == 79.48
    assert known.of("dfm_adacs")[0].hd == 5.35 and known.of("dfm_hetero") == []
    for name, number in (("CAMUS", 81.76), ("camus, 2CH", 81.76), ("ACDC 2D", 80.20)):
        dataset = read(acdc)
        dataset = type(dataset)(**{**vars(dataset), "name": name})
        assert published_for(dataset).of("vxm_mse")[0].dsc == number
    volumes = type(dataset)(**{**vars(read(acdc)), "spatial_dims": 3})
    assert not published_for(volumes).rows and not published_for(read(tiny_dataset)).rows


def test_every_published_row_has_three_numbers_that_can_be() -> None:
    for name in ("ACDC", "CAMUS"):
        dataset = type("D", (), {"name": name, "spatial_dims": 2})
        papers = [paper for row in published_for(dataset).rows.values() for paper in row]
        assert len(papers) == 31
        assert all(45 < paper.dsc < 85 and 4 < paper.hd < 13 and 1 < paper.asd < 3 for paper in papers)


@pytest.mark.usefixtures("no_page")
def test_a_second_call_evaluates_nothing(acdc: Path, runs: Path, pretended: list, tmp_path: Path) -> None:
    for _ in range(2):
        compare(acdc, tmp_path / "out", "--runs", runs, "elastix")
        assert len(pretended) == 4
    first = (tmp_path / "out" / "compare.csv").read_text()
    (tmp_path / "out" / "rows" / "vxm_mse" / "seed_1" / "metrics.json").unlink()  # stopped before its end
    compare(acdc, tmp_path / "out", "--runs", runs, "elastix")
    assert [each["bundle"] for each in pretended[4:]] == ["vxm_mse"]
    assert (tmp_path / "out" / "compare.csv").read_text() == first
    compare(acdc, tmp_path / "out", "--runs", runs, "elastix", "--override", "device=cpu")
    assert len(pretended) == 5
    compare(acdc, tmp_path / "out", "--runs", runs, "elastix", "--override", "labels=[2]")
    assert [each.get("labels") for each in pretended[5:]] == [None, "[2]", "[2]", "[2]"]


@pytest.mark.usefixtures("no_page")
def test_other_weights_are_evaluated_anew(acdc: Path, runs: Path, made: dict, pretended: list, tmp_path: Path) -> None:
    compare(acdc, tmp_path / "out", "--runs", runs)
    made["weights"](runs / "vxm_hetero" / "default" / "seed_0" / "train" / "model.pt", 84.0)
    compare(acdc, tmp_path / "out", "--runs", runs)
    assert [each["bundle"] for each in pretended[3:]] == ["vxm_hetero"]
    assert lines(tmp_path / "out")["vxm_hetero"]["published/dsc"] == "84.0"


@pytest.mark.usefixtures("no_page")
def test_a_runs_own_evaluation_is_taken_if_it_is_of_its_weights(
    acdc: Path, runs: Path, made: dict, pretended: list, tmp_path: Path
) -> None:
    compare(acdc, tmp_path / "out", "--runs", runs)
    run = runs / "vxm_hetero" / "default" / "seed_0"
    for path in (tmp_path / "out" / "rows" / "vxm_hetero" / "seed_0").glob("*.[cjn]*"):
        path.rename(run / "val" / path.name)
    compare(acdc, tmp_path / "out", "--runs", runs)
    assert len(pretended) == 3
    main(["--dataset", str(acdc), "--split", "test", "--output", str(tmp_path / "test"), "--runs", str(runs)])
    assert [each["split"] for each in pretended[3:]] == ["test"] * 3
    made["weights"](run / "train" / "model.pt", 85.0)
    compare(acdc, tmp_path / "out", "--runs", runs)
    assert lines(tmp_path / "out")["vxm_hetero"]["published/dsc"] == "85.0"


@pytest.mark.usefixtures("no_page")
def test_settings_of_a_variant_reach_the_network_but_not_those_of_training(
    acdc: Path, made: dict, pretended: list, tmp_path: Path
) -> None:
    made["run"](tmp_path / "runs", "vxm_mse", "batch_size=2,smooth_weight=0.04,spatial_dims=2", 0, 80)
    compare(acdc, tmp_path / "out", "--runs", tmp_path / "runs")
    assert pretended[0]["spatial_dims"] == "2"
    assert not {"batch_size", "smooth_weight"} & pretended[0].keys()


@pytest.mark.usefixtures("no_page")
def test_a_refined_row_is_an_evaluation_of_its_own(acdc: Path, runs: Path, pretended: list, tmp_path: Path) -> None:
    file, override = runs / "vxm_mse" / "default" / "seed_0" / "train" / "model.pt", ("--override", "refine_steps=7")
    rows = f"vxm_mse={file}", f"vxm_mse+refine50={file}", f"vxm_mse+refine5={file}"
    for _ in range(2):  # the second finds all of them
        assert compare(acdc, tmp_path / "out", *rows) == 0
        assert [each.get("refine_steps") for each in pretended] == [None, "5", "50"]
    found = lines(tmp_path / "out")
    assert list(found)[1:] == ["vxm_mse", "vxm_mse+refine5", "vxm_mse+refine50"]
    assert found["vxm_mse"]["papers/dsc"] and not found["vxm_mse+refine5"]["papers/dsc"]
    folders = [tmp_path / "out" / "rows" / name for name in ("vxm_mse", "vxm_mse_refine50")]
    plain, refined = (next(folder.iterdir()) for folder in folders)
    assert json.loads((refined / "overrides.json").read_text()) == {"refine_steps": "50"}
    for path in plain.glob("*.[cjn]*"):  # an evaluation of the same weights without refinement is not taken for it
        (refined / path.name).write_bytes(path.read_bytes())
    (refined / "overrides.json").unlink()
    compare(acdc, tmp_path / "out", *rows)
    assert [each["refine_steps"] for each in pretended[3:]] == ["50"]
    compare(acdc, tmp_path / "out", *rows, *override)  # a row's own steps go before those of all
    assert [each["refine_steps"] for each in pretended[4:]] == ["7"]


@pytest.mark.usefixtures("no_page")
def test_runs_are_refined_beside_themselves(
    acdc: Path, runs: Path, pretended: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.compare.rows.weights_file", lambda *_: tmp_path / "no_shipped_weights.pt")
    for _ in range(2):
        assert compare(acdc, tmp_path / "out", "--runs", runs, "vxm_mse+refine9") == 0
        assert [each.get("refine_steps") for each in pretended] == [None, None, "9", "9", None]
    rows = lines(tmp_path / "out")
    assert [(name, row["seeds"]) for name, row in rows.items()][1:] == [
        ("vxm_mse", "2"), ("vxm_mse+refine9", "2"), ("vxm_hetero", "1")
    ]  # fmt: skip


def test_a_row_that_fails_is_told_and_the_others_are_shown(
    acdc: Path, runs: Path, made: dict, pretended: list, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, absent = made["weights"](tmp_path / "bad.pt", -1), tmp_path / "absent.pt"
    assert compare(acdc, tmp_path / "out", "--runs", runs, f"vxm_adacs={bad}", f"vxm_adacs={absent}") == 1
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert "weights of another network" in told[0] and "log.txt" in told[0] and "absent.pt: no such file" in told[1]
    html = (tmp_path / "out" / "compare.html").read_text()
    assert html.count("<b>vxm_adacs</b>") == 2 and "weights of another network" in html
    assert list(lines(tmp_path / "out")) == ["no registration", "vxm_mse", "vxm_hetero"]
    with pytest.raises(InputError, match="none of the 1 rows"):
        compare(acdc, tmp_path / "none", f"vxm_adacs={bad}")
    assert not (tmp_path / "none" / "compare.html").exists()


def test_the_page_stands_alone_and_shows_the_pairs_that_are_asked_for(
    acdc: Path, runs: Path, made: dict, pretended: list, tmp_path: Path
) -> None:
    made["weights"](runs / "vxm_hetero" / "default" / "seed_0" / "train" / "model.pt", 83.0, True)
    compare(acdc, tmp_path / "out", "--runs", runs, "undeformed", "--title", "<Every> method")
    html = (tmp_path / "out" / "compare.html").read_text()
    assert "&lt;Every&gt; method" in html and html.count("<script>") == 1
    assert not re.search(r"""(?:src|href)=["'](?!#|data:)""", html)
    ids = re.findall(r'\bid="([^"]*)"', html)
    assert len(set(ids)) == len(ids) and set(re.findall(r'href="#([^"]+)"', html)) <= set(ids)
    assert re.findall(r"Pair (pair\d\d): VoxelMorph", html) == ["pair12", "pair15"]
    assert '<table class="values sortable">' in html and 'data-value="81.0"' in html
    assert "1 · 10⁻⁴" not in html and "Sparsification curves. AUSE: vxm_hetero" in html
    compare(acdc, tmp_path / "out", "--runs", runs, "--show", "pair13")
    assert re.findall(r"Pair (pair\d\d): VoxelMorph", (tmp_path / "out" / "compare.html").read_text()) == ["pair13"]
    assert [json.loads(each["examples"]) for each in pretended[4:]] == [["pair13"]] * 3


def test_bad_options_are_one_line_before_any_work(acdc: Path, runs: Path, pretended: list, tmp_path: Path) -> None:
    refused = {
        "--against": ["--against", "vxm_nothing"],
        "--show": ["--show", "pair99"],
        "KEY=VALUE": ["--override", "device"],
        "no such row": ["vxm"],
    }
    for line, options in refused.items():
        with pytest.raises(InputError, match=line):
            compare(acdc, tmp_path / "out", "--runs", runs, *options)
    assert not pretended


@pytest.mark.slow
def test_a_shipped_bundle_for_real(acdc: Path, tmp_path: Path) -> None:
    assert compare(acdc, tmp_path / "out", "vxm_mse", "undeformed", "--override", "device=cpu") == 0
    rows = lines(tmp_path / "out")
    assert float(rows["vxm_mse"]["standard/dsc"]) > 0 and int(rows["vxm_mse"]["parameters"]) == 109_170

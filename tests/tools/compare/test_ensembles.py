"""Ensembles as rows, and the table of the paper that predicts labels; evaluations are pretended."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from common.data.pairing import pairs_of
from common.data.prepared import read
from common.errors import InputError
from tools.compare.__main__ import main
from tools.compare.columns import SHOWN, WITH_LABELS, shown_of
from tools.compare.ensembles import Ensemble
from tools.compare.published import published_for
from tools.compare.rows import parse_rows
from tools.report.__main__ import main as report

KINDS = ("bootstrap", "dropout", "snapshot")


def compare(dataset: Path, output: Path, *words: str | Path) -> int:
    return main(["--dataset", str(dataset), "--output", str(output), "--members", "3", *map(str, words)])


def lines(output: Path) -> dict[str, dict[str, str]]:
    return {row["row"]: row for row in csv.DictReader((output / "compare.csv").read_text().splitlines())}


@pytest.fixture
def rows(made: dict, tmp_path: Path) -> list[str]:
    """The four rows of vxm_weak and of vxm_predictive."""
    found = []
    for bundle, quality in (("vxm_predictive", 45), ("vxm_weak", 20)):
        runs = tmp_path / "runs" / bundle
        one = made["weights"](runs / "default" / "seed_0" / "train" / "model.pt", quality, bundle != "vxm_weak")
        for k in range(4):
            made["weights"](runs / "training_share=0.9" / f"seed_{k}" / "train" / "model.pt", quality + k)
            made["weights"](runs / "snapshot" / "seed_0" / "train" / "snapshots" / f"snapshot_{k}.pt", quality + 5 + k)
        patterns = (runs / "training_share=0.9/seed_*/train/model.pt", one, runs / "snapshot/seed_0/train/snapshots")
        found += [f"{bundle}={one}", *(f"{bundle}+{kind}={each}" for kind, each in zip(KINDS, patterns, strict=True))]
    return found


def test_rows_come_in_the_papers_order(rows: list[str]) -> None:
    names = [row.name for row in parse_rows([*reversed(rows), "undeformed"])]
    kinds = ["", *(f"+{kind}" for kind in KINDS)]
    assert names == ["undeformed", *(f"{bundle}{kind}" for bundle in ("vxm_weak", "vxm_predictive") for kind in kinds)]


@pytest.mark.usefixtures("no_page")
def test_the_papers_table(hippocampus: Path, rows: list[str], pretended: list, tmp_path: Path) -> None:
    assert compare(hippocampus, tmp_path / "out", "--pairing", "atlas", *rows) == 0
    table = lines(tmp_path / "out")
    weak, ensemble = table["vxm_weak"], table["vxm_weak+bootstrap"]
    assert all(weak[column.key] for column in WITH_LABELS if column.key not in ("error_auroc", "error_auroc_band"))
    assert (weak["trainings"], ensemble["trainings"], table["vxm_predictive+snapshot"]["trainings"]) == ("1", "3", "1")
    assert (weak["papers/label/dsc"], ensemble["papers/label/ause_err"]) == ("91.2", "0.002")
    assert float(ensemble["label/ause_err"]) < float(weak["label/ause_err"])
    assert weak["pairs"] == "3"  # each validation image once
    asked = {each["bundle"] + "+" * ("members" in each): each for each in pretended}
    # both bundles are made for three dimensions
    assert all(each["pairing"] == "atlas" and "spatial_dims" not in each for each in pretended)
    assert "checkpoint" not in asked["vxm_weak+"] and "members" not in asked["vxm_weak"]


@pytest.mark.usefixtures("no_page")
def test_what_each_kind_is_made_of(hippocampus: Path, rows: list[str], pretended: list, tmp_path: Path) -> None:
    compare(hippocampus, tmp_path / "out", *rows[4:])
    bootstrap, dropout, snapshot = pretended[1:]
    names = [[Path(file).parts[-3:] for file in json.loads(each["members"])] for each in pretended[1:]]
    assert names[0] == [(f"seed_{k}", "train", "model.pt") for k in range(3)]
    assert (len(names[1]), dropout["passes"], dropout["dropout"]) == (1, "3", "0.1")
    assert len(set(names[2])) == 3 and names[2] != sorted(names[2])[:3] or snapshot["members"].count("snapshot_") == 3
    assert "passes" not in bootstrap and "passes" not in snapshot
    assert all(each["config_file"].endswith("vxm_weak/configs/ensemble_evaluate.yaml") for each in pretended[1:])


@pytest.mark.usefixtures("no_page")
def test_an_ensemble_is_evaluated_anew_only_for_other_members_or_pairs(
    hippocampus: Path, rows: list[str], made: dict, pretended: list, tmp_path: Path
) -> None:
    for _ in range(2):
        compare(hippocampus, tmp_path / "out", *rows)
        assert len(pretended) == 8
    made["weights"](tmp_path / "runs/vxm_weak/training_share=0.9/seed_1/train/model.pt", 60)
    made["weights"](tmp_path / "runs/vxm_weak/training_share=0.9/seed_3/train/model.pt", 60)  # not among the first 3
    compare(hippocampus, tmp_path / "out", *rows)
    assert ["seed_1" in each["members"] for each in pretended[8:]] == [True]
    compare(hippocampus, tmp_path / "out", *rows[4:6], "--members", "4")
    assert len(pretended) == 10
    compare(hippocampus, tmp_path / "out", *rows[4:6], "--pairing", "all")
    assert [each.get("pairing") for each in pretended[10:]] == ["all"] * 2


def test_rows_that_fail_are_one_line_each(
    hippocampus: Path, rows: list[str], made: dict, pretended: list, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], no_page: None,
) -> None:  # fmt: skip
    bad = made["weights"](tmp_path / "bad.pt", -1)
    pattern, few = tmp_path / "none" / "*.pt", tmp_path / "few"
    made["weights"](few / "a.pt", 50)
    failing = [f"vxm_weak+bootstrap={pattern}", f"vxm_weak+snapshot={few}", f"vxm_predictive+dropout={bad}"]
    failing.append(f"vxm_predictive+dropout={rows[1].partition('=')[2]}")
    assert compare(hippocampus, tmp_path / "out", rows[0], *failing) == 1
    told = capsys.readouterr().err.splitlines()
    parts = (str(pattern), "1 files for 3 members", "weights of another network", "dropout samples one network")
    assert len(told) == 4 and all(any(part in line for line in told) for part in parts)
    assert list(lines(tmp_path / "out")) == ["no registration", "vxm_predictive"]


@pytest.mark.parametrize("text", ["vxm_weak+boot=a", "vxm_weak+dropout", "undeformed+dropout=a", "vxm_weak+=a"])
def test_what_is_no_ensemble_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"BUNDLE\+KIND=MEMBERS with KIND bootstrap, dropout, snapshot"):
        parse_rows([text])


def test_an_ensemble_of_one_is_refused(hippocampus: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--members 1: an ensemble has 2 or more"):
        compare(hippocampus, tmp_path / "out", "vxm_weak", "--members", "1")


def test_members_are_what_their_run_was_trained_with(
    hippocampus: Path, made: dict, pretended: list, tmp_path: Path, no_page: None
) -> None:
    folder = tmp_path / "runs/vxm_weak/diffeomorphic=false,dropout=0.2,training_share=0.9"
    for k in range(3):
        made["weights"](folder / f"seed_{k}/train/model.pt", 40 + k)
    compare(hippocampus, tmp_path / "out", f"vxm_weak+bootstrap={folder}/seed_*/train/model.pt")
    assert pretended[0]["diffeomorphic"] == "false"
    assert not {"dropout", "training_share"} & pretended[0].keys()
    row = parse_rows([f"vxm_weak+bootstrap={tmp_path}/runs/vxm_weak/*/seed_0/train/model.pt"])[0]
    assert row.members[0].settings == {}


def test_snapshots_are_drawn_at_random_but_always_the_same(made: dict, tmp_path: Path) -> None:
    for k in range(20):
        made["weights"](tmp_path / f"snapshot_{k:02d}.pt", k)
    found = [Ensemble("snapshot", str(tmp_path)).files for _ in range(2)]
    assert found[0] == found[1] and len(set(found[0])) == 8
    assert found[0] != sorted(tmp_path.resolve().glob("*.pt"))[-8:]


@pytest.mark.parametrize(("name", "rows"), [("MSD Hippocampus", 8), ("Task05_Prostate", 4)])
def test_published_tables_are_of_volumes(name: str, rows: int) -> None:
    published = published_for(type("D", (), {"name": name, "spatial_dims": 3}))
    assert len(published.table) == rows and "Gong" in published.source("vxm_weak")
    for numbers in published.table.values():
        assert 70 < numbers["label/dsc"] < 100 and 0.5 < numbers["image/nlcc"] < 0.9
        assert 0 < numbers["label/ause_err"] < 0.01
    assert not published_for(type("D", (), {"name": name, "spatial_dims": 2})).table


def test_the_page_and_the_report(hippocampus: Path, rows: list[str], pretended: list, tmp_path: Path) -> None:
    compare(hippocampus, tmp_path / "out", "--pairing", "atlas", *rows[::5])
    html = (tmp_path / "out" / "compare.html").read_text()
    assert "Dice of the predicted labels" in html and "paper 91.20" not in html and "paper 93.73" in html
    assert "Sparsification of the label error. AUSE of ERR: vxm_weak+bootstrap" in html
    assert "predicted</b>" not in html and "predicted label</b>" in html and "<dt>Label uncertainty</dt>" in html
    ids = re.findall(r'\bid="([^"]*)"', html)
    assert len(set(ids)) == len(ids)
    folders = [path.parent for path in (tmp_path / "out" / "rows").glob("*/*/metrics.json")]
    report(["--evaluations", *map(str, folders), "--dataset", str(hippocampus), "--output", str(tmp_path / "r.html")])
    html = (tmp_path / "r.html").read_text()
    assert "Sparsification of the label error" in html
    assert "ensemble_evaluate.yaml" in html and "--pairing atlas" in html.replace("\\\n  ", "")


def test_atlas_pairs_are_those_that_are_evaluated(hippocampus: Path) -> None:
    pairs = pairs_of(read(hippocampus), "val", "atlas")
    assert [pair["subject"] for pair in pairs] == ["s3", "s4", "s5"]
    assert {pair["moving_subject"] for pair in pairs} <= {"s0", "s1", "s2"}


def test_where_only_some_predict_labels_the_others_keep_their_columns() -> None:
    labelled, plain, classical = (
        SimpleNamespace(summary=summary)
        for summary in ({"parameters": 1, "label": {"dsc": {}}}, {"parameters": 1}, {"parameters": None})
    )
    assert shown_of([plain, classical]) == SHOWN
    assert shown_of([labelled, classical]) == WITH_LABELS
    assert shown_of([labelled, plain])[: len(SHOWN)] == SHOWN and len(shown_of([labelled, plain])) == len(SHOWN) + 4

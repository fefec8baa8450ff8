"""The page: it holds every method and number, stands alone, and copes with what an evaluation does not have."""

from __future__ import annotations

import csv
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest

from tools.report.__main__ import main
from tools.report.columns import MAIN
from tools.report.evaluations import read_evaluations
from tools.report.table import build, to_csv

VOID = {"meta", "link", "br", "img", "input"}


class Page(HTMLParser):
    """What the tests ask a page about."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.resources: list[str] = []
        self.drawings: list[str] = []
        self.open: list[str] = []
        self.cells: list[list[str]] = []
        self.inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids += [found["id"]] if found.get("id") else []
        self.resources += [value for key in ("src", "href", "xlink:href", "srcset") if (value := found.get(key))]
        if found.get("role") == "img":
            self.drawings.append(found.get("aria-label") or "")
        self.open += [tag] if tag not in VOID else []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()


def report(folder: Path, *arguments: str | Path) -> str:
    main([*map(str, arguments), "--output", str(folder / "report.html")])
    return (folder / "report.html").read_text()


@pytest.fixture(scope="module")
def evaluations(make: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("evaluations")
    return [make.evaluation(root / name, name) for name in make.methods]


@pytest.fixture(scope="module")
def full(make: SimpleNamespace, evaluations: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of everything there can be in one."""
    root = tmp_path_factory.mktemp("full")
    runs = [make.run(root / name / "train") for name in ("vxm_hetero", "vxm_adacs")]
    report(root, "--evaluations", *evaluations, "--trainings", *runs, "--dataset", make.dataset(root / "data"))
    return root


def test_stands_alone(full: Path) -> None:
    html = (full / "report.html").read_text()
    page = Page(html)
    assert not page.open, "an element is not closed"
    assert all(each.startswith(("#", "data:")) for each in page.resources)
    assert not re.search(r"@import|url\((?!#)|<script", html)
    assert len(html) < 5e6


def test_ids_are_unique_and_links_lead_somewhere(full: Path) -> None:
    page = Page((full / "report.html").read_text())
    assert len(set(page.ids)) == len(page.ids)
    assert {each[1:] for each in page.resources if each.startswith("#")} <= set(page.ids)


def test_every_drawing_is_described(full: Path) -> None:
    drawings = Page((full / "report.html").read_text()).drawings
    # distribution, pair, sparsification, two of truth, all runs and each of two
    assert len(drawings) == 8
    assert all(len(each) > 20 for each in drawings)


def test_holds_every_method_and_printed_number(full: Path, evaluations: list[Path], make: SimpleNamespace) -> None:
    html = (full / "report.html").read_text()
    body = html[html.index('<table class="values">') : html.index('id="tests"')]
    for folder, name in zip(evaluations, make.methods, strict=True):
        summary = json.loads((folder / "metrics.json").read_text())
        row = body[body.index(f"{name}</th>") :].split("</tr>")[0]
        for protocol in summary["protocols"].values():
            for metric in protocol.values():
                assert f"{metric['mean']:.2f}" in row
                assert f"± {metric['sd']:.2f}" in row
        assert f"{summary['folding_percent']:.3f}" in row
        assert f"{1000 * summary['seconds_per_pair']:.1f}" in row
        assert f"{summary['truth']['endpoint_error']['mean']:.2f}" in row


def test_csv_is_metrics_json_in_full_precision(full: Path, evaluations: list[Path], make: SimpleNamespace) -> None:
    rows = {row["method"]: row for row in csv.DictReader((full / "report.csv").read_text().splitlines())}
    assert list(rows) == ["no registration", *make.methods]
    for folder, name in zip(evaluations, make.methods, strict=True):
        summary = json.loads((folder / "metrics.json").read_text())
        for key in ("published/dsc", "standard/hd95"):
            protocol, metric = key.split("/")
            expected = summary["protocols"][protocol][metric]
            assert float(rows[name][key]) == expected["mean"]
            assert float(rows[name][f"{key}_sd"]) == expected["sd"]
            assert int(rows[name][f"{key}_n"]) == expected["n"]
    assert rows["vxm_mse"]["ause"] == ""


def test_same_inputs_give_the_same_bytes(evaluations: list[Path], tmp_path: Path) -> None:
    arguments = ("--evaluations", evaluations[1])
    assert report(tmp_path, *arguments) == report(tmp_path, *arguments)


def test_prints_an_aligned_table_and_the_path_last(
    evaluations: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report(tmp_path, "--evaluations", *evaluations[:2])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == str(tmp_path / "report.html")
    start = next(i for i, line in enumerate(lines) if line.startswith("Standard protocol"))
    block = lines[start : lines.index("", start)]
    assert [line.split("  ")[0] for line in block[2:]] == ["no registration", "vxm_mse", "vxm_hetero"]
    points = [[match.start() for match in re.finditer(r"\.\d\d ±", line)] for line in block[2:]]
    assert points[0] == points[1] == points[2]


def test_best_of_each_column_is_starred_not_only_coloured(evaluations: list[Path]) -> None:
    rows = build(read_evaluations(evaluations))
    for i, cell in enumerate(rows[0].cells):
        known = {row.name: row.cells[i].value.mean for row in rows[1:] if row.cells[i].value}
        starred = [row.name for row in rows if row.cells[i].best]
        if cell.column.better is None or len(known) < 2:
            assert not starred
        else:
            pick = max if cell.column.better == "higher" else min
            assert pick(known, key=known.__getitem__) in starred
            assert not rows[0].cells[i].best


def test_a_lone_method_is_not_the_best(evaluations: list[Path]) -> None:
    assert not any(cell.best for row in build(read_evaluations(evaluations[:1])) for cell in row.cells)


def test_counts_what_was_not_computed(full: Path) -> None:
    html = (full / "report.html").read_text()
    assert "1 of 12 pairs (published/dsc, published/hd" in html
    assert ">11</td>" in html  # pairs behind the overlap, of 12


def test_without_labels_truth_examples_and_runs(make: SimpleNamespace, tmp_path: Path) -> None:
    bare = [make.evaluation(tmp_path / name, name, labels=False, truth=False, examples=0) for name in make.methods[:2]]
    html = report(tmp_path, "--evaluations", *bare)
    assert "accuracy was not measured" in html
    assert html.count('class="note">Left out') == 2  # examples and training
    assert 'id="tests"' not in html
    assert Page(html).open == []


def test_one_method_without_uncertainty(make: SimpleNamespace, tmp_path: Path) -> None:
    html = report(tmp_path, "--evaluations", make.evaluation(tmp_path / "mse"))
    assert "before registration" in html
    assert "no method here has an uncertainty map" in html


def test_volumes_without_labels(make: SimpleNamespace, tmp_path: Path) -> None:
    folder = make.evaluation(tmp_path / "a", "vxm_hetero", size=16, dims=3, labels=False)
    assert "Pair patient000_slice00" in report(tmp_path, "--evaluations", folder)


def test_a_metric_of_null_is_a_dash(make: SimpleNamespace, tmp_path: Path) -> None:
    folder = make.evaluation(tmp_path / "mse", examples=0)
    summary = json.loads((folder / "metrics.json").read_text())
    summary["protocols"]["standard"]["hd"] = {"mean": None, "sd": None, "n": 0}
    (folder / "metrics.json").write_text(json.dumps(summary))
    rows = build(read_evaluations([folder]))
    assert MAIN[0].show(math.nan) == "–"
    assert all(cell.column.key != "standard/hd" for cell in rows[0].cells)
    assert "standard/hd," not in to_csv(read_evaluations([folder])).splitlines()[0]


def test_text_from_outside_is_escaped(make: SimpleNamespace, tmp_path: Path) -> None:
    folder = make.evaluation(tmp_path / "a", examples=0)
    html = report(tmp_path, "--evaluations", folder, "--title", "<script>x</script>")
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_two_seeds_of_a_bundle_are_told_apart(make: SimpleNamespace, tmp_path: Path) -> None:
    folders = [make.evaluation(tmp_path / seed, examples=0) for seed in ("seed0", "seed1")]
    html = report(tmp_path, "--evaluations", *folders)
    assert "vxm_mse (seed0)" in html
    assert "not shown to be better" in html  # equal numbers

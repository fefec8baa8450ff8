"""tools.tables: the README's tables, from a folder of results."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from common.errors import InputError
from tools.benchmark import table as benchmarks
from tools.recipes import shipped
from tools.tables import __main__ as tables
from tools.tables import blocks, cells

BLOCK = "<!-- table: {} -->\n{}<!-- end -->\n"
TEST = {
    "difference": 0.0312,
    "p_t": 0.7412,
    "p_wilcoxon": 0.0004,
    "effect_size": -0.0845,
    "ci_low": -0.144,
    "ci_high": 0.156,
}


def several(middle: float, sd: float | None = None) -> dict[str, float]:
    return {"mean": middle} if sd is None else {"mean": middle, "sd": sd}


def result(dataset: str, dsc: float, seeds: int, **more: Any) -> dict[str, Any]:
    sd = 0.268 if seeds > 1 else None
    protocol = {
        name: several(value, sd) for name, value in zip(("dsc", "hd", "hd95", "asd"), (dsc, 4.319, 3.16, 1.1618))
    }
    still = {
        name: several(value, 17.7) for name, value in zip(("dsc", "hd", "hd95", "asd"), (50.864, 7.82, 6.53, 2.21))
    }
    return {
        "dataset": dataset,
        "split": "val",
        "pairs": 193,
        "seeds": [*range(seeds)],
        "published": protocol,
        "standard": protocol,
        "folding_percent": several(0.2004),
        "undeformed": {"published": still, "standard": still},
        "weights": {"settings": {"max_epochs": 30, "batch_size": 2, "pairs_per_epoch": 101}},
        **more,
    }


def against(reference: str, other: float) -> dict[str, Any]:
    test = {"patients": {"n": 20, **TEST}, "pairs": {"n": 185, "mean_b": other, **TEST}}
    return {"against": {reference: {"published": test}}}


def write(folder: Path, name: str, row: Mapping[str, Any]) -> None:
    path = folder / "results" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(row))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Results, and a README with every table, instead of the repository's."""
    write(tmp_path, "vxm_mse", result("ACDC", 81.237, 3))
    maps = {"ause": several(1.7456e-4, 1.3e-5), "error_auroc": several(0.858, 0.002), "error_auroc_band": several(0.59)}
    write(tmp_path, "vxm_hetero", result("ACDC", 81.276, 1, **maps, **against("vxm_mse", 81.237)))
    write(tmp_path, "tsm_hetero", result("ACDC", 80.17, 1, **against("vxm_mse", 80.0)))
    curves = {"err": several(4.39e-5), "mr": several(0.010027), "fdr": several(0.00096)}
    labels = {"label": {"dsc": several(87.739)}, "label_sparsification": curves, "ause": several(0.02)}
    write(tmp_path, "vxm_predictive", result("Hippocampus", 76.4, 1, **labels))
    points = {
        "vxm_mse": [{"steps": 0, "seconds": 0.0012, "published": 81.661, "folding_percent": 0.0}, {"steps": 50,
                     "seconds": 0.081, "published": 82.312, "folding_percent": 0.00012}],
        "elastix": [{"seconds": 0.93, "published": 81.97, "folding_percent": 0.0569}],
    }  # fmt: skip
    (tmp_path / "results" / "refine").mkdir(parents=True, exist_ok=True)
    (tmp_path / "results" / "refine" / "acdc.json").write_text(json.dumps({"points": points}))
    readme = tmp_path / "README.md"
    readme.write_text(
        "before\n" + "\nbetween\n".join(BLOCK.format(name, "old\n") for name in blocks.TABLES) + "after\n"
    )
    monkeypatch.setattr(shipped, "RECIPES", tmp_path)
    (tmp_path / "data.yaml").write_text((Path(shipped.__file__).parent / "data.yaml").read_text())
    monkeypatch.setattr(benchmarks, "RESULTS", tmp_path / "benchmarks")
    monkeypatch.setattr(tables, "documents", lambda: [readme])
    return tmp_path


def lines(home: Path, name: str) -> list[str]:
    """What a table has come to be."""
    return dict(blocks.BLOCK.findall((home / "README.md").read_text()))[name].splitlines()


def test_the_readme_of_the_repository_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert tables.main(["--check"]) == 0, capsys.readouterr().out
    found = [name for document in tables.documents() for name, _ in blocks.BLOCK.findall(document.read_text("utf-8"))]
    assert sorted(found) == sorted(blocks.TABLES)


def test_a_line_for_each_number_of_steps_and_each_opponent(home: Path) -> None:
    assert tables.main([]) == 0
    assert lines(home, "refine") == [
        "|  | steps | DSC published | folding % | seconds a pair |",
        "|---|---|---|---|---|",
        "| `vxm_mse` | 0 | 81.66 | 0.000 | 0.00 |",
        "| `vxm_mse` | 50 | 82.31 | 0.000 | 0.08 |",
        "| elastix |  | 81.97 | 0.057 | 0.93 |",
    ]
    assert lines(home, "refine phantom") == [blocks.NOTHING]


def finetuned(**more: Any) -> dict[str, Any]:
    def scores(dice: float) -> dict[str, Any]:
        return {"published": {"dsc": {"mean": dice}}, "standard": {"dsc": {"mean": dice, "sd": 0.21}}}

    rows = [
        {"init": None, "epochs": 0, "registered": False, **scores(70.123)},
        {"init": "acdc", "epochs": 0, "refine_steps": 0, **scores(80), "folding_percent": {"mean": 0.0124}},
        {"init": "acdc", "epochs": 0, "refine_steps": 50, **scores(81)},
        {"init": None, "epochs": 4, "learning_rate": 0.001, **scores(71)},
        {"init": "acdc", "epochs": 16, "learning_rate": 0.00003, **scores(82)},
    ]
    train, val = {"pairs": 20, "subjects": 2}, {"pairs": 30, "subjects": 3}
    about = {"dataset": "Mine", "bundle": "vxm_mse", "init": "acdc", "labels": ["a", "b"], "steps_an_epoch": 3}
    return about | {"train": train, "val": val, "seeds": [0, 1], "rows": rows} | more


def test_weights_on_few_pairs_are_beside_none_and_say_on_what(home: Path) -> None:
    write(home, "finetune/sunnybrook", finetuned())
    assert tables.main([]) == 0
    assert lines(home, "finetune") == [
        "Mine, `vxm_mse`: trained on 20 pairs of 2 subjects (3 steps an epoch), measured on 30 pairs of 3 subjects, "
        "by a, b; seeds 0, 1.",
        "",
        "|  | epochs | learning rate | DSC published | DSC standard | HD95 standard | folding % |",
        "|---|---|---|---|---|---|---|",
        "| no registration | – | – | 70.12 | 70.12 ± 0.21 | – | – |",
        "| `acdc`, as they are | – | – | 80.00 | 80.00 ± 0.21 | – | 0.012 |",
        "| `acdc`, `refine_steps` 50 | – | – | 81.00 | 81.00 ± 0.21 | – | – |",
        "| from nothing | 4 | 0.001 | 71.00 | 71.00 ± 0.21 | – | – |",
        "| from `acdc` | 16 | 3e-05 | 82.00 | 82.00 ± 0.21 | – | – |",
    ]
    write(home, "finetune/sunnybrook", finetuned(seeds=[2]))
    assert tables.main([]) == 0 and lines(home, "finetune")[0].endswith("by a, b; seed 2.")


def test_a_line_for_each_bundle_in_the_order_of_the_recipes(home: Path) -> None:
    assert tables.main([]) == 0
    found = lines(home, "acdc")
    assert found[2:] == [
        "| no registration | – | 50.86 | 47.98 | 7.82 | 2.21 | 50.86 | 6.53 | – | – | – | – |",
        "| vxm_mse | 3 | 81.24 ± 0.27 | 80.20 | 4.32 ± 0.27 | 1.16 ± 0.27 | 81.24 ± 0.27 | 3.16 ± 0.27 | 0.200 "
        "| – | – | – |",
        "| vxm_hetero | 1 | 81.28 | 80.73 | 4.32 | 1.16 | 81.28 | 3.16 | 0.200 | 1.75 ± 0.13 | 0.86 | 0.59 |",
        "| tsm_hetero | 1 | 80.17 | 78.12 | 4.32 | 1.16 | 80.17 | 3.16 | 0.200 | – | – | – |",
    ]
    assert {line.count("|") for line in found} == {13}
    assert lines(home, "camus") == lines(home, "speed") == [blocks.NOTHING]
    text = (home / "README.md").read_text()
    assert text.startswith("before\n<!-- table: acdc -->\n|") and text.endswith("<!-- end -->\nafter\n")


def test_weights_beside_the_default_are_in_the_table_of_their_data(home: Path) -> None:
    write(home, "camus/vxm_mse", result("CAMUS", 79.38, 1))
    write(home, "wide/vxm_mse", result("ACDC", 80.0, 1))
    tables.main([])
    assert [line.split(" | ")[:4] for line in lines(home, "camus")[2:]] == [
        ["| no registration", "–", "50.86", "66.77"],
        ["| vxm_mse", "1", "79.38", "81.76"],
    ]
    assert lines(home, "acdc")[4].startswith("| vxm_mse (wide) | 1 | 80.00 | 80.20 |")


def test_volumes_stand_beside_what_others_have_published(home: Path) -> None:
    tables.main([])
    assert lines(home, "acdc 3d") == ["Not measured yet."]
    row = result("ACDC 3D", 77.09, 1)
    row["standard"] = row["standard"] | {"hd95_mm": several(8.279), "asd_mm": several(2.294)}
    write(home, "acdc_3d/vxm_mse", row)
    tables.main([])
    found = lines(home, "acdc 3d")
    assert found[2].startswith("| no registration | – | 50.86 | 58.10 |")
    assert found[3] == "| vxm_mse (acdc_3d) | 1 | 77.09 | 75.30 | 8.28 | 2.29 | 0.200 | – | – | – |"
    assert found[-1].startswith("| MemWarp, with labels | – | – | 89.60 | – |")
    assert not [line for line in lines(home, "acdc") if "acdc_3d" in line]


def test_labels_have_a_table_of_their_own(home: Path) -> None:
    tables.main([])
    expected = "| vxm_predictive | 1 | 1530 | 87.74 | 93.73 | 0.04 | 0.2 | 10.03 | 10 | 0.96 | 2 | – | – |"
    assert lines(home, "hippocampus")[2:] == [expected]


def test_a_gain_has_its_interval_and_the_seeds_of_both_while_they_are_those_tested(home: Path) -> None:
    tables.main([])
    numbers = "20 | +0.03 (-0.14 to +0.16) | 0.74 | < 0.001 | -0.08 | 185 | +0.03 | 0.74 |"
    assert lines(home, "gain")[2:] == [
        f"| ACDC | vxm_hetero | vxm_mse | published | 1 / 3 | {numbers}",
        f"| ACDC | tsm_hetero | vxm_mse | published | 1 / – | {numbers}",
    ]


def test_a_number_that_was_changed_is_found_and_mended(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tables.main([])
    good = (home / "README.md").read_text()
    assert tables.main(["--check"]) == 0
    bad = good.replace("| 81.28 | 80.73 |", "| 81.38 | 80.73 |").replace("0.74 |", "0.04 |")
    (home / "README.md").write_text(bad)
    capsys.readouterr()
    assert tables.main(["--check"]) == 1
    said = "README.md: table {}: differs from the results; run `warpsure tables`\n"
    assert capsys.readouterr().out == said.format("acdc") + said.format("gain")
    assert (home / "README.md").read_text() == bad
    assert tables.main([]) == 0 and (home / "README.md").read_text() == good


@pytest.mark.parametrize(
    "text, said",
    [
        (
            BLOCK.format("adcd", ""),
            f"<!-- table: adcd -->: no such table; there are {', '.join(blocks.TABLES)}.",
        ),
        ("<!-- table: acdc -->\n", "<!-- table: acdc --> has no <!-- end --> before the next table; add it."),
        ("<!-- table: gain -->\n" + BLOCK.format("acdc", ""), "<!-- table: gain --> has no <!-- end -->"),
    ],
)
def test_a_mark_that_is_wrong_is_named_and_nothing_written(home: Path, text: str, said: str) -> None:
    (home / "README.md").write_text(text)
    with pytest.raises(InputError, match=re.escape(f"README.md: {said}")):
        tables.main([])
    assert (home / "README.md").read_text() == text


def test_rows_of_other_pairs_are_refused(home: Path) -> None:
    write(home, "vxm_ncc", result("ACDC", 79.0, 1) | {"pairs": 48})
    with pytest.raises(InputError, match="vxm_ncc: measured on 48 pairs of ACDC's val, vxm_mse on 193 pairs"):
        tables.main([])


def evaluation(folder: Path, **more: Any) -> Path:
    """What ``warpsure baselines`` writes, as far as it is read."""
    summary = {name: {"mean": 81.98, "sd": 9.1, "n": 185} for name in ("dsc", "hd", "hd95", "asd", "hd_mm")}
    about = {
        "dataset": "ACDC",
        "split": "val",
        "bundle": "elastix",
        "engine": "itk-elastix 0.25.4",
        "settings": {"a": 1},
    }
    about |= {
        "threads": 1,
        "pairs": 193,
        "subjects": 20,
        "failed": 0,
        "seconds_per_pair": 0.5,
        "folding_percent": 0.057,
    }
    folder.mkdir(exist_ok=True)
    told = about | {"protocols": {"published": summary, "standard": summary}} | more
    (folder / "metrics.json").write_text(json.dumps(told))
    return folder


def test_a_classical_method_is_kept_and_gets_a_row(home: Path, tmp_path: Path) -> None:
    other = evaluation(tmp_path / "demons", bundle="demons", dataset="CAMUS")
    assert tables.main(["--baseline", str(evaluation(tmp_path / "elastix")), str(other)]) == 0
    kept = json.loads((home / "results" / "baselines" / "elastix.json").read_text())
    assert kept["settings"] == {"a": 1} and kept["published"]["dsc"] == {"mean": 81.98}  # its spread is over pairs
    assert (home / "results" / "baselines" / "demons_camus.json").is_file()
    expected = "| elastix | – | 81.98 | 77.26 | 81.98 | 81.98 | 81.98 | 81.98 | 0.057 | – | – | – |"
    assert lines(home, "acdc")[3] == expected and "demons" not in "".join(lines(home, "acdc"))


@pytest.mark.parametrize(
    "more, said",
    [
        ({"failed": 3}, "3 pairs failed"),
        ({"bundle": "vxm_mse"}, "none of elastix, ants, greedy, demons"),
        ({"threads": None}, None),
    ],
)
def test_what_is_no_whole_evaluation_is_refused(
    home: Path, tmp_path: Path, more: dict[str, Any], said: str | None
) -> None:
    folder = evaluation(tmp_path / "elastix", **more)
    if said is None:
        (folder / "metrics.json").unlink()
    with pytest.raises(InputError, match=said or "metrics.json: not what `warpsure baselines"):
        tables.main(["--baseline", str(folder)])
    assert not (home / "results" / "baselines").exists()


@pytest.mark.parametrize(
    "value, text", [(0.0004, "< 0.001"), (0.0005, "0.001"), (0.0994, "0.099"), (0.0995, "0.10"), (1.0, "1.00")]
)
def test_a_p_value_has_the_digits_that_matter(value: float, text: str) -> None:
    assert cells.p_value(value) == text

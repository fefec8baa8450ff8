"""What a row may be, and what is said of one that is not."""

from __future__ import annotations

from math import inf
from pathlib import Path

import pytest
from toy_registration import named_bundle

from common.errors import InputError
from tools.compare.rows import BASELINES, CLASSICAL, known_names, parse_rows
from tools.render import combinations


def test_baselines_come_first_then_architectures_and_methods_as_in_the_papers(made: dict, tmp_path: Path) -> None:
    one = made["weights"](tmp_path / "one.pt", 80)
    rows = parse_rows([f"vxm_adacs={one}", "vxm_mse", "elastix", f"vxm_hetero={one}", "undeformed"])
    assert [row.name for row in rows] == ["undeformed", "elastix", "vxm_mse", "vxm_hetero", "vxm_adacs"]
    assert [row.group for row in rows] == [CLASSICAL] * 2 + ["VoxelMorph"] * 3


def test_weights_of_one_name_are_seeds_and_shipped_ones_another_row(made: dict, tmp_path: Path) -> None:
    files = [made["weights"](tmp_path / f"{k}.pt", 80 + k) for k in range(3)]
    rows = parse_rows([*(f"vxm_mse={file}" for file in files), "vxm_mse"])
    assert sorted(row.name for row in rows) == ["vxm_mse (given)", "vxm_mse (shipped)"]
    given = next(row for row in rows if "given" in row.name)
    assert [member.label for member in given.members] == [made["sha"](file)[:12] for file in files]
    assert given.slug == "vxm_mse_given"


def test_a_word_that_is_no_file_is_the_name_of_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = named_bundle(tmp_path / "bundles" / "toy")
    monkeypatch.chdir(tmp_path)
    rows = parse_rows(["toy=us", "toy", "toy+dropout=us"])
    assert [(row.name, row.source) for row in rows] == [
        ("toy (shipped)", "shipped"), ("toy (us)", "us"), ("toy+dropout", "")
    ]  # fmt: skip
    assert rows[1].members[0].weights == folder / "models" / "model_us.pt"
    assert rows[2].members[0].ensemble.files == [folder / "models" / "model_us.pt"]
    for text in ("toy=ct", "toy+dropout=ct"):
        with pytest.raises(InputError, match="toy: no weights 'ct'; it has mr, us"):
            parse_rows([text])
    (tmp_path / "us").write_bytes(b"a file goes before a name")
    assert parse_rows(["toy=us"])[0].members[0].weights == tmp_path / "us"


def test_runs_are_rows_by_variant_with_their_finished_seeds(made: dict, tmp_path: Path) -> None:
    for seed in (10, 2):
        made["run"](tmp_path, "vxm_mse", "default", seed, 80)
    made["run"](tmp_path, "vxm_mse", "default", 3, 80, finished=False)
    made["run"](tmp_path, "vxm_hetero", "default", 0, 80)
    made["run"](tmp_path, "vxm_hetero", "gamma=1.0,smooth_weight=0.04", 0, 80)
    (tmp_path / "notes").mkdir()
    rows = parse_rows([], tmp_path)
    assert [row.name for row in rows] == [
        "vxm_mse", "vxm_hetero (default)", "vxm_hetero (gamma=1.0,smooth_weight=0.04)",
    ]  # fmt: skip
    assert [member.label for member in rows[0].members] == ["seed_2", "seed_10"]
    assert rows[2].members[0].settings == {"gamma": "1.0", "smooth_weight": "0.04"}


def test_a_refined_row_is_of_the_same_weights_and_of_the_runs(made: dict, tmp_path: Path) -> None:
    one, other = (made["weights"](tmp_path / f"{k}.pt", 80 + k) for k in range(2))
    for seed in (0, 1):
        made["run"](tmp_path / "runs", "vxm_mse", "default", seed, 80)
    made["run"](tmp_path / "runs", "vxm_hetero", "default", 0, 80)
    rows = parse_rows([f"vxm_mse+refine50={one}", f"vxm_mse={one}", "vxm_mse+refine5", f"vxm_mse+refine50={other}"])
    assert [(row.name, row.method, row.refine, row.kind) for row in rows] == [
        ("vxm_mse", "vxm_mse", 0, None), ("vxm_mse+refine5", "vxm_mse", 5, None),
        ("vxm_mse+refine50", "vxm_mse", 50, None),
    ]  # fmt: skip
    assert [member.weights for member in rows[2].members] == [one, other]
    assert rows[0].members == rows[2].members[:1] and len({row.slug for row in rows}) == 3
    of_runs = {row.name: row for row in parse_rows(["vxm_mse+refine5"], tmp_path / "runs")}
    assert list(of_runs) == ["vxm_mse", "vxm_mse+refine5 (default)", "vxm_mse+refine5 (shipped)", "vxm_hetero"]
    assert of_runs["vxm_mse+refine5 (default)"].members == of_runs["vxm_mse"].members


def test_runs_of_a_bundle_without_weights_are_refined_alone(
    made: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bundles" / "a_new_one" / "configs").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for variant in ("gamma=0.5", "gamma=1"):
        made["run"](tmp_path / "runs", "a_new_one", variant, 0, 80)
    names = [row.name for row in parse_rows(["a_new_one+refine20"], tmp_path / "runs")]
    assert names == [f"a_new_one{steps} (gamma={gamma})" for steps in ("", "+refine20") for gamma in ("0.5", "1")]


@pytest.mark.parametrize("kind", ["refine", "refine0", "refine05", "refinex", "refine-1", "refine1.5", "refine+50",
                                  "refine50+refine5", "refine 50", "refine²", "refine1000000", "Refine50"])  # fmt: skip
@pytest.mark.parametrize("weights", ["", "=a.pt"])
def test_a_refinement_that_is_none_is_one_line(kind: str, weights: str) -> None:
    with pytest.raises(InputError, match=r"refineN with N steps|\+refineN|refine_steps is '1000000'") as error:
        parse_rows([f"vxm_mse+{kind}{weights}"])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["elastix+refine50", "undeformed+refine5"])
def test_what_has_no_network_is_not_refined(text: str) -> None:
    with pytest.raises(InputError, match=f"{text}: not a refinement".replace("+", "[+]")):
        parse_rows([text])


@pytest.mark.parametrize("text", ["vxm_nothing", "vxm_mse2=a.pt", "elastik", ""])
def test_a_bad_name_is_one_line_with_what_is_known(text: str) -> None:
    with pytest.raises(InputError) as error:
        parse_rows([text])
    assert "\n" not in str(error.value)
    assert all(name in str(error.value) for name in (*BASELINES, "vxm_mse", "vxm_adacs"))


def test_what_cannot_be_compared_is_refused(made: dict, tmp_path: Path) -> None:
    one = made["weights"](tmp_path / "one.pt", 80)
    refused = {
        "given twice": [f"vxm_mse={one}", f"vxm_mse={one}"],
        "are given twice": ["elastix", "elastix"],
        "has no weights": [f"elastix={one}"],
        "nothing to compare": [],
    }
    for line, rows in refused.items():
        with pytest.raises(InputError, match=line):
            parse_rows(rows)
    for runs in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match="--runs"):
            parse_rows([], runs)
    made["run"](tmp_path, "vxm_mse", "smooth_0.02", 0, 80)
    with pytest.raises(InputError, match="smooth_0.02: not a variant"):
        parse_rows([], tmp_path)


def test_every_name_is_known_once() -> None:
    assert len(set(known_names())) == len(known_names())


def test_rows_stand_in_the_order_of_the_recipes() -> None:
    bundles = [name for name in known_names() if name not in BASELINES]
    placed = [[recipe.get("order", inf) for recipe in combinations()[name]] for name in bundles]
    assert placed == sorted(placed)
    assert bundles[:3] == ["vxm_mse", "vxm_ncc", "vxm_mi"] and bundles[-1].startswith("pyr")


def test_an_own_bundle_stands_below_those_of_the_recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bundles" / "a_new_one" / "configs").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    rows = parse_rows(["a_new_one", "dfm_adacs"])
    assert [(row.name, row.group) for row in rows] == [("dfm_adacs", "DiffuseMorph"), ("a_new_one", "Other")]
    assert rows[1].members[0].weights == tmp_path / "bundles" / "a_new_one" / "models" / "model.pt"

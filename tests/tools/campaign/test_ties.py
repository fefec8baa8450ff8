"""A search says when its best trial is none: what ties with it, and which is taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tools.campaign.ties import Scored, tied
from tools.search import main

Calls = Callable[[], list[str]]


def lines(*trials: tuple[str, float, tuple[float, ...]], taken: str = "a") -> list[str]:
    return tied([Scored(*trial) for trial in trials], taken)


def test_one_seed_cannot_tell_a_tenth_of_a_point() -> None:
    first, second = lines(("c", 80.3, (80.3,)), ("b", 80.95, (80.95,)), ("a", 81.0, (81.0,)), ("d", 80.95, ()))
    assert first == "3 trials tie, within 0.1 DSC, of one seed each: a (81.00), b (80.95), d (80.95)"
    assert second.startswith("taken: a, for the highest score alone; more seeds would tell: ")
    assert not lines(("a", 81.0, (81.0,)), ("b", 80.85, (80.85,)))
    assert not lines(("a", 81.0, (81.0,)))


def test_the_spread_of_seeds_decides_where_there_are_several() -> None:
    wide, narrow = (81.0, 80.0, 82.0), (81.0, 81.01, 81.02)
    (first, _) = lines(("a", 81.0, wide), ("b", 80.2, (80.2,)), ("c", 79.9, (79.9,)))
    assert first == "2 trials tie, within the spread of up to 3 seeds: a (81.00), b (80.20)"
    assert lines(("a", 81.0, narrow), ("b", 80.2, (80.2, 82.0)))
    assert not lines(("a", 81.0, narrow), ("b", 80.95, (80.95,)))


def test_equal_scores_are_called_equal() -> None:
    assert "taken: b, for the first of equal scores alone" in lines(("a", 81.0, ()), ("b", 81.0, ()), taken="b")[1]


@pytest.mark.parametrize(("values", "tie"), [("0.02,0.021,0.04", True), ("0.02,0.04", False)])
def test_a_search_names_them_at_its_end(
    tmp_path: Path, tiny_dataset: Path, pretended: Calls, capsys: pytest.CaptureFixture[str], values: str, tie: bool
) -> None:
    words = ["--dataset", str(tiny_dataset), "--output", str(tmp_path / "runs"), "--bundle", "vxm_mse"]
    assert main([*words, "--grid", "--space", f"smooth_weight={values}"]) == 0
    *_, before, last = capsys.readouterr().out.splitlines()
    assert last.startswith("taken: smooth_weight=0.02, for the highest score alone") is tie
    named = "2 trials tie, within 0.1 DSC, of one seed each: smooth_weight=0.02 (80.00), smooth_weight=0.021 (79.95)"
    assert (before == named) is tie

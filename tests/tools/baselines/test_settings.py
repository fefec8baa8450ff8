from __future__ import annotations

from dataclasses import dataclass

import pytest

from common.errors import InputError
from tools.baselines.settings import choice, number, parse, show
from tools.baselines.tune import combinations


@dataclass(frozen=True)
class Settings:
    metric: str = choice("mse", "ncc")
    levels: tuple[int, ...] = number((10, 5), 1)
    sigma: float = number(1.5)
    count: int = number(3, 1)
    affine: bool = False


def test_each_kind_is_read() -> None:
    found = parse(Settings, ["metric=ncc", "levels=7", "sigma=2", "count=4", "affine=true"])
    assert found == Settings("ncc", (7,), 2.0, 4, True)
    assert isinstance(found.sigma, float)
    assert parse(Settings, ["levels=9,8,7"]).levels == (9, 8, 7)
    assert parse(Settings, []) == Settings()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sigma", "KEY=VALUE"),
        ("sigmas=1", "did you mean sigma"),
        ("metric=mi", "one of mse, ncc"),
        ("levels=3,,4", "whole number, as in levels=10,5"),
        ("levels=0", "at least 1"),
        ("sigma=-1", "at least 0"),
        ("sigma=nan", "at least 0"),
        ("sigma=inf", "at least 0"),
        ("count=2.5", "whole number"),
        ("affine=yes", "true or false"),
    ],
)
def test_bad_settings_are_one_line(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as error:
        parse(Settings, [text])
    assert f"--override {text}" in str(error.value) and "\n" not in str(error.value)


def test_what_is_shown_can_be_set() -> None:
    for value in ("ncc", (7, 8), 0.25, 4, True):
        key = next(name for name, default in vars(Settings()).items() if type(default) is type(value))
        assert getattr(parse(Settings, [f"{key}={show(value)}"]), key) == value


def test_a_grid_is_a_product() -> None:
    assert combinations(["b=1/2", "a=3,4"]) == [["a=3,4", "b=1"], ["a=3,4", "b=2"]]
    assert combinations([]) == [[]]
    for text in (["a"], ["a=1", "a=2"]):
        with pytest.raises(InputError, match="--values"):
            combinations(text)

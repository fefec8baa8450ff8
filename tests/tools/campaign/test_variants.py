"""Names of trainings and rows: whatever is written is read back, and nothing else is read."""

from __future__ import annotations

import json
import random
import string
from pathlib import Path
from typing import Any

import pytest

from common.errors import InputError
from common.options import parse_value
from tools.campaign.variants import (
    RowName,
    RunName,
    as_text,
    read_row,
    read_run,
    read_variant,
    write_variant,
)

WORDS = ("paper", "cosine,ncc", "1,2", "a=b", "x=1,=2", ",", "", "e:3", "{'a'}", "über", "1e-5 ")


def value_of(draw: random.Random, depth: int = 0) -> Any:
    """A setting's value: a number, a word, a truth, or a list or mapping of such."""
    kinds = [lambda: draw.choice(WORDS), lambda: draw.uniform(-1e3, 1e3), lambda: draw.randrange(-9, 99), lambda: None]
    kinds += [lambda: 10.0 ** draw.randrange(-9, 9), lambda: draw.random() < 0.5]
    if depth < 2:
        kinds.append(lambda: [value_of(draw, depth + 1) for _ in range(draw.randrange(3))])
        kinds.append(lambda: {key_of(draw): value_of(draw, depth + 1) for _ in range(draw.randrange(3))})
    return draw.choice(kinds)()


def key_of(draw: random.Random) -> str:
    return "".join(draw.choices(string.ascii_lowercase + "_", k=draw.randrange(1, 9))) + draw.choice(["", "#b", "::c"])


def test_a_variant_is_read_back() -> None:
    draw = random.Random(0)
    for _ in range(2000):
        overrides = {key_of(draw): value_of(draw) for _ in range(draw.randrange(5))}
        overlay = draw.choice(["", "", "snapshot", "x2"])
        name = write_variant(overrides, overlay)
        found = read_variant(name)
        assert found == ({key: as_text(value) for key, value in overrides.items()}, overlay)
        assert write_variant(*found) == name and list(found.overrides) == sorted(overrides)


@pytest.mark.parametrize("value", [0, -3, 0.5, 1e-9, 1e22, 0.1 + 0.2, True, False, None, [], [1, 0.25, [3]], "paper"])
def test_a_value_keeps_its_meaning(value: Any) -> None:
    text = read_variant(write_variant({"key": value})).overrides["key"]
    assert json.dumps(parse_value(text)) == json.dumps(value)


@pytest.mark.parametrize("value", ["a/b", "1,gamma=2", ["x,y#z=1"]])
def test_what_could_not_be_read_back_is_not_written(value: Any) -> None:
    with pytest.raises(InputError, match="--override key=.*: a folder is named by it, so it cannot hold a slash, nor"):
        write_variant({"key": value})


@pytest.mark.parametrize("name", ["smooth_0.02", "=1", "snapshot,", ",a=1", "a b=1", "snapshot,other", "", "-"])
def test_other_names_are_no_variants(name: str) -> None:
    with pytest.raises(InputError, match="not a variant; it is called default or KEY=VALUE,KEY=VALUE"):
        read_variant(name)


@pytest.mark.parametrize("seed", [0, 7, 10, 123456])
def test_a_run_is_read_back_from_its_folder(seed: int) -> None:
    name = RunName("vxm_mse", "snapshot,gamma=0.5", seed)
    assert read_run(Path("/runs") / name.path) == read_run(name.path) == name


@pytest.mark.parametrize(
    "folder", ["vxm_mse/default/seed_07", "vxm_mse/default/seed_", "vxm_mse/default/7", "seed_7", ""]
)
def test_other_folders_are_no_runs(folder: str) -> None:
    with pytest.raises(InputError, match=r"not named as a run, BUNDLE/KEY=VALUE,.../seed_K; move it elsewhere"):
        read_run(Path(folder))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("vxm_mse", ("vxm_mse", None, None)),
        ("vxm_mse=a=b+c.pt", ("vxm_mse", None, "a=b+c.pt")),
        ("vxm_weak+snapshot", ("vxm_weak", "snapshot", None)),
        (
            "vxm_weak+bootstrap=runs/share=0.9/seed_*/train/model.pt",
            ("vxm_weak", "bootstrap", "runs/share=0.9/seed_*/train/model.pt"),
        ),
        ("vxm_mse+refine50=us", ("vxm_mse", "refine50", "us")),
        ("vxm_weak+=a", ("vxm_weak", "", "a")),
        ("vxm_mse=", ("vxm_mse", None, "")),
    ],
)
def test_a_row_is_read_back(text: str, parts: tuple) -> None:
    assert read_row(text) == RowName(*parts) and str(read_row(text)) == text

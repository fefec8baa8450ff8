"""Every setting has a type and a range, in one table: what it may not be is said in a line, before anything is made."""

from __future__ import annotations

import sys
from math import inf, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from fire.parser import DefaultParseValue
from monai.bundle import ConfigParser

from common.collection.find import BUNDLES
from common.config import Config
from common.errors import InputError
from common.overrides import override, read_settings, typed
from common.settings import SETTINGS, is_expression, kind_of, literal, read_setting

RUNS = {"imports", "initialize", "training", "evaluation", "inference", "segmentation", "run", "finalize"}
MADE = {"model"}
LATER = {"center", "percentiles", "axes", "format"}  # of `Framing` and `check_format`, which know them best
CONFIGS = sorted(BUNDLES.glob("*/configs/*.yaml"))
COUNTS = (
    "max_epochs",
    "batch_size",
    "accumulation_steps",
    "validation_interval",
    "patience",
    "pairs_per_epoch",
    "cycles",
)
RATES = ("learning_rate", "companion_learning_rate", "smooth_weight", "beta", "gamma", "alpha", "prior", "memory_gb")
SWITCHES = ("bidirectional", "foreground", "resume", "picture", "diffeomorphic")
PATHS = ("output_dir", "dataset_dir", "moving", "checkpoint")
WRONG: list[tuple[str, Any]] = [
    *((key, value) for key in COUNTS for value in (0, -1, "x", 0.5, nan, "inf", [1], True, 2**40, "")),
    *((key, value) for key in RATES for value in ("nan", nan, inf, "inf", -1, "-1", "x", None, True, [0.1], "")),
    *(("seed", value) for value in (-1, "x", 2**32, 0.5, None)),
    *(("training_share", value) for value in (0, "nan", 1.5, -1, "x")),
    *(("clip_norm", value) for value in (0, -1, "nan", "x", inf)),
    *(("num_workers", value) for value in (-1, 10**6, "x", None)),
    *(("dropout", value) for value in (1, -0.1, "x", nan)),
    *(("device", value) for value in ("foo", "cuda:99", "cuda:x", "", 5.5, None, "meta", "cpu cuda")),
    *((key, value) for key in SWITCHES for value in ("maybe", 2, 0, 1, None, "", [])),
    *((key, value) for key in PATHS for value in ("", " ", "\0", [], {}, True, "$HOME", "@x", "%x")),
    *(("crop_size", value) for value in (0, -1, "x", [0, 5], [], [1, 2, 3, 4], 10**6)),
    *(("spacing", value) for value in (0, -1, nan, [1, 0], "x")),
    *(("warm_up", value) for value in (1, [1], [1, -1], [1, 2, 3], "x", "[1", ["a", "b"])),
    *(("spatial_dims", value) for value in (1, 4, "x", 2.5, True)),
    *(("labels", value) for value in (1, [-1], ["x"], "x", [256])),
    *(("precision", value) for value in ("float16", 32, None)),
    *(("pairing", value) for value in ("x", 1)),
    *(("members", value) for value in ("", [], [""], {"a": 1})),
]  # fmt: skip
RIGHT: list[tuple[str, Any, Any]] = [
    *(("bidirectional", word, False) for word in ("no", "off", "false", "False", False)),
    *(("bidirectional", word, True) for word in ("yes", "on", "true", True)),
    ("max_epochs", "5", 5), ("max_epochs", 1e3, 1000), ("learning_rate", "1e-3", 1e-3), ("learning_rate", 1, 1),
    ("learning_rate", 0.0, 0.0), ("memory_gb", 0, 0), ("clip_norm", "null", None), ("patience", None, None),
    ("output_dir", 20240101, "20240101"), ("output_dir", Path("a/b"), "a/b"), ("moving", None, None),
    ("output_dir", '$@bundle_root + "/x"', '$@bundle_root + "/x"'), ("max_epochs", "$2 * 3", "$2 * 3"),
    ("crop_size", "all", "all"), ("crop_size", (96, 96), [96, 96]), ("crop_size", 128, 128),
    ("spacing", np.array([1.5, 2.0]), [1.5, 2.0]), ("batch_size", np.int64(3), 3), ("device", "cpu", "cpu"),
    ("warm_up", "[4, 2]", [4, 2]), ("spatial_dims", "3", 3), ("members", ["a", "b"], ["a", "b"]), ("examples", 0, 0),
    ("examples", ["a"], ["a"]), ("labels", (1, 2), [1, 2]), ("network#dropout", "anything", "anything"),
    ("mine", -1, -1), ("optimizer#lr", 0.1, 0.1),
]  # fmt: skip
TEXTS = [
    "study #1/out",
    "a::b",
    "a@b/c",
    "50%",
    "#",
    "a#b#c",
    "it's #1",
    'say "#"',
    "a\\#",
    "@#x",
    "ä #",
    "{#}",
    "%#",
    "x@y#z%w",
]


@pytest.mark.parametrize(("key", "value"), WRONG, ids=[f"{key}-{value!r:.20}" for key, value in WRONG])
def test_a_value_that_a_setting_cannot_have_is_refused_in_a_line(key: str, value: Any) -> None:
    with pytest.raises(InputError) as caught:
        override({key: None}, {key: value}, "train.yaml")
    said = str(caught.value)
    assert said.startswith(f"{key} is ") and ": expected " in said and "\n" not in said and len(said) < 250


@pytest.mark.parametrize(("key", "value", "meant"), RIGHT, ids=[f"{k}-{v!r:.20}" for k, v, _ in RIGHT])
def test_a_value_means_what_it_says(key: str, value: Any, meant: Any) -> None:
    found = read_setting(key, value)
    assert found == meant and type(found) is type(meant)


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: f"{file.parts[-3]}/{file.stem}")
def test_every_setting_of_every_bundle_is_in_the_table_and_its_value_allowed(file: Path) -> None:
    config = yaml.safe_load(file.read_text("utf-8"))
    plain = {
        k: v for k, v in config.items() if not isinstance(v, dict) and not k.startswith("+") and k not in RUNS | MADE
    }
    assert not plain.keys() - SETTINGS.keys() - LATER
    for key, value in plain.items():
        if kind_of(key):
            assert is_expression(value) or read_setting(key, value) == value


@pytest.mark.parametrize("text", TEXTS)
def test_a_path_stays_as_it_is_in_a_config(text: str) -> None:
    for path in (f"/tmp/{text}", f"./{text}"):
        raw = {"output_dir": literal(path), "file": '$@output_dir + "/x"'}
        ours, theirs = Config(dict(raw)), ConfigParser(dict(raw))
        assert ours.content("output_dir") == theirs.get_parsed_content("output_dir") == path
        assert ours.content("file") == theirs.get_parsed_content("file") == f"{path}/x"
    assert literal([f"/{text}", "/b"])[1] == "/b"


@pytest.mark.parametrize(
    "text", ["20240101", "0012", "1_2", "1e5", "1.50", "a,b", "study #1", "None", "True", "[a]", "'x'"]
)
@pytest.mark.parametrize("equals", [True, False])
def test_a_path_is_what_was_typed(monkeypatch: pytest.MonkeyPatch, text: str, equals: bool) -> None:
    words = [f"--output-dir={text}"] if equals else ["--output_dir", text]
    monkeypatch.setattr(sys, "argv", ["monai.bundle", "run", "--x", "1", *words, "--seed", "1"])
    assert typed("output_dir", DefaultParseValue(text)) == text
    assert typed("output_dir", "another") == "another"
    assert typed("seed", 1) == 1


def test_the_values_of_a_config_are_read_too(tmp_path: Path) -> None:
    file = tmp_path / "train.yaml"
    file.write_text("max_epochs: 1e1\nbidirectional: 'no'\noutput_dir: /tmp/a#b\ndataset_dir: '@output_dir'\nrun: []\n")
    found = read_settings([str(file)], {"max_epochs": "7"})
    assert found["max_epochs"] == 7 and found["bidirectional"] is False and found["dataset_dir"] == "@output_dir"
    assert Config(found).content("output_dir") == "/tmp/a#b"
    file.write_text("learning_rate: -1\nrun: []\n")
    with pytest.raises(InputError, match="learning_rate is -1: expected a number of at least 0."):
        read_settings([str(file)], {})

"""One vocabulary: an option is the same wherever it is, and so is ``KEY=VALUE``."""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from command_lines import options_of, parsers

from common.errors import InputError
from common.options import (
    Parser,
    add_overrides,
    add_region,
    lengths,
    parse_overrides,
    parse_value,
    positive,
    region_overrides,
    sizes,
    split_pairs,
)

ROOT = Path(__file__).resolve().parents[1]
LINES = [*parsers()]
WHERE: dict[str, dict[str, argparse.Action]] = defaultdict(dict)
for _line, _parser in parsers().items():
    for _word, _action in options_of(_parser).items():
        if _action.help != argparse.SUPPRESS:  # an old spelling, that is still taken
            WHERE[_word][_line] = _action
SHARED = [word for word, lines in WHERE.items() if len(lines) > 1]
METAVARS = {"--output": {"DIR", "FILE"}}  # what a program writes
TYPES = {"--spacing": "one for all axes, or of a volume three"}
FLAGS = {"--label": "warp"}  # there it says what the input is
SAME_HELP = ("--bundle", "--select", "--split", "--pairing", "--deviation-scale", "--crop-size")
GONE = {
    "--workers": "--jobs",
    "--fields": "--format",
    "--package": "--bundle",
    "--set": "--override",
    "--dims": "--spatial-dims",
    "--reference-variant": "--against-variant",
}


def kept(word: str) -> list[argparse.Action]:
    return [action for line, action in WHERE[word].items() if FLAGS.get(word) != line]


def shown(action: argparse.Action) -> str:
    return action.metavar or action.dest.upper()


@pytest.mark.parametrize("word", SHARED)
def test_an_option_is_the_same_wherever_it_is(word: str) -> None:
    actions = kept(word)
    assert len({action.dest for action in actions}) == 1
    assert len({type(action) for action in actions}) == 1
    assert len({action.nargs for action in actions}) == 1
    assert {shown(action) for action in actions} <= METAVARS.get(word, {shown(actions[0])})
    assert len({tuple(action.choices or ()) for action in actions}) == 1
    assert word in TYPES or len({action.type for action in actions}) == 1
    assert word not in SAME_HELP or len({action.help.split(" (default:")[0] for action in actions}) == 1


def test_the_words_that_everything_is_said_by_are_shared() -> None:
    shared = {"--bundle", "--bundles", "--override", "--format", "--center", "--spacing", "--crop-size", "--jobs"}
    assert shared | {"--dataset", "--output", "--device", "--seed", "--split", "--pairing", "--select"} < set(SHARED)


@pytest.mark.parametrize("line", LINES)
def test_a_command_line_takes_no_abbreviations_and_nothing_that_is_gone(line: str) -> None:
    parser = parsers()[line]
    assert not parser.allow_abbrev
    assert not set(GONE) & set(options_of(parser)) and set(GONE.values()) <= set(WHERE)


def test_no_text_names_an_option_that_is_gone() -> None:
    folders = [ROOT / name for name in ("common", "tools", "docs")]
    endings = ("py", "md", "html", "yaml")
    texts = [path for folder in folders for ending in endings for path in folder.rglob(f"*.{ending}")]
    old = re.compile(rf"(?<![\w-])({'|'.join(GONE)})(?![\w-])")
    assert not [f"{path}: {found[0]}" for path in [ROOT / "Makefile", ROOT / "README.md", *texts]
                for found in old.finditer(path.read_text("utf-8"))]  # fmt: skip


def test_an_old_or_shortened_word_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    parser = Parser("warpsure")
    add_overrides(parser, "settings")
    for word in ("--over", "--overrides", "--set"):
        with pytest.raises(SystemExit):
            parser.parse_args([word, "a=1"])
        assert f"unrecognized arguments: {word} a=1" in capsys.readouterr().err


def test_overrides_may_be_several_and_repeated() -> None:
    parser = Parser()
    add_overrides(parser, "settings")
    given = parser.parse_args(["--override", "a=1", "b=x=y", "--override", "a=2", "c="]).override
    assert given == ["a=1", "b=x=y", "a=2", "c="]
    assert parse_overrides(given) == {"a": 2, "b": "x=y", "c": ""}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.5", 0.5),
        ("3", 3),
        ("[1,2]", [1, 2]),
        ("true", True),
        ("false", False),
        ("null", None),
        ("detect", "detect"),
        ("a/b.pt", "a/b.pt"),
        ("{'a': 1}", {"a": 1}),
    ],
)
def test_a_value_means_what_a_config_would_have(text: str, value: Any) -> None:
    assert parse_value(text) == value and type(parse_value(text)) is type(value)


@pytest.mark.parametrize("text", ["center", "=detect", ""])
def test_what_is_no_pair_is_one_line(text: str) -> None:
    with pytest.raises(InputError, match=f"--space {text}: not of the form KEY=VALUE, as in center=detect"):
        split_pairs("--space", [text])


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        ([], {}),
        (["--center", "detect"], {"center": "detect"}),
        (["--center", "3,4.5"], {"center": [3, 4.5]}),
        (["--spacing", "1.5"], {"spacing": 1.5}),
        (["--spacing", "1.5,1.5,5"], {"spacing": [1.5, 1.5, 5.0]}),
        (["--crop-size", "96"], {"crop_size": 96}),
        (["--crop-size", "96,-1"], {"crop_size": [96, -1]}),
        (["--crop-size", "all", "--center", "image"], {"center": "image", "crop_size": "all"}),
    ],
)
def test_a_region_is_told_as_a_config_has_it(words: list[str], settings: dict[str, Any]) -> None:
    parser = Parser()
    add_region(parser)
    assert region_overrides(parser.parse_args(words)) == settings


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (positive, "0"), (positive, "-1"), (positive, "1.5"), (positive, "x"),
        (lengths, "0"), (lengths, "1,,1"), (lengths, "nan"), (lengths, "inf"), (lengths, "1,1,1,1"),
        (sizes, "0,4"), (sizes, "1.5"), (sizes, ""),
    ],
)  # fmt: skip
def test_numbers_that_mean_nothing_are_refused(kind: Any, text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"^'{text}': "):
        kind(text)

"""The command: one word for each program, and nothing imported before it is known what to do."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import common
from common.collection import find
from common.errors import InputError
from tools import render, ship
from tools.__main__ import PROGRAMS, main, program
from tools.where import main as where

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "monai", "matplotlib", "scipy", "itk")
EACH_HELP = """
import contextlib, io, json, sys
from tools.__main__ import PROGRAMS, main
found = {}
for words in (["--help"], ["--version"], *([name, "--help"] for name in PROGRAMS)):
    said = io.StringIO()
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(said):
        main(words)
    found[words[0]] = {"said": said.getvalue(), "imported": [*sys.modules]}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def helps() -> dict[str, dict]:
    """What ``--help`` of the command and then of each program says, and all that is imported by then."""
    words = [sys.executable, "-c", EACH_HELP]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True)
    return json.loads(ended.stdout)


def test_the_help_of_the_command_names_every_program_and_imports_almost_nothing(helps: dict[str, dict]) -> None:
    said = helps["--help"]["said"]
    assert [line.split()[0] for line in said.splitlines() if line.startswith("  ")] == [*PROGRAMS]
    ours = {name for name in helps["--version"]["imported"] if name.split(".")[0] in ("common", "tools")}
    assert ours == {"common", "common.lazy", "common.errors", "tools", "tools.__main__"}
    assert not {"numpy", "nibabel", *HEAVY} & set(helps["--version"]["imported"])


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_help_of_a_program_comes_before_what_is_heavy(helps: dict[str, dict], name: str) -> None:
    before = [helps[other]["imported"] for other in ["--version", *PROGRAMS][: [*PROGRAMS].index(name) + 1]]
    assert not set(HEAVY) & (set(helps[name]["imported"]) - set(before[-1]))
    called = name.replace("-", "_")
    assert helps[name]["said"].startswith((f"usage: warpsure {name} ", f"usage: python -m tools.{called} "))


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_is_there(name: str) -> None:
    assert program(name).__name__ == "main"


def test_no_words_are_a_question_for_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) is None
    assert capsys.readouterr().out.startswith("usage: warpsure SUBCOMMAND")


def test_there_is_one_version(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--version"])
    assert capsys.readouterr().out == f"warpsure {common.__version__}\n"
    assert 'dynamic = ["version"]' in (ROOT / "pyproject.toml").read_text("utf-8")


@pytest.mark.parametrize(
    ("word", "hint"),
    [("regster", "did you mean register?"), ("train_all", "did you mean train-all?"), ("fly", "`warpsure --help`")],
)
def test_a_word_that_is_no_program_ends_in_one_line(word: str, hint: str) -> None:
    words = [sys.executable, "-m", "tools", word]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1 and not ended.stdout
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"error: {word}: no such subcommand; ") and hint in line


def test_the_status_is_that_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.where.main", lambda arguments: 7 if arguments == ["x", "--y"] else 0)
    assert main(["where", "x", "--y"]) == 7 and main(["where"]) == 0


@pytest.mark.parametrize(("changing", "words"), [(render, []), (ship, ["--runs", "RUNS", "--bundle", "vxm_mse"])])
def test_what_changes_the_repository_says_so_where_there_is_none(
    changing: ModuleType, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find, "INSTALLED", find.BUNDLES)
    with pytest.raises(InputError, match=r"^(render|ship): changes the repository, .*; clone it") as caught:
        changing.main(words)
    assert "\n" not in str(caught.value)


def test_where_says_where_a_bundle_lies(capsys: pytest.CaptureFixture[str]) -> None:
    where(["vxm_hetero"])
    assert capsys.readouterr().out == f"{ROOT / 'bundles' / 'vxm_hetero'}\n"
    where([])
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert lines.keys() == {path.name for path in (ROOT / "bundles").iterdir()}
    assert all(line.endswith(f"  {ROOT / 'bundles' / name}") for name, line in lines.items())
    assert "no weights" in lines["dfm_mi"] and "acdc" in lines["vxm_hetero"].split()[1]
    assert lines["vxm_predictive"].split()[1] == "hippocampus"
    with pytest.raises(InputError, match="vxm_heter"):
        where(["vxm_heter"])


def test_in_a_checkout_warpsure_is_another_name_and_no_module_is_there_twice() -> None:
    import warpsure
    from warpsure.errors import InputError as TheSame
    from warpsure.tools import where as the_same

    assert warpsure is common and TheSame is InputError and the_same is sys.modules["tools.where"]
    assert sys.modules["warpsure.errors"].__spec__.name == "common.errors"
    with pytest.raises(ModuleNotFoundError, match="common.nothing"):
        import_module("warpsure.nothing")

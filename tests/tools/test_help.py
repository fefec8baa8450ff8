"""``--help`` of every program and subcommand says how it is used, before anything heavy is imported."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_lines import parsers

import tools
from tools.__main__ import PROGRAMS

ROOT = Path(__file__).resolve().parents[2]
LINES = [*parsers()]
HEAVY = ["torch", "monai", "numpy", "matplotlib", "scipy", "nibabel", "ignite", "optuna", "itk", "onnx", "monailabel"]
ASK = """
import contextlib, io, json, sys
from tools.__main__ import main

lines, heavy = json.load(sys.stdin)
told = {}
for line in lines:
    said, status = io.StringIO(), None
    with contextlib.redirect_stdout(said):
        try:
            main([*line.split(), "--help"])
        except SystemExit as end:
            status = end.code
    told[line] = [status, said.getvalue(), [name for name in heavy if name in sys.modules]]
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told() -> dict[str, list]:
    """Of each command line: the status of its ``--help``, what that says, and what heavy is imported by then."""
    given = json.dumps([LINES, HEAVY])
    words = [sys.executable, "-c", ASK]
    ended = subprocess.run(words, cwd=ROOT, input=given, capture_output=True, text=True, check=True)
    return json.loads(ended.stdout)


def test_programs_and_their_subcommands_are_all_asked() -> None:
    assert set(PROGRAMS) < set(LINES)
    assert {"prepare acdc", "prepare check", "benchmark metrics", "package verify", "baselines tune"} < set(LINES)


@pytest.mark.parametrize("line", LINES)
def test_help_is_said_before_anything_heavy_is_imported(told: dict[str, list], line: str) -> None:
    status, said, imported = told[line]
    assert status == 0 and imported == []
    usage, *rest = said.split("\n\n")
    assert usage.startswith(f"usage: warpsure {line} ") and "--help" in said
    assert rest[0].strip() and "python -m tools." not in said


@pytest.mark.parametrize("line", LINES)
def test_every_option_says_what_it_is(line: str) -> None:
    unsaid = [action.option_strings or action.dest for action in parsers()[line]._actions if not action.help]
    assert unsaid in ([], ["source_name"], ["benchmark"])  # whose choices say it


def test_what_lies_in_tools_is_a_program_or_has_none() -> None:
    found = {each.name: each.ispkg for each in pkgutil.iter_modules(tools.__path__) if each.name != "__main__"}
    folder = Path(tools.__file__).parent
    run = {name for name, is_package in found.items() if not is_package or (folder / name / "__main__.py").is_file()}
    assert run == {name.replace("-", "_") for name in PROGRAMS}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_checkout_has_each_as_a_module(name: str) -> None:
    module = f"tools.{name.replace('-', '_')}"
    words = [sys.executable, "-m", module, "--help"]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0 and ended.stdout.startswith(f"usage: python -m {module} "), ended.stderr

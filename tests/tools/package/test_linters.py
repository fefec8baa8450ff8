"""The library within a package passes the Model Zoo's linters, as they are called there: black and flake8."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from common.collection.receive import unpack
from tools.package.contents import make
from tools.package.writing import write
from tools.render import bundle_names

FLAKE8 = """\
[flake8]
select = B,C,E,F,N,P,T4,W,B9
max_line_length = 120
ignore = E203,E501,E741,W503,W504,C408,N812,B023,B905,B028
per_file_ignores = __init__.py: F401
"""  # B950 takes the place of E501
BLACK = ("black", "--check", "--diff", "--quiet", "--line-length=120")
OF_ARCHITECTURES = {name.split("_")[0]: name for name in bundle_names()}
EACH = [pytest.param(name, marks=pytest.mark.slow) for name in OF_ARCHITECTURES.values()]


def said(folder: Path, *command: str) -> str:
    """What a linter says of the modules in ``folder``; nothing if it is content."""
    called = [sys.executable, "-m", *command, "."]
    done = subprocess.run(called, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


def of_black_and_flake8(folder: Path) -> str:
    (folder / "setup.cfg").write_text(FLAKE8)
    return said(folder, *BLACK) + said(folder, "flake8", "--config=setup.cfg")


@pytest.mark.parametrize("name", ["vxm_hetero", *EACH])
def test_they_have_nothing_to_say(name: str, tmp_path: Path) -> None:
    assert of_black_and_flake8(unpack(write(make(name), tmp_path / "zip")[0], tmp_path)) == ""


def test_what_they_are_for(tmp_path: Path) -> None:
    (tmp_path / "ugly.py").write_text(f"import os\nnames = {{'a' : 1}}\nlong = '{'x' * 140}'\n\n\ndef f(x=[]): pass\n")
    found = of_black_and_flake8(tmp_path)
    assert all(text in found for text in ("+def f(x=[]):", "F401", "B006", "B950"))

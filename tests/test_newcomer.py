"""A method and an architecture, added to a copy of the repository as docs/extending.md says, are there everywhere.

The page's blocks of code are the files, and its commands are run, in a short form.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from documents import blocks, commands

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "extending.md").read_text("utf-8")
FOLDERS = ("common", "tools", "tests", "docs", "bundles")
FILES = ("mkdocs.yml", "pyproject.toml", "README.md", "Makefile", "requirements.txt", "CHANGELOG.md", "setup.py")
LEFT = ("__pycache__", "*.pt")
SHORT = (
    (r"prepare phantom", "--pairs 8,2,2 --size 32"),
    (r"monai\.bundle run training", "--max_epochs 1 --device cpu --num_workers 0"),
    (r"pytest", "-q -p no:cacheprovider -m 'not slow'"),
)


def short(command: str) -> str:
    """The short form of a command."""
    return " ".join([command, *(more for pattern, more in SHORT if re.search(pattern, command))])


def in_copy(copy: Path, *words: str, lines: str = "") -> str:
    """Run Python in the copy; return what it has printed."""
    environment = os.environ | {"PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    ended = subprocess.run(
        [sys.executable, *words], input=lines, cwd=copy, env=environment | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-6000:]
    return ended.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository, without weights, where all that the page tells to write and to type has been."""
    folder = tmp_path_factory.mktemp("newcomer") / "repository"
    for name in FOLDERS:
        outputs = ("data", "runs", "eval") if name == "bundles" else ()
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns(*LEFT, *outputs))
    for file in filter(Path.is_file, (ROOT / name for name in FILES)):
        shutil.copy(file, folder)
    for title, content in blocks(PAGE, "python") + blocks(PAGE, "yaml"):
        assert not (folder / title).exists()
        (folder / title).write_text(content, "utf-8")
    typed = "\n".join(map(short, commands(PAGE)))
    in_copy(folder, str(Path(__file__).parent / "docs" / "run_commands.py"), lines=typed)
    return folder


def test_the_method_is_on_every_architecture_and_the_architecture_has_every_method(copy: Path) -> None:
    before = {path.name for path in (ROOT / "bundles").iterdir()}
    added = {path.name for path in (copy / "bundles").iterdir()} - before
    methods = {name.partition("_")[2] for name in before if name.startswith("tsm_")}
    assert added == {"vxm_l1", "tsm_l1", "dfm_l1", "pyr_l1", "mini_l1"} | {f"mini_{method}" for method in methods}


def test_it_is_trained_evaluated_and_exported(copy: Path) -> None:
    for run in ("l1", "vxm_l1", "mini_l1"):
        with (copy / "runs" / run / "log.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 1 and (copy / "runs" / run / "model.pt").is_file()
    summary = json.loads((copy / "results" / "mini_l1" / "metrics.json").read_text())
    assert summary["bundle"] == "mini_l1" and summary["pairs"] == 2
    assert (copy / "mini_l1.ts").stat().st_size > 10_000


def test_the_site_has_their_pages(copy: Path) -> None:
    if not find_spec("material"):
        pytest.skip("mkdocs-material is not installed: pip install -r requirements-docs.txt")
    in_copy(copy, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", "site")
    method = (copy / "site" / "methods" / "l1.html").read_text("utf-8")
    architecture = (copy / "site" / "architectures" / "mini.html").read_text("utf-8")
    assert all(f"<code>{name}</code>" in method for name in ("vxm_l1", "mini_l1")) and "pictures/l1.png" not in method
    assert "<code>mini_hetero</code>" in architecture and "channels: of each convolution" in architecture
    assert 'href="methods/l1.html"' in (copy / "site" / "index.html").read_text("utf-8")


@pytest.mark.slow
def test_the_code_shown_keeps_the_rules(copy: Path) -> None:
    pytest.importorskip("mypy")
    written = [title for title, _ in blocks(PAGE, "python")]
    in_copy(copy, "-m", "mypy", *written)
    in_copy(copy, "-m", "ruff", "check", *written)
    in_copy(copy, "-m", "ruff", "format", "--check", *written)


@pytest.mark.slow
def test_all_that_is_asked_of_methods_and_bundles_is_asked_of_them(copy: Path) -> None:
    quiet = ("-q", "-p", "no:cacheprovider", "-m", "not slow")
    in_copy(copy, "-m", "pytest", *quiet, "tests/losses/test_matrix.py", "tests/tools/test_render.py",
            "tests/bundles/test_every_bundle.py", "-k", "l1 or mini")  # fmt: skip
    in_copy(copy, "-m", "pytest", *quiet, "tests/docs/test_formulas.py", "tests/docs/test_pages.py", "-k",
            "recipe or table or section or measured")  # fmt: skip

"""The site builds, strictly, and needs no network to be read."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("material", reason="mkdocs-material is not installed: pip install -r requirements-docs.txt")
ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    return folder


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        loaded = re.findall(r"<(?:script|img|iframe|source)[^>]+src=\"?([^\" >]+)", text)
        loaded += re.findall(r"<link[^>]+href=\"?([^\" >]+)", text)
        assert loaded and not [target for target in loaded if re.match(r"(https?:)?//", target)], page


def test_every_page_is_whole(site: Path, texts: dict[str, str]) -> None:
    for name in texts:
        page = (site / name).with_suffix(".html").read_text("utf-8")
        assert not re.search(r"<!-- (README|formula|table)|\{[{%]", page), name
    assert not (site / "generate").exists()


def test_tables_of_results_stay_where_they_are(site: Path) -> None:
    own = "AUROC, borders"
    assert own in (site / "uncertainty.html").read_text("utf-8")
    assert not any(
        own in (site / page).read_text("utf-8") for page in ("refinement.html", "tutorials/fine-tuning.html")
    )


def test_equations_are_mathematics(site: Path) -> None:
    for page in (site / "methods").glob("*.html"):
        if page.stem != "index":
            assert '<math display="block">' in page.read_text("utf-8"), page

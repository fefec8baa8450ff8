"""What tests of the documentation share: its generator and its pages."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"


def _module(name: str) -> ModuleType:
    sys.path.insert(0, str(DOCS / "generate"))
    try:
        return __import__(name)
    finally:
        sys.path.pop(0)


@pytest.fixture(scope="session")
def formulas() -> ModuleType:
    """docs/generate/formulas.py."""
    return _module("formulas")


@pytest.fixture(scope="session")
def pages() -> ModuleType:
    """docs/generate/pages.py."""
    return _module("pages")


@pytest.fixture(scope="session")
def pictures() -> ModuleType:
    """docs/generate/pictures.py."""
    return _module("pictures")


@pytest.fixture(scope="session")
def texts(pages: ModuleType) -> dict[str, str]:
    """Every page's Markdown by its path below docs, written and generated ones."""
    written = {path.relative_to(DOCS).as_posix(): path.read_text("utf-8") for path in DOCS.rglob("*.md")}
    return {name: text for name, text in written.items() if not name.startswith("generate/")} | pages.all_pages()

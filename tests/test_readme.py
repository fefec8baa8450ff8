"""What the documents tell people to type exists: programs, configs and settings."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from pathlib import Path

import pytest
from documents import take_words

from common.overrides import read_settings
from tools import prepare

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "bundles").glob("*/docs/README.md"))]
COMMAND = re.compile(r"^ {4}((?:python|torchrun|warpsure) .*?(?<!\\))$", re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Every command that starts a line of code, its continued lines joined, its comment left out."""
    texts = [document.read_text() for document in DOCUMENTS]
    found = {re.sub(r"\s*\\\n\s*", " ", c) for text in texts for c in COMMAND.findall(text)}
    return sorted(re.sub(r"\s+#.*| \[--.*\]$", "", command) for command in found)


def test_the_documents_have_commands() -> None:
    assert len(commands()) > 10


@pytest.mark.parametrize("command", [c for c in commands() if c.startswith("warpsure prepare")])
def test_a_source_takes_the_options_shown(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(command)[2:]
    source = importlib.import_module(f"tools.prepare.{words[0]}")
    seen = []
    monkeypatch.setattr(source, "run", seen.append)
    main = importlib.import_module(f"{prepare.__name__}.__main__").main
    assert main(words) == 0 and len(seen) == 1


@pytest.mark.parametrize("command", [c for c in commands() if c.startswith("warpsure ") and "$" not in c])
def test_a_program_takes_the_words_shown(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    take_words(command, monkeypatch)


@pytest.mark.parametrize("command", [c for c in commands() if "monai.bundle" in c])
def test_a_bundle_has_the_config_and_the_settings_shown(command: str) -> None:
    words = shlex.split(command)
    words = words[words.index("monai.bundle") + 1 :]
    options = dict(zip(words[2::2], words[3::2]))
    config = options.pop("--config_file")
    files = [str(ROOT / file) for file in (ast.literal_eval(config) if config[0] == "[" else [config])]
    assert words[0] == "run" and all(Path(file).is_file() for file in files)
    overrides = {key.removeprefix("--"): value for key, value in options.items()}
    read_settings(files, {"run_id": words[1], **overrides})


def test_links_lead_somewhere() -> None:
    for document in DOCUMENTS:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document}: {target}"

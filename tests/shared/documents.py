"""What tests of the documentation read in a page: its code, and the commands that it tells people to type."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Callable

import pytest

from tools.__main__ import program

FENCED = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(text: str, language: str) -> list[tuple[str, str]]:
    """The fenced blocks of one language: title and content."""
    return [(title, content) for kind, title, content in FENCED.findall(text) if kind == language]


def commands(text: str) -> list[str]:
    """Every command of the ``sh`` blocks, its continued lines joined."""
    joined = [re.sub(r"\s*\\\n\s*", " ", content) for _, content in blocks(text, "sh")]
    return [line.strip() for content in joined for line in content.splitlines() if line.strip()]


def curls(text: str) -> list[str]:
    """Every line that asks a server, of the ``text`` blocks, its continued lines joined."""
    joined = [re.sub(r"\s*\\\n\s*", " ", content) for _, content in blocks(text, "text")]
    return [line for content in joined for line in content.splitlines() if line.startswith("curl ")]


class Taken(Exception):
    """The parser of a program has taken its words."""


def taken(take: Callable, *arguments: object, **options: object) -> None:
    """Parse, and go no further."""
    raise Taken(take(*arguments, **options))


def take_words(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail unless the program of ``warpsure NAME ...`` takes its words; it is not run."""
    name, *words = shlex.split(command)[1:]
    run = program(name)
    with monkeypatch.context() as patch:
        for name in ("parse_args", "parse_intermixed_args"):
            take = getattr(argparse.ArgumentParser, name)
            patch.setattr(argparse.ArgumentParser, name, lambda *a, take=take, **k: taken(take, *a, **k))
        with pytest.raises(Taken):
            run(words)

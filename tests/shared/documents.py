"""What tests of the documentation read in a page: its code, and the commands that it tells people to type."""

from __future__ import annotations

import re

FENCED = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(text: str, language: str) -> list[tuple[str, str]]:
    """The fenced blocks of one language: title and content."""
    return [(title, content) for kind, title, content in FENCED.findall(text) if kind == language]


def commands(text: str) -> list[str]:
    """Every command of the ``sh`` blocks, its continued lines joined."""
    joined = [re.sub(r"\s*\\\n\s*", " ", content) for _, content in blocks(text, "sh")]
    return [line.strip() for content in joined for line in content.splitlines() if line.strip()]

"""Find the folders of patients in a download, however deep it was unpacked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from common.errors import InputError

DEPTH = 3


def find_patients(source: Path, pattern: str, prefer: Sequence[str] = (), like: str = "") -> list[Path]:
    """Return the sorted folders whose name matches ``pattern``, of the nearest folder that holds any.

    Args:
        source: the folder itself, or one up to three levels above it.
        prefer: names (``training``, ``testing``) that go first where there is a choice.
        like: what the error says it looked for.
    """
    if not source.is_dir():
        raise InputError(f"{source}: no such folder; pass the unpacked download as --source")
    level = [source]
    for _ in range(DEPTH + 1):
        children = {folder: _folders(folder) for folder in level}
        for folder in level:
            if patients := [child for child in children[folder] if re.fullmatch(pattern, child.name)]:
                return patients
        level = sorted((c for cs in children.values() for c in cs), key=lambda path: _rank(path, prefer))
    raise InputError(
        f"{source}: looked for {like or pattern} here and {DEPTH} levels below and found none; "
        "pass the unpacked download"
    )


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))
    except OSError as error:
        raise InputError(f"{folder}: cannot be listed ({error.strerror}); change its permissions") from error


def _rank(path: Path, prefer: Sequence[str]) -> tuple[int, str]:
    name = path.name.lower()
    return (list(prefer).index(name) if name in prefer else len(prefer), str(path))


def find_file(source: Path, name: str, like: str) -> Path:
    """Return the nearest file called ``name`` in ``source`` or up to three levels below it."""
    if not source.is_dir():
        raise InputError(f"{source}: no such folder; pass the unpacked download as --source")
    level = [source]
    for _ in range(DEPTH + 1):
        if found := next((folder / name for folder in level if (folder / name).is_file()), None):
            return found
        level = [child for folder in level for child in _folders(folder)]
    raise InputError(
        f"{source}: looked for {like} here and {DEPTH} levels below and found none; pass the unpacked download"
    )

"""The weights of a bundle by name: what its metadata says of each set of them, and the file that is meant."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import InputError
from ..files import file_hash

NAME = re.compile(r"[a-z][a-z0-9_]*")
FOLDER = "models"
UNNAMED = "default"  # where metadata describe one file without a name, as up to version 0.3


class Weights(NamedTuple):
    """One set of weights: its name, its file, and what the metadata say of it (hash, data, card, settings)."""

    name: str
    file: Path
    about: dict[str, Any]


def file_name(name: str | None = None) -> str:
    """The file in a bundle's ``models`` that holds the weights called ``name``; None is the default."""
    return "model.pt" if name is None else f"model_{name}.pt"


def weights_of(folder: str | Path) -> dict[str, Weights]:
    """Every set of weights that a bundle's metadata describe, by name; none if they describe none."""
    try:
        said = json.loads((Path(folder) / "configs" / "metadata.json").read_text(encoding="utf-8"))["weights"]
        named = {UNNAMED: said} if isinstance(said.get("file"), str) else dict(said)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    return {name: Weights(name, Path(folder) / about["file"], about) for name, about in named.items() if _is_set(about)}


def weights_file(folder: str | Path, name: str | None = None) -> Path:
    """The file of the weights called ``name``, whether it is there or not; None is the bundle's default.

    Raises:
        InputError: the bundle has no weights of that name.
    """
    if name is None:
        return Path(folder) / FOLDER / file_name()
    known = weights_of(folder)
    if name not in known:
        there = ", ".join(known) or "none that have a name"
        raise InputError(f"{Path(folder).resolve().name}: no weights {name!r}; it has {there}.")
    return known[name].file


def weights_in(file: Any) -> Weights | None:
    """What the bundle that ``file`` lies in says of it; None of a file of no bundle, and of several files."""
    if not isinstance(file, str | Path):
        return None
    path = Path(os.path.abspath(file))  # a link is what it is called, not where it leads
    if path.parent.name != FOLDER:
        return None
    return next((each for each in weights_of(path.parent.parent).values() if each.file.name == path.name), None)


def told(file: str | Path) -> dict[str, Any]:
    """What results say of the weights that made them: name and data, where the bundle names them, and hash."""
    known = weights_in(file)
    name, data = (known.name, known.about.get("data")) if known else (None, None)
    return {"weights": name, "weights_data": data, "weights_sha256": file_hash(file)}


def _is_set(about: Any) -> bool:
    return isinstance(about, dict) and isinstance(about.get("file"), str) and Path(about["file"]).parent == Path(FOLDER)

"""Which files of weights an ensemble is made of."""

from __future__ import annotations

from collections.abc import Sequence
from glob import glob, has_magic
from pathlib import Path
from random import Random

from ..errors import InputError

CHOICES = ("last", "random")
WAY_OUT = "give files of weights, a folder of them, or a pattern such as runs/seed_*/train/model.pt."


def files_of(members: str | Path | Sequence[str | Path]) -> list[Path]:
    """The files that ``members`` names; those of a folder (its ``*.pt``) or of a pattern are sorted.

    Raises:
        InputError: if there are none.
    """
    named = [members] if isinstance(members, (str, Path)) else members
    if not isinstance(named, Sequence) or not named or not all(isinstance(name, (str, Path)) for name in named):
        raise InputError(f"members is {members!r}; {WAY_OUT}")
    return [file for name in named for file in _matching(name)]


def _matching(name: str | Path) -> list[Path]:
    path = Path(name)
    if path.is_dir():
        found = sorted(path.glob("*.pt"))
    elif path.is_file() or not has_magic(str(name)):
        found = [path]
    else:
        found = sorted(Path(match) for match in glob(str(name), recursive=True))
    if not found:
        raise InputError(f"{name}: no file of weights there; {WAY_OUT}")
    return found


def chosen(files: Sequence[Path], count: int | None = None, choose: str = "last", seed: int = 0) -> list[Path]:
    """``count`` of ``files``, or all of them, sorted: an ensemble knows no order.

    Args:
        files: in the order that "last" goes by.
        count: how many; None is all.
        choose: "last", or "random", which ``seed`` settles (predictive, section 3.2.3).

    Raises:
        InputError: more than there are, or another choice.
    """
    if choose not in CHOICES:
        raise InputError(f"choose is {choose!r}: it must be one of {', '.join(CHOICES)}.")
    if count is None:
        return sorted(files)
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= len(files):
        raise InputError(
            f"count is {count!r}, but there are {len(files)} members, the last {files[-1]}; give 1 to "
            f"{len(files)}, or null for all."
        )
    return sorted(files[-count:] if choose == "last" else Random(seed).sample(sorted(files), count))

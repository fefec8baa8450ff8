"""One rule for every name that a request brings: ids of images and labels, tags, sessions, models, files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..io.formats import ITK, NIFTI
from .refusal import Refused

LONGEST = 200
"""Bytes of a name: with any ending the name of its file stays below the 255 that file systems take."""
QUERY = ("image", "id", "label", "tag", "session_id", "user", "model", "strategy")
"""Parameters of a URL or fields of a form that are names."""
DRIVE = re.compile(r"[A-Za-z]:")
PLAIN = "a plain name, without separators"


def check_name(value: Any, what: str, give: str = PLAIN) -> str:
    """Return ``value``, which names something in one folder and leads nowhere else.

    Raises:
        InputError: no text, empty, too long, hidden, or with a separator, a drive or control characters; the line says
            to ``give`` another.
    """
    if not is_name(value):
        raise InputError(f"{what} is {shown(value)}; give {give}.")
    return str(value)


def is_name(value: Any) -> bool:
    """Whether ``value`` is such a name."""
    if not isinstance(value, str) or not value.strip() or value.startswith(".") or DRIVE.match(value):
        return False
    try:
        length = len(value.encode("utf-8"))
    except UnicodeEncodeError:  # half a character
        return False
    return length <= LONGEST and not any(c in "/\\" or ord(c) < 32 or ord(c) == 127 for c in value)


def shown(value: Any) -> str:
    """``value`` as a line of bounded length shows it."""
    text = ascii(value) if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def check_inside(studies: Path, name: str, tags: list[str], image: bool = True) -> None:
    """See that what is to be written or removed lies in the studies folder: a link could lead out of it.

    Args:
        studies: the folder; name: an id that `check_name` took; tags: of its labels; image: its image too.

    Raises:
        Refused: a file of this id is elsewhere.
    """
    root = studies.resolve()
    for folder in [*[root] * image, *(root / "labels" / tag for tag in tags)]:
        for ending in (*NIFTI, *ITK):
            if not (folder / (name + ending)).resolve().is_relative_to(root):
                line = f"{shown(name)} is a link to a file outside of the studies; only its owner may change that."
                raise Refused(403, line)

"""What a client is told: one line of what was wrong, and no path or traceback of the server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Any

WITHIN = re.compile(r"Traceback \(most recent|\s{2}|During handling of the above|The above exception was")
"""How the lines of a traceback begin, but for the last."""


class Discretion:
    """Take folders of the server, and tracebacks, out of what is answered: a file in them goes by its name there.

    Args:
        folders: of the server.
    """

    def __init__(self, folders: Iterable[str | Path]) -> None:
        names = {str(path) for folder in folders for path in (Path(folder), Path(folder).resolve())}
        # the root, or the folder that one is in by chance, would be found in any text
        longest_first = sorted((name for name in names if len(Path(name).parts) > 1), key=len, reverse=True)
        self.folders = re.compile(rf"(?:{'|'.join(map(re.escape, longest_first))})(?:/|(?![\w.-]))")

    def __call__(self, value: Any) -> Any:
        """Return ``value`` (of JSON) without them."""
        if isinstance(value, str):
            lines = [line for line in value.split("\n") if "Traceback" not in value or not WITHIN.match(line)]
            return self.folders.sub("", "\n".join(lines))
        if isinstance(value, dict):
            return {key: self(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self(each) for each in value if not (isinstance(each, str) and WITHIN.match(each))]
        return value


def line_of(content: bytes, status: int) -> str:
    """The one line of an answer that refuses a request, whatever form ``content`` has."""
    try:
        detail = json.loads(content)["detail"]
    except (ValueError, TypeError, KeyError):
        detail = None
    if isinstance(detail, list):  # of each parameter that is wrong, where it is and why
        detail = "; ".join(f"{_place(each)}: {each.get('msg')}" for each in detail if isinstance(each, dict))
    known = status in list(HTTPStatus)
    return " ".join(str(detail or (HTTPStatus(status).phrase if known else "refused")).split())[:1000]


def _place(error: dict[str, Any]) -> str:
    return ".".join(map(str, error.get("loc", ())[1:])) or "the request"

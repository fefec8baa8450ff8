"""Bad requests: one line for the client, and the server lives on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError


class Refused(InputError):
    """A request that is not followed, with the status of HTTP that says what is wrong with it."""

    def __init__(self, status: int, line: str) -> None:
        super().__init__(status, line)
        self.status, self.line = status, line

    def __str__(self) -> str:
        return self.line


@contextmanager
def refusing(folder: str | Path = "") -> Iterator[None]:
    """Answer an InputError by status 400 and its line, in which files of ``folder`` go by their names.

    Inside a web server of Starlette (MONAI Label's) that is its HTTPException; elsewhere the InputError passes.
    """
    try:
        yield
    except InputError as error:
        raise refusal(str(error), folder) from error


def refusal(line: str, folder: str | Path = "", status: int = 400) -> Exception:
    """The exception that ends a request with ``line``: where a client is told no paths of the server."""
    if str(folder) not in ("", "."):
        line = line.replace(f"{folder}/", "")
    # a bundle needs no web server, so it only uses the one that it is run by
    starlette = sys.modules.get("starlette.exceptions")
    return InputError(line) if starlette is None else starlette.HTTPException(status, line)

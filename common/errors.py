"""What a user did wrong, said in one line."""

from __future__ import annotations

import logging
import sys
from types import TracebackType


class InputError(ValueError):
    """Bad input: the message is one line that names the file, the value and the way out."""


def input_error_in(error: BaseException | None) -> InputError | None:
    """The InputError behind ``error``: MONAI wraps what a config raises in errors of its own."""
    while error is not None and not isinstance(error, InputError):
        error = error.__cause__ or error.__context__
    return error


def say_in_one_line() -> None:
    """From here on an uncaught InputError ends the program with its line and status 1, not a traceback.

    Nor does Ctrl-C show one: the status stays that of an interrupted program.
    """
    if getattr(sys.excepthook, "is_ours", False):
        return
    previous = sys.excepthook
    logging.getLogger("ignite.engine").setLevel(logging.CRITICAL)  # it logs, twice, the error that it then raises

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        ours = input_error_in(error)
        if isinstance(error, KeyboardInterrupt):
            print("stopped", file=sys.stderr)
        elif ours is None:
            previous(kind, error, trace)
        else:
            print(f"error: {ours}", file=sys.stderr)

    hook.is_ours = True  # type: ignore[attr-defined]
    sys.excepthook = hook

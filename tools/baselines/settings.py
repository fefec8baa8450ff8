"""The settings of an engine: a frozen dataclass whose fields say what they may be; ``--override KEY=VALUE`` sets."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import Field, field, fields
from math import isfinite
from typing import Any, TypeVar

from common.errors import InputError
from common.options import split_pairs

Settings = TypeVar("Settings")
WORDS = {"true": True, "false": False}


def choice(default: str, *others: str) -> Any:
    """A field that is one of a few words."""
    return field(default=default, metadata={"choices": (default, *others)})


def number(default: Any, least: float = 0) -> Any:
    """A field that is an int, a float or a tuple of one of them, nowhere below ``least``."""
    return field(default=default, metadata={"least": least})


def parse(kind: type[Settings], texts: Sequence[str]) -> Settings:
    """Return the defaults of ``kind`` with each ``KEY=VALUE`` of ``texts`` in place; a tuple is ``1,2,3``.

    Raises:
        InputError: naming what is no setting, or no value for it, and what there is instead.
    """
    known = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in split_pairs("--override", texts).items():
        text = f"{key}={value}"
        if key not in known:
            raise InputError(f"--override {text}: no such setting{_instead(key, list(known))}")
        values[key] = _read(known[key], value, text)
    return kind(**values)


def _instead(key: str, known: Sequence[str]) -> str:
    if not known:
        return "; this one has none"
    nearest = difflib.get_close_matches(key, known, n=1)
    return (f"; did you mean {nearest[0]}?" if nearest else "") + f" There are: {', '.join(known)}"


def _read(known: Field, value: str, text: str) -> Any:
    default = known.default
    if choices := known.metadata.get("choices"):
        if value not in choices:
            raise InputError(f"--override {text}: give one of {', '.join(choices)}")
        return value
    if isinstance(default, bool):
        if value not in WORDS:
            raise InputError(f"--override {text}: give true or false")
        return WORDS[value]
    if isinstance(default, tuple):
        return tuple(_number(part, type(default[0]), known, text) for part in value.split(","))
    return _number(value, type(default), known, text)


def _number(value: str, kind: type, known: Field, text: str) -> Any:
    least = known.metadata.get("least", 0)
    words = "a whole number" if kind is int else "a number"
    try:
        result = kind(value)
    except ValueError:
        raise InputError(
            f"--override {text}: {value!r} is not {words}, as in {known.name}={show(known.default)}"
        ) from None
    if not isfinite(result) or result < least:
        raise InputError(f"--override {text}: give {words} of at least {least}")
    return result


def show(value: Any) -> str:
    """Write a value as ``--override`` reads it."""
    if isinstance(value, tuple):
        return ",".join(map(show, value))
    return str(value).lower() if isinstance(value, bool) else f"{value}"

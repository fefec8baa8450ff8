"""What ``dataset.json`` may hold, as a JSON schema, and its faults in words.

Nothing in it leads out of the folder: a file is given below it, and what files and folders are called after (an id, a
subject) is one plain name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any
from unicodedata import category

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator, ValidationError  # type: ignore[import-untyped]

FORMAT = "warpsure-pairs/1"
LONGEST = 200  # bytes of a name, so that what is called after it fits a file system
UNPRINTED = ("Cc", "Cs", "Zl", "Zp")  # control characters, halves of characters, ends of lines
BELOW, NAME = "path below the folder", "plain name"  # formats, as a person reads them

_LABEL = {"type": "integer", "minimum": 0, "maximum": 255}
_TEXT = {"type": ["string", "null"]}
_FILE = {"type": "string", "format": BELOW}
_FILE_OR_NONE = {"type": ["string", "null"], "format": BELOW}
_NAME = {"type": "string", "format": NAME}
_GRID = {"type": "array", "items": {"type": "integer"}}
_TRUTH = {"type": ["object", "null"], "additionalProperties": _FILE_OR_NONE}
_SHIFTS = {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}
_NATIVE = {
    "type": ["object", "null"],
    "properties": {"crop_start": _GRID, "native_shape": _GRID, "resampled_shape": _GRID}
    | {"slice_axis": {"enum": [0, 1, 2]}, "slice_shifts_mm": _SHIFTS}
    | {key: {"type": "string"} for key in ("moving", "fixed", "moving_label", "fixed_label")},
}
_PAIR = {
    "type": "object",
    "required": ["id", "subject", "moving", "fixed"],
    "properties": {
        "id": _NAME, "subject": _NAME, "moving_subject": _NAME, "group": _TEXT,
        "moving": _FILE, "fixed": _FILE,
        **dict.fromkeys(("moving_label", "fixed_label", "moving_mask", "fixed_mask"), _FILE_OR_NONE),
        "slice": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
        "truth": _TRUTH, "native": _NATIVE,
    },
}  # fmt: skip
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["name", "spatial_dims", "splits"],
    "properties": {
        "name": {"type": "string"},
        "spatial_dims": {"enum": [2, 3]},
        "labels": {"type": "object", "propertyNames": {"format": "label"}, "additionalProperties": {"type": "string"}},
        "evaluated_labels": {"type": "array", "items": _LABEL},
        **dict.fromkeys(("licence", "citation", "modality", "spacing_policy"), _TEXT),
        "seed": {"type": ["integer", "null"], "minimum": -(2**63), "maximum": 2**63 - 1},
        "preparation": {"type": ["object", "null"]},
        "splits": {"type": "object", "additionalProperties": {"type": "array", "items": _PAIR}},
    },
    "if": {"properties": {"spatial_dims": {"const": 2}}},
    "then": {"properties": {"splits": {"additionalProperties": {"items": {"required": ["slice"]}}}}},
}


def faults(content: Any) -> Iterator[str]:
    """Every fault of what was read from a ``dataset.json``, each once and in one line: where, and what."""
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        yield f"format is {_short(found)}, expected {FORMAT!r} of this version"
        return
    seen = set()
    for error in _validator().iter_errors(content):
        fault = f"{_where(error)} {_what(error)}".lstrip()
        if fault not in seen:
            seen.add(fault)
            yield fault


def is_below(path: str) -> bool:
    """Whether a path leads to something below the folder that it starts from, on any system."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    absolute = path.startswith("/") or re.match("[A-Za-z]:", path) is not None
    return bool(parts) and not absolute and all(map(is_name, parts))


def is_name(text: str) -> bool:
    """Whether a file or a folder can be called so, on any system."""
    if "/" in text or "\\" in text or text.strip() in ("", ".", ".."):
        return False
    return not any(category(letter) in UNPRINTED for letter in text) and len(text.encode()) <= LONGEST


@cache
def _validator() -> Draft202012Validator:
    from jsonschema import Draft202012Validator, FormatChecker

    checker = FormatChecker(formats=())
    checker.checks(BELOW)(lambda value: not isinstance(value, str) or is_below(value))
    checker.checks(NAME)(lambda value: not isinstance(value, str) or is_name(value))
    checker.checks("label")(lambda key: key.isascii() and key.isdecimal() and len(key) < 4 and int(key) < 256)
    return Draft202012Validator(SCHEMA, format_checker=checker)


def _where(error: ValidationError) -> str:
    """``train pair 0: fixed`` of splits/train/0/fixed."""
    path = list(error.absolute_path)
    if len(path) > 2 and path[0] == "splits":
        pair, rest = f"{path[1]} pair {path[2]}", path[3:]
        return ": ".join([pair, *(["/".join(map(str, rest))] if rest else [])])
    return "/".join(map(str, path))


def _what(error: ValidationError) -> str:
    kind, value, wanted = str(error.validator), error.instance, error.validator_value
    if kind == "required":
        return f"has no {', '.join(key for key in wanted if key not in value)}"
    expected = {
        "type": lambda: " or ".join([wanted] if isinstance(wanted, str) else wanted),
        "enum": lambda: " or ".join(map(str, wanted)),
        "format": lambda: "a label from 0 to 255" if wanted == "label" else f"a {wanted}",
        "minimum": lambda: f"at least {wanted}",
        "maximum": lambda: f"at most {wanted}",
    }
    return f"is {_short(value)}, expected {expected[kind]()}"


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except RecursionError:
        text = f"a deeply nested {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."

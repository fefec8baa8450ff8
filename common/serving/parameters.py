"""The parameters of a request: each has a type and a range, in one table for each kind of request."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from ..io.formats import FORMATS
from .names import PLAIN, is_name, shown

DEEPEST = 20
"""How far objects and lists may lie within each other."""
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


@dataclass(frozen=True)
class Rule:
    """What a parameter may be, in words and as a test; ``None`` and "" are "not given" where it is ``optional``."""

    words: str
    fits: Callable[[Any], bool]
    optional: bool = True


def whole_number(value: Any) -> int | None:
    """The whole number that ``value`` is, or says in digits; None if it is none."""
    if isinstance(value, str) and value.isascii() and value.strip().isdigit() and len(value) < 20:
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def real_number(value: Any) -> float | None:
    """The finite number that ``value`` is, or says; None if it is none."""
    try:
        found = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def whole(low: int, high: int) -> Rule:
    """A whole number from ``low`` to ``high``."""
    return Rule(
        f"a whole number from {low} to {high}", lambda v: (n := whole_number(v)) is not None and low <= n <= high
    )


def real(high: float) -> Rule:
    """A number above 0 and up to ``high``."""
    return Rule(f"a number above 0, up to {high:g}", lambda v: (x := real_number(v)) is not None and 0 < x <= high)


def one_of(*words: str, optional: bool = True) -> Rule:
    """One of some words, or a list of some: clients send a default's choices back."""
    return Rule(f"one of {', '.join(words)}", lambda v: _listed(v, lambda each: each in words), optional)


def _listed(value: Any, fits: Callable[[Any], bool]) -> bool:
    each = value if isinstance(value, list) else [value]
    return 1 <= len(each) <= 100 and all(isinstance(word, str) and fits(word) for word in each)


def _is_centre(value: Any) -> bool:
    if isinstance(value, list) and value and not any(isinstance(part, str) for part in value):
        return len(value) <= 3 and all(real_number(part) is not None for part in value)
    return _listed(value, lambda each: len(each) <= 100)


def _is_pairs(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(p, list) and len(p) == 2 and all(map(is_name, p)) for p in value)


def _is_plain(value: Any) -> bool:
    each = value if isinstance(value, list) else [value]
    return len(each) <= 100 and all(
        v is None or v == "" or isinstance(v, bool) or is_name(v) or _is_number(v) for v in each
    )


def _is_number(value: Any) -> bool:
    return not isinstance(value, str) and real_number(value) is not None


NAMED = Rule(PLAIN, is_name)
NAMES = Rule(PLAIN, lambda v: _listed(v, is_name))
STUDY = Rule("the id of an image of the studies", is_name)
FRAME = whole(0, 100_000)
SWITCH = Rule("true or false", lambda v: isinstance(v, bool))
WORD = Rule(
    "true or false", lambda v: isinstance(v, bool) or (isinstance(v, str) and v.lower() in ("true", "false", "1", "0"))
)
SCALAR = Rule("a number, true, false, or " + PLAIN, _is_plain)
OBJECT = Rule("an object", lambda v: isinstance(v, dict))
LIST = Rule("a list", lambda v: isinstance(v, list))
WEIGHTS = Rule(
    "the name of a .pt file", lambda v: _listed(v, lambda each: is_name(each) and each.endswith(".pt")), False
)
LEVEL = Rule(f"one of {', '.join(LEVELS)}", lambda v: isinstance(v, str) and v.upper() in LEVELS, optional=False)
ANY_CLIENT = {"client_id": Rule("a text of up to 200 characters", lambda v: isinstance(v, str) and len(v) <= 200)}
INFER = {
    "fixed": STUDY, "moving_label": STUDY, "moving_frame": FRAME, "fixed_frame": FRAME, "result": NAMES,
    "format": one_of(*FORMATS), "center": Rule('"auto", "image", "detect" or a voxel "i,j"', _is_centre),
    "refine": whole(0, 1000), "model_filename": WEIGHTS, "logging": LEVEL, "save_label": SWITCH,
    "label_tag": Rule(PLAIN, is_name, False), "label_info": LIST, "timeout": real(86_400), **ANY_CLIENT,
}  # fmt: skip
TRAIN = {
    "pairs": Rule("[[moving id, fixed id], ...]", _is_pairs), "moving_frame": FRAME, "fixed_frame": FRAME,
    "max_epochs": whole(1, 100_000), "batch_size": whole(1, 4096), "learning_rate": real(10),
    "pretrained": WORD, **ANY_CLIENT,
}  # fmt: skip
SAMPLE = {"strategy": NAMED, "label_tag": NAMED, "labels": LIST, **ANY_CLIENT}
INFO = {"strategy": OBJECT}
"""What is kept with an image or a label is its client's; MONAI Label itself writes to ``strategy``."""


def check_parameters(given: Mapping[str, Any], rules: Mapping[str, Rule], others: bool = False) -> None:
    """See that each parameter is of its rule.

    Args:
        given: of the request; rules: name -> rule; others: whether there may be parameters without a rule.

    Raises:
        InputError: one that is not, or that has no rule.
    """
    for key, value in given.items():
        rule = rules.get(key)
        if rule is None:
            if others:
                continue
            raise InputError(f"{shown(key)} is no parameter of this request; there are {', '.join(sorted(rules))}.")
        missing = rule.optional and (value is None or value == "")
        if not missing and not rule.fits(value):
            raise InputError(f"{key} is {shown(value)}; give {rule.words}.")


def read_object(text: str | bytes, what: str) -> dict[str, Any]:
    """Return the object that a text in JSON is.

    Raises:
        InputError: no JSON, one of NaN or Infinity, anything but an object, or one that is nested too deeply.
    """
    try:
        found = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{what} is not JSON ({' '.join(str(error).split())[:100]}); give an object, {{...}}."
        ) from error
    if not isinstance(found, dict):
        raise InputError(f"{what} is {shown(found)}; give an object, {{...}}.")
    if _depth(found, DEEPEST) < 0:
        raise InputError(f"{what} is nested more than {DEEPEST} deep; give a flat object.")
    return found


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is no number")


def _depth(value: Any, left: int) -> int:
    """How many levels are left below ``value``, which may have ``left``; negative if it has more."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return left if left < 0 else min((_depth(each, left - 1) for each in inner), default=left)

"""What each setting of a bundle may be: one table of types and ranges, read before anything is made.

A value comes from YAML, from Python or from the command line, where a number is a number but `no`, `nan` and a path of
digits are not what they seem. An expression of MONAI's (``$...``, ``@...``, ``%...``) stays one, but for a path.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from math import inf, isfinite
from numbers import Real
from os import PathLike, fspath
from typing import Any, Literal, NamedTuple

from .collection.weights import NAME
from .data.names import PAIRINGS, SPLITS
from .errors import InputError

SWITCHES = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
NULLS = ("null", "None", "none")
MOST = 2**31 - 1
SECTIONS = ("train", "validate", "dataset", "evaluator", "inferer", "optimizer", "companion_optimizer")
REWRITTEN = re.compile("[#@%]")  # what MONAI rewrites in a text, wherever it stands


class Kind(NamedTuple):
    """What a setting may be: in words, a function that gives what a value means or raises, and whether it is a path."""

    words: str
    read: Callable[[Any], Any]
    paths: Literal["", "one", "several"] = ""


def whole(low: int, high: int = MOST) -> Kind:
    """A whole number from ``low`` to ``high``."""

    def read(value: Any) -> int:
        found = _number(value)
        if not low <= found <= high or found != int(found):
            raise ValueError
        return int(found)

    return Kind(f"a whole number from {low}" + (f" to {high}" if high < MOST else ""), read)


def number(low: float = 0.0, high: float = inf, open_low: bool = False, open_high: bool = False) -> Kind:
    """A finite number from ``low`` (above it if open) to ``high`` (below it if open)."""

    def read(value: Any) -> int | float:
        found = _number(value)
        is_low, is_high = found < low or (open_low and found == low), found > high or (open_high and found == high)
        if not isfinite(found) or is_low or is_high:
            raise ValueError
        return found

    below = "" if high == inf else f" {'and below' if open_high else 'and at most'} {high:g}"
    return Kind(f"a number {'above' if open_low else 'of at least'} {low:g}{below}", read)


def one_of(*words: Any) -> Kind:
    """One of these."""

    def read(value: Any) -> Any:
        known = {str(word): word for word in words}
        if str(value) not in known:
            raise ValueError
        return known[str(value)]

    return Kind(" or ".join(map(str, words)), read)


def several(kind: Kind, low: int, high: int = MOST, alone: bool = False) -> Kind:
    """A list of ``low`` to ``high`` values of one kind, or one value for all of them, where it may stand ``alone``."""

    def read(value: Any) -> Any:
        if isinstance(value, str) and value.strip()[:1] in ("[", "("):
            value = ast.literal_eval(value)
        value = value.tolist() if hasattr(value, "tolist") else value
        if not isinstance(value, list | tuple):
            if alone:
                return kind.read(value)
            raise ValueError
        if not low <= len(value) <= high:
            raise ValueError
        return [kind.read(each) for each in value]

    how_many = "" if high == MOST else f"{low} of them" if low == high else f"{low} to {high} of them"
    return Kind(
        f"{kind.words}, {'or ' if alone else ''}a list of {how_many or 'them'}", read, "several" if kind.paths else ""
    )


def either(first: Kind, second: Kind) -> Kind:
    """What one of two kinds takes."""

    def read(value: Any) -> Any:
        try:
            return first.read(value)
        except (ValueError, TypeError, SyntaxError, OverflowError):
            return second.read(value)

    return Kind(f"{first.words}, or {second.words}", read)


def or_null(kind: Kind) -> Kind:
    """What ``kind`` takes, or null."""
    return Kind(f"null, or {kind.words}", lambda value: None if _is_null(value) else kind.read(value), kind.paths)


def _is_null(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value in NULLS)


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, Real | str):
        raise ValueError
    return value if not isinstance(value, str) else float(value)  # YAML reads 1e-3 as a text


def _switch(value: Any) -> bool:
    found = SWITCHES.get(value.lower()) if isinstance(value, str) else value
    if not isinstance(found, bool):
        raise ValueError
    return found


def _path(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float | str | PathLike):
        raise ValueError
    text = fspath(value) if isinstance(value, PathLike) else str(value)
    if not text.strip() or "\0" in text or text[0] in "@%" or (text[0] == "$" and not re.search("[@(]", text)):
        raise ValueError
    return text


def _name(value: Any) -> str:
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise ValueError
    return value


def _part(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"\w+(\.\w+)*", value):
        raise ValueError
    return value


def _device(value: Any) -> Any:
    import torch

    try:
        device = torch.device(value)
    except (RuntimeError, TypeError) as error:
        raise ValueError from error
    if device.type not in ("cpu", "cuda"):
        raise ValueError
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError
    return value


SWITCH = Kind("true or false", _switch)
PATH = Kind("a path, as ./NAME where its name begins with $, @ or %", _path, "one")
DEVICE = Kind("cpu, or cuda where PyTorch sees a GPU", _device)
WEIGHT, RATE, COUNT = number(), number(), whole(1)
SIZE = several(whole(1, 32767), 1, 3, alone=True)

PAIR_PATHS = ("dataset_dir", "atlas_dir", "source", "moving", "fixed", "moving_label", "fixed_label", "image")

SETTINGS: dict[str, Kind] = {
    # where things are
    **dict.fromkeys(("output_dir", "bundle_root"), PATH),
    **dict.fromkeys(PAIR_PATHS, or_null(PATH)),
    "weights": or_null(Kind("the name of weights of the bundle", _name)),
    "checkpoint": or_null(PATH),
    "init": or_null(Kind("the name of weights or of a bundle, a run's folder, or a file (./NAME)", _path, "one")),
    "members": several(PATH, 1, alone=True),
    "device": DEVICE,
    # which data
    "split": one_of(*SPLITS),
    "pairing": or_null(one_of(*PAIRINGS)),
    "pairs_per_epoch": or_null(COUNT),
    "training_share": number(0, 1, open_low=True),
    "augmentation": or_null(one_of("pair", "image", "in_plane")),
    "memory_gb": number(),
    "num_workers": whole(0, 1024),
    "labels": or_null(several(whole(0, 255), 0)),
    "examples": either(whole(0), several(Kind("an id", str), 0)),
    # how long, and how
    "spatial_dims": one_of(2, 3),
    "max_epochs": COUNT,
    "cascades": whole(1, 1000),
    "width": whole(1, 1000),
    "thick_slices": or_null(one_of("kept", "in_plane")),
    "batch_size": or_null(COUNT),
    "seed": whole(0, 2**32 - 1),
    **dict.fromkeys(("learning_rate", "companion_learning_rate", "snapshot_learning_rate", "lr"), RATE),
    "momentum": number(0, 1, open_high=True),
    "cycles": COUNT,
    "accumulation_steps": COUNT,
    "clip_norm": or_null(number(open_low=True)),
    "validation_interval": COUNT,
    "patience": or_null(COUNT),
    "averaging": number(),
    "keep": one_of("last", "best"),
    "warm_up": several(whole(0), 2, 2),
    "dropout": number(0, 1, open_high=True),
    "freeze": or_null(several(Kind("encoder or the beginning of parameters' names", _part), 1, alone=True)),
    "precision": one_of("bfloat16", "float32"),
    **dict.fromkeys(("foreground", "bidirectional", "resume", "picture"), SWITCH),
    # of methods and architectures
    **dict.fromkeys(
        ("smooth_weight", "uncertainty_weight", "overlap_weight", "prior", "alpha", "beta", "gamma"), WEIGHT
    ),
    "smooth_spacing": or_null(several(number(open_low=True), 2, 3)),
    "image_sigma": number(open_low=True),
    "tversky": several(number(open_low=True), 2, 2),
    "bins": whole(4),
    "window": whole(3),
    "num_classes": whole(2, 256),
    "scoring_inputs": one_of(1, 2),
    "formulation": one_of("paper", "released"),
    "similarity": one_of("ncc", "mse"),
    "variant": one_of("small", "fast", "published"),
    **dict.fromkeys(("diffeomorphic", "image_variance", "he_init"), SWITCH),
    # of an ensemble, and of inference
    "count": or_null(COUNT),
    "passes": COUNT,
    "choose": one_of("last", "random"),
    "outside": one_of("nan", "0"),
    "path_steps": whole(0, 10_000),
    "refine_steps": whole(0, 100_000),
    "refine_rate": number(open_low=True),
    "refine_smooth_weight": or_null(WEIGHT),
    "crop_size": or_null(either(one_of("all"), SIZE)),
    "network_size": or_null(SIZE),
    "spacing": or_null(several(number(open_low=True), 1, 3, alone=True)),
}


def kind_of(key: str) -> Kind | None:
    """What the setting at ``key`` may be; None for one that is not known, as an argument of a network."""
    *parents, name = re.split("#|::", key)
    return SETTINGS.get(name) if not parents or parents[0] in SECTIONS else None


def paths_of(key: str) -> str:
    """Whether a setting is "one" path, or may be "several"; "" if it is none."""
    kind = kind_of(key)
    return "" if kind is None else kind.paths


def is_expression(value: Any) -> bool:
    """Whether MONAI takes a value for a reference or an expression."""
    return isinstance(value, str) and value[:1] in ("$", "@", "%")


def read_setting(key: str, value: Any) -> Any:
    """What a value of a setting means.

    Raises:
        InputError: a value that the setting cannot have.
    """
    kind = kind_of(key)
    if kind is None or (is_expression(value) and not kind.paths):
        return value
    try:
        return kind.read(value)
    except (ValueError, TypeError, SyntaxError, OverflowError) as error:
        text = repr(value)
        shown = text if len(text) <= 60 else f"{text[:57]}..."
        raise InputError(f"{key} is {shown}: expected {kind.words}.") from error


def literal(found: Any) -> Any:
    """A path, or each of several, as it must stand in a config for MONAI to leave it as it is."""
    if isinstance(found, list):
        return [literal(each) for each in found]
    if not isinstance(found, str) or found.startswith("$") or not REWRITTEN.search(found):
        return found
    return "$" + REWRITTEN.sub(lambda match: f"\\x{ord(match[0]):02x}", repr(found))

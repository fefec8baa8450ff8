"""How trainings are called, and rows of a comparison; reading a name is the inverse of writing it.

RUN     = BUNDLE/VARIANT/seed_NUMBER                        the folder of a training
VARIANT = default | OVERLAY | [OVERLAY,]KEY=VALUE[,...]     its overrides, and the config laid over train.yaml
ROW     = BUNDLE[+KIND][=WEIGHTS]                           what is compared; KIND is that of an ensemble, or refineN
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from common.errors import InputError

DEFAULT = "default"
NEXT = re.compile(r",(?=[\w#:]+=)")  # a value has commas too
OVERLAY = re.compile(r"\w+")
SETTING = re.compile(r"([\w#:]+)=(.*)", re.DOTALL)
SEED = re.compile(r"seed_(0|[1-9][0-9]*)")


class Variant(NamedTuple):
    """In what a training differs from its bundle's train.yaml: overrides as texts, and the overlay's name, or ""."""

    overrides: dict[str, str]
    overlay: str = ""


class RunName(NamedTuple):
    """What a training's folder is called; ``variant`` as `write_variant` writes it."""

    bundle: str
    variant: str
    seed: int

    @property
    def path(self) -> Path:
        """The folder, below that of all runs."""
        return Path(self.bundle, self.variant, f"seed_{self.seed}")


class RowName(NamedTuple):
    """What a row of a comparison is called: a bundle, the kind of an ensemble of it or ``refineN``, weights that are
    not its own."""

    bundle: str
    kind: str | None = None
    weights: str | None = None

    def __str__(self) -> str:
        kind, weights = ("" if part is None else f"{sign}{part}" for sign, part in zip("+=", self[1:]))
        return f"{self.bundle}{kind}{weights}"


def as_text(value: Any) -> str:
    """A setting's value as the command line takes it, and `options.parse_value` reads it."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def write_variant(overrides: Mapping[str, Any], overlay: str = "") -> str:
    """The name of a variant: the overlay, then the overrides in the order of their keys.

    Raises:
        InputError: for a value that a folder's name cannot hold, or that could not be read back.
    """
    texts = {key: as_text(overrides[key]) for key in sorted(overrides)}
    for key, value in texts.items():
        if "/" in value or NEXT.search(value):
            raise InputError(
                f"--override {key}={value}: a folder is named by it, so it cannot hold a slash, nor ,KEY= within it."
            )
    parts = [overlay] * bool(overlay) + [f"{key}={value}" for key, value in texts.items()]
    return ",".join(parts) or DEFAULT


def read_variant(name: str) -> Variant:
    """What a variant's name says.

    Raises:
        InputError: for what is no such name.
    """
    parts = [] if name == DEFAULT else NEXT.split(name)
    overlay = parts.pop(0) if parts and OVERLAY.fullmatch(parts[0]) else ""
    settings = [SETTING.fullmatch(part) for part in parts]
    if not all(settings):
        raise InputError(f"{name}: not a variant; it is called {DEFAULT} or KEY=VALUE,KEY=VALUE.")
    return Variant(dict(setting.groups() for setting in settings if setting), overlay)


def read_run(folder: Path) -> RunName:
    """What a training is, by its folder.

    Raises:
        InputError: for a folder that is called otherwise.
    """
    bundle, variant, seed = folder.parts[-3:] if len(folder.parts) >= 3 else ("", "", "")
    number = SEED.fullmatch(seed)
    if number is None:
        raise InputError(f"{folder}: not named as a run, BUNDLE/KEY=VALUE,.../seed_K; move it elsewhere.")
    return RunName(bundle, variant, int(number[1]))


def read_row(text: str) -> RowName:
    """The parts of a row's name, whether there are such or not."""
    name, equals, weights = text.partition("=")
    bundle, plus, kind = name.partition("+")
    return RowName(bundle, kind if plus else None, weights if equals else None)

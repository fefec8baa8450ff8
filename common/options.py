"""Options that programs share: one word for one thing, and one grammar of ``KEY=VALUE``. Nothing heavy is imported."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .errors import InputError

WORDS = {"true": True, "false": False, "null": None}
BUNDLE = "a bundle's name, its folder, a run of its training, or a package (.zip)"


def program(name: str) -> str:
    """How a program is called, for its usage: ``warpsure NAME``, or ``python -m tools.NAME`` where that started it."""
    started = getattr(sys.modules["__main__"], "__spec__", None)
    if started is None or not started.name.startswith("tools."):
        return f"warpsure {name}"
    return f"python -m tools.{name.replace('-', '_')}"


def add_bundle(parser: argparse._ActionsContainer, default: str | None = None, **more: Any) -> None:
    """``--bundle``: what `collection.find` finds; required without a default."""
    told = BUNDLE if default is None else f"{BUNDLE} (default: {default})"
    metavar = "NAME|FOLDER|RUN|ZIP"
    parser.add_argument("--bundle", default=default, required=default is None, metavar=metavar, help=told, **more)


def add_output(parser: argparse._ActionsContainer, what: str, metavar: str = "DIR", required: bool = True) -> None:
    """``--output``: where what a program makes is written."""
    parser.add_argument("--output", type=Path, required=required, metavar=metavar, help=what)


def add_dataset(parser: argparse._ActionsContainer, what: str = "a prepared data set", required: bool = True) -> None:
    """``--dataset``: the folder of a prepared data set."""
    parser.add_argument("--dataset", type=Path, required=required, metavar="DIR", help=what)


def add_overrides(parser: argparse._ActionsContainer, of: str) -> None:
    """``--override KEY=VALUE ...``, which may be repeated; see `parse_overrides`.

    Args:
        of: whose settings they are: "settings of the bundle's inference config".
    """
    parser.add_argument("--override", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help=of)


def add_region(parser: argparse._ActionsContainer) -> None:
    """``--center``, ``--spacing`` and ``--crop-size``: what a network sees of images; see `region_overrides`."""
    middle = "middle of what the network sees: image, detect (what moves), or a voxel I,J[,K] (default: the bundle's)"
    parser.add_argument("--center", metavar="WHERE", help=middle)
    voxels = "of the network's voxels in mm, one number or one for each axis (default: the bundle's)"
    parser.add_argument("--spacing", metavar="MM", help=voxels)
    size = "voxels that it sees along each axis, one number, or all (default: the bundle's)"
    parser.add_argument("--crop-size", metavar="N", help=size)


def add_jobs(parser: argparse._ActionsContainer, what: str, default: int = 1) -> None:
    """``--jobs``: how many processes work at a time."""
    parser.add_argument("--jobs", type=positive, default=default, metavar="N", help=f"{what} (default: {default})")


def add_device(parser: argparse._ActionsContainer) -> None:
    """``--device``: where networks run."""
    parser.add_argument("--device", metavar="NAME", help="cpu or cuda (default: a GPU if there is one)")


def positive(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number above 0")
    return int(text)


def region_overrides(options: argparse.Namespace) -> dict[str, Any]:
    """What the options of `add_region` set in a bundle's inference config; nothing for those that are not given."""
    given = {"center": options.center, "spacing": options.spacing, "crop_size": options.crop_size}
    return {key: _numbers(text) for key, text in given.items() if text is not None}


def _numbers(text: str) -> Any:
    """One number, or several with commas between, as numbers; any other text as it is."""
    try:
        found = [float(part) if "." in part else int(part) for part in text.split(",")]
    except ValueError:
        return text
    return found[0] if len(found) == 1 else found


def split_pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    """Read each ``KEY=VALUE`` of an option; raise InputError if one is of another form."""
    pairs = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise InputError(f"{option} {text}: not of the form KEY=VALUE, as in center=detect.")
        pairs[key] = value
    return pairs


def parse_overrides(texts: Sequence[str]) -> dict[str, Any]:
    """Read each ``KEY=VALUE`` as ``monai.bundle`` reads ``--KEY VALUE``; raise InputError if it is of another form."""
    return {key: parse_value(value) for key, value in split_pairs("--override", texts).items()}


def parse_value(text: str) -> Any:
    """What a value on the command line means."""
    from fire.parser import DefaultParseValue

    return WORDS[text] if text in WORDS else DefaultParseValue(text)

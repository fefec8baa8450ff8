"""Options that programs share: one word for one thing, and one grammar of ``KEY=VALUE``. Nothing heavy is imported."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from math import isfinite, prod
from pathlib import Path
from typing import Any

from .data.names import PAIRINGS, PROTOCOLS, SPLITS
from .errors import InputError
from .memory import VARIABLE, memory_limit

WORDS = {"true": True, "false": False, "null": None}
BUNDLE = "a bundle's name, its folder, a run of its training, or a package (.zip)"
BUNDLES = "NAME|FOLDER|RUN|ZIP"
LONGEST, MOST = 32767, 2**28  # voxels of an image that is made: what NIfTI holds along an axis, and 1 GiB of float32
Group = argparse._ActionsContainer


class Parser(argparse.ArgumentParser):
    """A parser that takes no abbreviation: one could come to mean another option. A description keeps its lines.

    Args:
        given: as argparse has them.
    """

    def __init__(self, *args: Any, **given: Any) -> None:
        plain: dict[str, Any] = {"allow_abbrev": False, "formatter_class": argparse.RawDescriptionHelpFormatter}
        super().__init__(*args, **plain | given)


def program(name: str) -> str:
    """How a program is called, for its usage: ``warpsure NAME``, or ``python -m tools.NAME`` where that started it."""
    started = getattr(sys.modules["__main__"], "__spec__", None)
    if started is None or not started.name.startswith("tools."):
        return f"warpsure {name}"
    return f"python -m tools.{name.replace('-', '_')}"


def add_bundle(parser: Group, default: str | None = None, **more: Any) -> None:
    """``--bundle``: what `collection.find` finds; required without a default."""
    told = BUNDLE if default is None else f"{BUNDLE} (default: {default})"
    parser.add_argument("--bundle", default=default, required=default is None, metavar=BUNDLES, help=told, **more)


def add_weights(parser: Group) -> None:
    """``--weights``: which of a bundle's, by the name that `collection.weights` knows them by."""
    told = "of the bundle's weights, as `warpsure where` lists them"
    parser.add_argument("--weights", metavar="NAME", help=told)


def add_bundles(parser: Group, default: Sequence[str] | None, told: str) -> None:
    """``--bundles``: several of what ``--bundle`` takes; ``told`` is the default in words."""
    what = f"of each {BUNDLE} (default: {told})"
    parser.add_argument("--bundles", nargs="+", default=default, metavar=BUNDLES, help=what)


def add_output(parser: Group, what: str, metavar: str = "DIR", default: Path | None = None) -> None:
    """``--output``: where what a program makes is written, a DIR or a FILE; required without a default."""
    required = default is None
    parser.add_argument("--output", type=path, default=default, required=required, metavar=metavar, help=what)


def add_dataset(parser: Group, what: str = "a prepared data set", required: bool = True) -> None:
    """``--dataset``: the folder of a prepared data set."""
    parser.add_argument("--dataset", type=path, required=required, metavar="DIR", help=what)


def add_split(parser: Group) -> None:
    """``--split`` and ``--pairing``: which pairs of a data set."""
    parser.add_argument("--split", choices=SPLITS, default="val", help="of the data set (default: val)")
    parser.add_argument("--pairing", choices=PAIRINGS, default="listed", help="pairs of the split (default: as listed)")


def add_select(parser: Group) -> None:
    """``--select``: the protocol whose Dice decides."""
    told = "the protocol whose Dice selects (default: published)"
    parser.add_argument("--select", choices=PROTOCOLS, default="published", help=told)


def add_overrides(parser: Group, of: str) -> None:
    """``--override KEY=VALUE ...``, which may be repeated, of what ``of`` says; see `parse_overrides`."""
    parser.add_argument("--override", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help=of)


def add_refine(parser: Group) -> None:
    """``--refine``: steps of optimisation for the pair at hand."""
    told = "steps of optimisation for each pair, from what the network finds (default: the bundle's, 0)"
    parser.add_argument("--refine", type=int, metavar="N", help=told)


def add_format(parser: Group, formats: Sequence[str], default: str | None, what: str) -> None:
    """``--format``: of a field that is written, one of `io.formats.FORMATS`."""
    parser.add_argument("--format", choices=formats, default=default, help=what)


def add_outside(parser: Group) -> None:
    """``--outside``: what a method's maps are in files where the network did not look."""
    told = "what the method's maps are where nothing was seen (default: nan)"
    parser.add_argument("--outside", choices=("nan", "0"), default="nan", help=told)


def add_region(parser: Group, center: str = "the bundle's") -> None:
    """``--center``, ``--spacing`` and ``--crop-size``: what a network sees of images; see `region_overrides`.

    Args:
        center: what it is where it is not given, in words.
    """
    middle = (
        f"middle of what the network sees: auto, image, detect (what moves), or a voxel I,J[,K] (default: {center})"
    )
    parser.add_argument("--center", metavar="WHERE", help=middle)
    voxels = "of the network's voxels, one number or one for each axis (default: the bundle's)"
    parser.add_argument("--spacing", type=lengths, metavar="MM[,MM,MM]", help=voxels)
    size = "voxels that it sees, one number, one for each axis, or all (default: the bundle's)"
    parser.add_argument("--crop-size", metavar="N", help=size)


def add_fill(parser: Group, of: str) -> None:
    """``--fill``: what is written where an image that is carried somewhere has no voxels."""
    told = f"value outside of the {of} (default: its smallest value)"
    parser.add_argument("--fill", type=finite, metavar="VALUE", help=told)


def add_memory(parser: Group) -> None:
    """``--memory-gb``: how large one image may be; set for this process, and those that it starts, at once."""
    told = "of memory for one image (default: half of what is free)"
    parser.add_argument("--memory-gb", action=_Memory, metavar="GB", help=told)


class _Memory(argparse.Action):
    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        os.environ[VARIABLE] = str(values)
        memory_limit()  # refuses what is no number above 0
        setattr(namespace, self.dest, values)


def add_jobs(parser: Group, what: str, default: int = 1) -> None:
    """``--jobs``: how many processes work at a time."""
    parser.add_argument("--jobs", type=positive, default=default, metavar="N", help=f"{what} (default: {default})")


def add_device(parser: Group, default: str | None = None) -> None:
    """``--device``: where networks run."""
    told = f"cpu or cuda (default: {default or 'a GPU if there is one'})"
    parser.add_argument("--device", default=default, metavar="NAME", help=told)


def add_seed(parser: Group, of: str, default: int = 0) -> None:
    """``--seed``: of what a program draws at random."""
    parser.add_argument("--seed", type=seed, default=default, metavar="N", help=f"of {of} (default: {default})")


def path(text: str) -> Path:
    """A path; the text of a variable that is not set is none, and would be the folder that the program runs in."""
    if not text.strip():
        raise argparse.ArgumentTypeError(f"{text!r}: expected a path; is a variable not set?")
    return Path(text)


def seed(text: str) -> int:
    """A whole number that every random generator takes."""
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number from 0 to {2**32 - 1}")
    return int(text)


def positive(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number above 0")
    return int(text)


def finite(text: str) -> float:
    """A number, neither NaN nor infinite."""
    (value,) = numbers(text, float, (1,))
    if not isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number, neither NaN nor infinite")
    return value


def lengths(text: str) -> tuple[float, ...]:
    """Lengths in mm along the axes, or one for all, with commas between."""
    values = numbers(text, float, (1, 2, 3))
    if not all(0 < value < float("inf") for value in values):
        raise argparse.ArgumentTypeError(f"{text!r}: expected lengths in mm above 0, as 1.5,1.5,5")
    return values


def sizes(text: str) -> tuple[int, ...]:
    """Voxels along the axes, with commas between."""
    values = numbers(text, int, (1, 2, 3))
    if min(values) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected voxels along each axis, as 128,128")
    if max(values) > LONGEST or prod(values) > MOST:
        raise argparse.ArgumentTypeError(f"{text!r}: at most {LONGEST} voxels along an axis and {MOST} in all")
    return values


def numbers(text: str, kind: Callable[[str], Any], counts: Sequence[int]) -> tuple:
    """Numbers of one kind with commas between, of which there may be as many as ``counts`` holds."""
    try:
        values = tuple(kind(item) for item in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: expected numbers with commas between") from error
    if len(values) not in counts:
        raise argparse.ArgumentTypeError(f"{text!r}: {len(values)} numbers, expected {' or '.join(map(str, counts))}")
    return values


def region_overrides(options: argparse.Namespace) -> dict[str, Any]:
    """What the options of `add_region` set in a bundle's inference config; nothing for those that are not given."""
    given = {"center": options.center, "crop_size": options.crop_size}
    found = {key: _numbers(text) for key, text in given.items() if text is not None}
    if options.spacing is not None:
        found["spacing"] = options.spacing[0] if len(options.spacing) == 1 else [*options.spacing]
    return found


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

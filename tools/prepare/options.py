"""Command-line options that several sources share, and their parsers."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

PERCENTILES = (0.0, 100.0)


def add_output(parser: argparse.ArgumentParser, source: str, default: tuple[float, float] = PERCENTILES) -> None:
    """Add what every source of real images has."""
    parser.add_argument("--source", type=Path, required=True, help=source)
    parser.add_argument("--output", type=Path, required=True, help="folder of the prepared data set")
    parser.add_argument(
        "--test-source", type=Path, help="a second folder, the same in layout: its cases become the test split"
    )
    parser.add_argument(
        "--percentiles",
        type=percentiles,
        default=default,
        metavar="LOW,HIGH",
        help=f"percentiles that become 0 and 1; 0,100 is min-max (default: {default[0]:g},{default[1]:g})",
    )
    parser.add_argument(
        "--workers", type=positive, default=min(os.cpu_count() or 1, 8), help="processes that read at once"
    )
    parser.add_argument(
        "--skip-broken", action="store_true", help="report patients that cannot be read and go on without them"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace another prepared data set in --output")


def add_split(parser: argparse.ArgumentParser, default: str) -> None:
    """Add the options of a seeded split by patient."""
    parser.add_argument(
        "--split",
        type=fractions,
        default=fractions(default),
        metavar="TRAIN,VAL,TEST",
        help=f"fractions of the patients (default: {default})",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the split (default: 0)")


def add_dims(parser: argparse.ArgumentParser, default: int = 2) -> None:
    """Add the choice between slices and volumes."""
    parser.add_argument(
        "--spatial-dims",
        type=int,
        choices=(2, 3),
        default=default,
        help=f"2: every slice is a pair; 3: every volume (default: {default})",
    )


def add_grid(parser: argparse.ArgumentParser, default: str) -> None:
    """Add the choice of one grid for all cases."""
    parser.add_argument(
        "--size", type=size, metavar="I,J[,K]", help=f"crop or pad to this many voxels (default: {default})"
    )
    parser.add_argument(
        "--spacing", type=spacing, metavar="I,J,K", help="resample to this voxel size, in mm (default: native)"
    )


def add_about(parser: argparse.ArgumentParser) -> None:
    """Add what only the user can say of data of their own."""
    parser.add_argument("--name", help="name of the data set (default: the source's)")
    parser.add_argument("--licence", default="unknown")
    parser.add_argument("--citation", default="")
    parser.add_argument("--modality", default="")
    parser.add_argument("--labels", type=label_names, default={}, metavar="1=NAME,2=NAME", help="what the labels mean")
    parser.add_argument(
        "--evaluated-labels",
        type=_list(int),
        metavar="1,2",
        help="labels that metrics are made of (default: all that moving and fixed maps share)",
    )


def percentiles(text: str) -> tuple[float, float]:
    """Parse ``LOW,HIGH``."""
    low, high = _numbers(text, float, (2,))
    if not 0 <= low < high <= 100:
        raise argparse.ArgumentTypeError(f"{text!r}: expected 0 <= LOW < HIGH <= 100")
    return low, high


def fractions(text: str) -> tuple[float, ...]:
    """Parse ``TRAIN,VAL,TEST``, which add up to 1."""
    values = _numbers(text, float, (3,))
    if min(values) < 0 or abs(sum(values) - 1) > 1e-6:
        raise argparse.ArgumentTypeError(f"{text!r}: expected three fractions that add up to 1, as 0.7,0.1,0.2")
    return values


def size(text: str) -> tuple[int, ...]:
    """Parse one to three positive whole numbers."""
    values = _numbers(text, int, (1, 2, 3))
    if min(values) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected voxels along each axis, as 128,128")
    return values


def spacing(text: str) -> tuple[float, ...]:
    """Parse three positive numbers, in mm; ``x`` may stand for the comma."""
    values = _numbers(text.replace("x", ","), float, (3,))
    if not all(0 < value < float("inf") for value in values):
        raise argparse.ArgumentTypeError(f"{text!r}: expected three lengths in mm, as 1.5,1.5,5")
    return values


def positive(text: str) -> int:
    """Parse a positive whole number."""
    (value,) = _numbers(text, int, (1,))
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a positive whole number")
    return value


def label_names(text: str) -> dict[int, str]:
    """Parse ``1=NAME,2=NAME``."""
    try:
        return {int(value): name.strip() for value, name in (item.split("=", 1) for item in text.split(","))}
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: expected 1=NAME,2=NAME") from error


def _list(kind: type) -> Callable[[str], tuple]:
    return lambda text: _numbers(text, kind, range(1, 256))


def _numbers(text: str, kind: type, lengths: tuple[int, ...] | range) -> tuple:
    try:
        values = tuple(kind(item) for item in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: expected numbers with commas between") from error
    if len(values) not in lengths:
        raise argparse.ArgumentTypeError(f"{text!r}: {len(values)} numbers, expected {' or '.join(map(str, lengths))}")
    return values

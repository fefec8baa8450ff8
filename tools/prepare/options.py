"""Command-line options that several sources share, and their parsers."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from common import options as shared
from common.options import lengths, numbers, sizes

PERCENTILES = (0.0, 100.0)


def add_output(parser: argparse.ArgumentParser, source: str, default: tuple[float, float] = PERCENTILES) -> None:
    """Add what every source of real images has."""
    parser.add_argument("--source", type=Path, required=True, metavar="PATH", help=source)
    shared.add_output(parser, "folder of the prepared data set")
    second = "a second folder, the same in layout: its cases become the test split"
    parser.add_argument("--test-source", type=Path, metavar="PATH", help=second)
    parser.add_argument(
        "--percentiles",
        type=percentiles,
        default=default,
        metavar="LOW,HIGH",
        help=f"percentiles that become 0 and 1; 0,100 is min-max (default: {default[0]:g},{default[1]:g})",
    )
    shared.add_jobs(parser, "processes that read at once", min(os.cpu_count() or 1, 8))
    shared.add_memory(parser)
    parser.add_argument(
        "--skip-broken", action="store_true", help="report patients that cannot be read and go on without them"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace another prepared data set in --output")


def add_fractions(parser: argparse.ArgumentParser, default: str) -> None:
    """Add the options of a seeded split by patient."""
    parser.add_argument(
        "--fractions",
        dest="split",
        type=fractions,
        default=fractions(default),
        metavar="TRAIN,VAL,TEST",
        help=f"of the patients, in each split (default: {default})",
    )
    # its name up to version 0.1
    parser.add_argument("--split", type=fractions, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    shared.add_seed(parser, "the split")


def add_size(parser: argparse.ArgumentParser, what: str, told: str, default: tuple[int, ...] | None = None) -> None:
    """Add the size of what is written; ``told`` is the default in words."""
    told = f"{what} (default: {told})"
    parser.add_argument("--size", type=sizes, default=default, metavar="I,J[,K]", help=told)


def add_spacing(
    parser: argparse.ArgumentParser, what: str, told: str, default: tuple[float, ...] | None = None
) -> None:
    """Add the size of the voxels that are written; ``told`` is the default in words."""
    told = f"{what} (default: {told})"
    parser.add_argument("--spacing", type=spacing, default=default, metavar="MM[,MM,MM]", help=told)


def add_grid(parser: argparse.ArgumentParser, default: str) -> None:
    """Add the choice of one grid for all cases."""
    add_size(parser, "crop or pad to this many voxels", default)
    add_spacing(parser, "resample to this voxel size", "native")


def add_dims(parser: argparse.ArgumentParser, default: int = 2) -> None:
    """Add the choice between slices and volumes."""
    parser.add_argument(
        "--spatial-dims",
        type=int,
        choices=(2, 3),
        default=default,
        help=f"2: every slice is a pair; 3: every volume (default: {default})",
    )


def add_align_slices(parser: argparse.ArgumentParser) -> None:
    """Add the correction of shifts between slices; unset where it is off, as in what was prepared before it was."""
    shifts = "in 3D, undo the shifts in their plane that slices have from breath hold to breath hold"
    parser.add_argument("--align-slices", action="store_true", default=argparse.SUPPRESS, help=shifts)


def add_label_suffix(parser: argparse.ArgumentParser, default: str) -> None:
    """Add how label maps are found."""
    suffix = f"what a label map has behind its image's name; maps are optional (default: {default})"
    parser.add_argument("--label-suffix", default=default, metavar="TEXT", help=suffix)


def add_about(parser: argparse.ArgumentParser) -> None:
    """Add what only the user can say of data of their own."""
    parser.add_argument("--name", metavar="NAME", help="name of the data set (default: the source's)")
    parser.add_argument("--licence", default="unknown", metavar="TEXT", help="of the data (default: unknown)")
    parser.add_argument("--citation", default="", metavar="TEXT", help="whom to cite for it")
    parser.add_argument("--modality", default="", metavar="TEXT", help="of the images, as MR")
    parser.add_argument("--labels", type=label_names, default={}, metavar="1=NAME,2=NAME", help="what the labels mean")
    parser.add_argument(
        "--evaluated-labels",
        type=label_values,
        metavar="1,2",
        help="labels that metrics are made of (default: all that moving and fixed maps share)",
    )


def percentiles(text: str) -> tuple[float, float]:
    """Parse ``LOW,HIGH``."""
    low, high = numbers(text, float, (2,))
    if not 0 <= low < high <= 100:
        raise argparse.ArgumentTypeError(f"{text!r}: expected 0 <= LOW < HIGH <= 100")
    return low, high


def fractions(text: str) -> tuple[float, ...]:
    """Parse ``TRAIN,VAL,TEST``, which add up to 1."""
    values = numbers(text, float, (3,))
    if min(values) < 0 or abs(sum(values) - 1) > 1e-6:
        raise argparse.ArgumentTypeError(f"{text!r}: expected three fractions that add up to 1, as 0.7,0.1,0.2")
    return values


def spacing(text: str) -> tuple[float, ...]:
    """Parse a length in mm along each of three axes, or one for all."""
    values = lengths(text)
    if len(values) == 2:
        raise argparse.ArgumentTypeError(f"{text!r}: expected one or three lengths in mm, as 1.5,1.5,5")
    return values * 3 if len(values) == 1 else values


def centre(text: str) -> str | tuple[int, ...]:
    """Parse ``label``, ``image`` or ``I,J``."""
    if text in ("label", "image"):
        return text
    point = sizes(text)
    if len(point) != 2:
        raise argparse.ArgumentTypeError(f"{text!r}: expected label, image or two voxel indices I,J")
    return point


def counts(text: str) -> tuple[int, ...]:
    """Parse ``TRAIN,VAL,TEST``, numbers of pairs."""
    return numbers(text, int, (3,))


def label_names(text: str) -> dict[int, str]:
    """Parse ``1=NAME,2=NAME``."""
    try:
        return {int(value): name.strip() for value, name in (item.split("=", 1) for item in text.split(","))}
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: expected 1=NAME,2=NAME") from error


def label_values(text: str) -> tuple[int, ...]:
    """Parse ``1,2``."""
    return numbers(text, int, range(1, 256))

"""Make a phantom: pairs of a beating heart whose motion, noise and artefacts are known exactly.

python -m tools.prepare phantom --output data/phantom
python -m tools.prepare phantom --output data/phantom3d --spatial-dims 3 --kind ultrasound
"""

from __future__ import annotations

import argparse
from pathlib import Path

from common.data.phantom import Settings, make_phantom
from common.data.phantom.settings import DEFAULT_PAIRS, DEFAULT_SIZE, KINDS
from common.data.prepared import SPLITS

from . import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this source."""
    parser.add_argument("--output", type=Path, required=True, help="folder of the prepared data set, new or empty")
    options.add_dims(parser)
    parser.add_argument(
        "--kind",
        choices=list(KINDS),
        default="mr",
        help="short-axis mr, apical ultrasound, or both by turns (default: mr)",
    )
    parser.add_argument(
        "--pairs",
        type=_counts,
        metavar="TRAIN,VAL,TEST",
        help=f"pairs of each split, a subject each (default: {_both(DEFAULT_PAIRS)})",
    )
    parser.add_argument("--size", type=options.size, help=f"voxels along each axis (default: {_both(DEFAULT_SIZE)})")
    parser.add_argument("--seed", type=int, default=0, help="the same seed makes the same phantom (default: 0)")
    parser.add_argument("--workers", type=options.positive, default=1, help="processes that work at once (default: 1)")


def run(args: argparse.Namespace) -> int:
    """Make the phantom and say what was made."""
    settings = Settings(args.spatial_dims, args.kind, args.pairs, args.size, args.seed)
    dataset = make_phantom(args.output, settings, args.workers)
    counts = ", ".join(f"{len(dataset.splits[name])} {name}" for name in SPLITS)
    print(f"{args.output}: {dataset.name}, {counts} pairs")
    return 0


def _counts(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(item) for item in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: expected TRAIN,VAL,TEST, as 96,16,32") from error


def _both(defaults: dict[int, tuple[int, ...]]) -> str:
    return "; ".join(f"{','.join(map(str, values))} in {dims}D" for dims, values in defaults.items())

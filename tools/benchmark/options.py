"""What can be measured, and the options of each. Nothing heavy is imported: the work is in modules of these names."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from common.options import (
    add_bundle,
    add_bundles,
    add_dataset,
    add_device,
    add_seed,
    add_split,
    finite,
    path,
    positive,
    seed,
    sizes,
)
from tools.baselines import NAMES
from tools.cine.band import add_scale

ROUNDS = 7
"""Of a comparison, at least."""
METHOD = "mse"
"""The method that others are measured against."""
HEAD = (160, 192, 160)
"""Voxels of a whole head at 1 mm."""
VARIANTS = ("small", "published")
"""Of TransMorph and DiffuseMorph."""


def architectures(parser: argparse.ArgumentParser) -> None:
    """Add the options of the steps of TransMorph and DiffuseMorph."""
    _add_steps(parser)
    _add_dims(parser, 2)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS, help="of the networks")


def band(parser: argparse.ArgumentParser) -> None:
    """Add the options of the errors of an uncertainty."""
    add_bundle(parser, "vxm_hetero_disp")
    parser.add_argument("--subjects", type=positive, default=16, metavar="N", help="phantoms (default: 16)")
    add_seed(parser, "the phantoms", 5)
    add_scale(parser)


def ensemble(parser: argparse.ArgumentParser) -> None:
    """Add the options of the time and the memory of an ensemble."""
    _add_steps(parser)
    parser.add_argument("--members", type=positive, default=8, metavar="N", help="of the ensemble (default: 8)")


def finetune(parser: argparse.ArgumentParser) -> None:
    """Add the options of short trainings from weights and from nothing."""
    add_dataset(parser)
    add_bundle(parser, "vxm_mse")
    told = "weights to begin with: a NAME of the bundle's own, or BUNDLE[:NAME] (default: acdc)"
    parser.add_argument("--init", default="acdc", metavar="NAME", help=told)
    told = "how long to train, each a training of its own (default: 1 4 16)"
    parser.add_argument("--epochs", nargs="+", type=positive, default=(1, 4, 16), metavar="N", help=told)
    told = "learning rates from weights; from nothing it is the bundle's (default: 0.0001)"
    parser.add_argument("--rates", nargs="+", type=rate, default=(1e-4,), metavar="VALUE", help=told)
    parser.add_argument(
        "--seeds", nargs="+", type=seed, default=(0,), metavar="N", help="of each training (default: 0)"
    )
    told = "of the training subjects, to train on so many alone (default: 1)"
    parser.add_argument("--share", type=finite, default=1.0, metavar="VALUE", help=told)
    told = "steps of refinement of the weights as they are (default: 50)"
    parser.add_argument("--refine-steps", type=positive, default=50, metavar="N", help=told)
    told = "folder to keep the trainings in, where the same command goes on (default: they are not kept)"
    parser.add_argument("--runs", type=Path, metavar="RUNS", help=told)
    parser.add_argument("--output", type=path, metavar="FILE", help="write all numbers (JSON)")


def following(parser: argparse.ArgumentParser) -> None:
    """Add the options of frames that follow each other."""
    add_bundles(parser, ["vxm_mse"], "vxm_mse; BUNDLE=NAME for others of its weights")
    parser.add_argument("--subjects", type=positive, default=6, metavar="N", help="phantoms (default: 6)")
    parser.add_argument("--frames", type=positive, default=12, metavar="N", help="of each cine (default: 12)")
    told = "steps of refinement of each frame (default: 50)"
    parser.add_argument("--refine-steps", type=positive, default=50, metavar="N", help=told)
    add_seed(parser, "the phantoms", 5)
    parser.add_argument("--output", type=path, metavar="FILE", help="write all numbers and the machine (JSON)")


def memory(parser: argparse.ArgumentParser) -> None:
    """Add the options of the memory of a step."""
    _add_architecture(parser)
    parser.add_argument("--methods", nargs="+", default=[METHOD, "hetero"], metavar="NAME", help="what to train by")
    head = ",".join(map(str, HEAD))
    parser.add_argument("--size", type=sizes, default=HEAD, metavar="I,J[,K]", help=f"voxels (default: {head})")
    _add_place(parser)


def methods(parser: argparse.ArgumentParser) -> None:
    """Add the options of the steps of all methods."""
    _add_steps(parser)
    _add_dims(parser, 2)
    _add_architecture(parser)
    parser.add_argument("--methods", nargs="+", metavar="NAME", help=f"only these, besides {METHOD} (default: all)")


def metrics(parser: argparse.ArgumentParser) -> None:
    """Add the options of the metrics."""
    _add_rounds(parser)
    parser.set_defaults(threads=1, device="cpu")


def refine(parser: argparse.ArgumentParser) -> None:
    """Add the options of Dice against seconds."""
    add_dataset(parser)
    add_split(parser)
    told = "vxm_mse; BUNDLE=NAME for others of its weights, or a folder of trainings called seed_0 and on, as one"
    add_bundles(parser, ["vxm_mse"], told)
    steps = (0, 5, 10, 25, 50, 100)
    told = f"of refinement (default: {' '.join(map(str, steps))})"
    parser.add_argument("--steps", nargs="+", type=int, default=steps, metavar="N", help=told)
    told = "of its steps, voxels (default: the bundle's, 0.05)"
    parser.add_argument("--rate", type=rate, metavar="VALUE", help=told)
    told = "lambda of the refinement (default: that of the weights' training)"
    parser.add_argument("--smooth-weight", type=rate, metavar="VALUE", help=told)
    told = "classical methods on the same pairs, see `baselines` (default: none)"
    parser.add_argument("--opponents", nargs="+", choices=NAMES, default=[], metavar="NAME", help=told)
    parser.add_argument("--output", type=path, metavar="FILE", help="write all numbers and the machine (JSON)")
    parser.add_argument("--figure", type=path, metavar="FILE", help="draw them (PNG)")


def region(parser: argparse.ArgumentParser) -> None:
    """Add the options of where a registration looks."""
    add_bundle(parser, "vxm_hetero_disp")
    told = "the folder of ACDC's patients, as it is distributed"
    parser.add_argument("--acdc", type=Path, required=True, metavar="DIR", help=told)
    parser.add_argument("--patients", type=positive, metavar="N", help="only the first N (default: all)")
    parser.add_argument("--threads", type=positive, default=1, metavar="N", help="of PyTorch (default: 1)")
    add_device(parser, "cpu")


def start(parser: argparse.ArgumentParser) -> None:
    """Add the options of the parts of a registration from the command line."""
    add_bundle(parser, "vxm_hetero_disp")
    for side in ("moving", "fixed"):
        parser.add_argument(f"--{side}", type=Path, metavar="FILE", help=f"{side} image (default: of a phantom)")
    _add_rounds(parser)
    parser.add_argument("--threads", type=positive, default=1, metavar="N", help="of each process (default: 1)")
    parser.set_defaults(device="cpu")


def table(parser: argparse.ArgumentParser) -> None:
    """Add the files of which tables are made."""
    told = "written by --output (default: the repository's results)"
    parser.add_argument("files", nargs="*", type=path, metavar="FILE", help=told)


def training(parser: argparse.ArgumentParser) -> None:
    """Add the options of a step of VoxelMorph."""
    _add_steps(parser)
    _add_dims(parser, None)


def rounds(text: str) -> int:
    """A count of rounds that a median and a spread can be quoted of."""
    if positive(text) < ROUNDS:
        raise argparse.ArgumentTypeError(f"{text!r}: at least {ROUNDS}, or --quick, which gives nothing to quote")
    return int(text)


def rate(text: str) -> float:
    """A learning rate."""
    if finite(text) <= 0:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number above 0")
    return float(text)


def _add_steps(parser: argparse.ArgumentParser) -> None:
    _add_rounds(parser)
    _add_place(parser)


def _add_rounds(parser: argparse.ArgumentParser) -> None:
    told = f"of which the median counts (default: {ROUNDS}, the fewest)"
    parser.add_argument("--rounds", type=rounds, default=ROUNDS, metavar="N", help=told)
    parser.add_argument(
        "--quick", action="store_true", help="two rounds of one turn: whether it runs, nothing to quote"
    )
    told = "write all times, ratios and the machine (JSON)"
    parser.add_argument("--output", type=path, metavar="FILE", help=told)


def _add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=positive, default=1, metavar="N", help="of PyTorch (default: 1)")
    add_device(parser, "cpu")


def _add_dims(parser: argparse.ArgumentParser, default: int | None) -> None:
    told = f"of the images (default: {default or 'both'})"
    parser.add_argument("--spatial-dims", type=int, choices=(2, 3), default=default, help=told)


def _add_architecture(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--architecture", default="vxm", metavar="NAME", help="as in a bundle's name (default: vxm)")


BENCHMARKS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "architectures": (
        "steps of TransMorph and DiffuseMorph, against the nearest of MONAI's parts",
        architectures,
    ),
    "band": ("a predicted uncertainty and the bands of a cine, against true errors on phantoms", band),
    "ensemble": ("the time and the memory of an ensemble, against as many passes of one network", ensemble),
    "finetune": (
        "the Dice after short trainings from weights and from nothing, beside the weights as they are",
        finetune,
    ),
    "following": ("what frames of a cine gain by following each other, on phantoms of known motion", following),
    "memory": ("the peak memory of one training step of 3D VoxelMorph, in a process of its own", memory),
    "methods": ("the training step of every method of an architecture, against mean squared error's", methods),
    "metrics": ("our metrics, against MONAI's and a percentile loop", metrics),
    "refine": ("the Dice after ever more steps of refinement against seconds, beside classical methods", refine),
    "region": ("how much of the hearts of ACDC is missed, and the Dice, by where a registration looks", region),
    "start": ("what `warpsure register` takes from the command to the files, part by part", start),
    "table": ("the tables of speed in Markdown, from what the other benchmarks have written", table),
    "training": ("our VoxelMorph training step, against MONAI's, and the loader against the step", training),
}

"""Time the training step of every method of an architecture against mean squared error's, in one interleaved run.

A method trained alternately is timed a second way, as Algorithm 1 of adacs has it: a step of the displacement
estimator, then the deformation and the companion's map again for a step of the companion.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine
from monai.bundle import ConfigParser

from common.engines import AlternatingTrainer
from common.engines.phases import COMPANION, DISPLACEMENT
from common.errors import InputError
from common.interfaces import Pair
from common.losses import Terms
from tools.campaign.runs import config
from tools.render import combinations

from .options import METHOD
from .steps import (
    CASES,
    Case,
    Step,
    as_asked,
    loader_of,
    median_seconds,
    monai_voxelmorph,
    plain_step,
    stepper,
)

BASELINE, PEER, UNSHARED = METHOD, "MONAI's VoxelMorph", " unshared"
BAR = 1.6  # an alternating step, in steps of the baseline


class UnsharedTrainer(AlternatingTrainer):
    """Evaluate both networks for either step (adacs, Algorithm 1), the one that does not train without gradients."""

    def _iteration(self, engine: Engine, batchdata: dict[str, Any]) -> list[dict[str, Any]]:
        for self.phase in (DISPLACEMENT, COMPANION):
            output = super()._iteration(engine, batchdata)
        return output

    def _losses(self, pair: Pair) -> dict[str, Terms]:
        if self.phase is COMPANION:
            return super()._losses(pair)
        pair, deformation = self._deform(pair)
        with torch.no_grad():
            predicted = self._map(pair, deformation)
        return {"displacement": self.objective.displacement_loss(pair, deformation, predicted)}


def run(args: argparse.Namespace) -> None:
    """Time all methods in turns, print the medians and the ratios."""
    methods = methods_of(args.architecture, args.methods)
    case = next(case for case in CASES if len(case.size) == args.spatial_dims)
    with as_asked(args) as device, tempfile.TemporaryDirectory() as folder:
        calls = steps_of(args.architecture, methods, case, Path(folder), device)
        seconds = median_seconds(calls, args.repeats, device)
    print(f"  {args.architecture}, {case}, as the bundles train:")
    report(seconds)
    for name, ratio in ratios_of(seconds).items():
        print(f"ratio {args.architecture}_{name}_{case.name} {ratio:.4g}")


def methods_of(architecture: str, only: Sequence[str] | None = None) -> dict[str, bool]:
    """The methods that ``architecture`` is trained by, the baseline first, and whether each trains alternately.

    Raises:
        InputError: for an architecture or a method that there are no bundles of.
    """
    found = combinations().values()
    if architecture not in (known := {a["name"]: None for a, _ in found}):
        raise InputError(f"--architecture {architecture}: there is {', '.join(known)}")
    methods = {m["name"]: m["trainer"] == "AlternatingTrainer" for a, m in found if a["name"] == architecture}
    if unknown := [name for name in only or () if name not in methods]:
        raise InputError(f"--methods {unknown[0]}: {architecture} has {', '.join(methods)}")
    return {name: methods[name] for name in dict.fromkeys([BASELINE, *(only or methods)])}


def steps_of(
    architecture: str, methods: dict[str, bool], case: Case, folder: Path, device: torch.device
) -> dict[str, Step]:
    """A step of each method, of each alternating one unshared as well, and of MONAI's VoxelMorph beside ours."""
    batch = next(iter(loader_of(case, folder / "data", device)))
    trainers = {name: {} for name in methods}
    trainers |= {
        name + UNSHARED: {"train#trainer#_target_": f"{__name__}.UnsharedTrainer"}
        for name, alternating in methods.items()
        if alternating
    }
    steps = {}
    for name, settings in trainers.items():
        bundle = f"{architecture}_{name.removesuffix(UNSHARED)}"
        steps[name] = stepper(trainer_of(bundle, case, folder, device, settings), batch)
    if architecture == "vxm":
        steps[PEER] = plain_step(monai_voxelmorph(len(case.size)), batch, device)
    return steps


def trainer_of(bundle: str, case: Case, folder: Path, device: torch.device, settings: dict[str, Any]) -> Any:
    """The trainer of a bundle's train.yaml, without its handlers: they write, and are no part of a step."""
    parser = ConfigParser(ConfigParser.load_config_files(str(config(bundle, "train.yaml"))))
    own = {"spatial_dims": len(case.size), "batch_size": case.batch, "device": str(device)}
    places = {"dataset_dir": str(folder / "data"), "output_dir": str(folder / "run"), "train#handlers": []}
    warm_up = {"warm_up": [0, 0]} if "warm_up" in parser.config else {}
    parser.update({**own, **places, **warm_up, **settings})
    return parser.get_parsed_content("train#trainer")


def report(seconds: dict[str, float]) -> None:
    """Print the medians, also in steps of the baseline, and whether alternating steps keep to their bar."""
    for name, value in seconds.items():
        print(f"    {name:22} {1e3 * value:9.1f} ms a step {value / seconds[BASELINE]:8.2f} of {BASELINE}")
    for name in alternating(seconds):
        cost = seconds[name] / seconds[BASELINE]
        print(f"  {name}: {cost:.2f} of {BASELINE}, at most {BAR}: {'holds' if cost <= BAR else 'missed'}")


def ratios_of(seconds: dict[str, float]) -> dict[str, float]:
    """How many times as fast each method is as MONAI, as the baseline, and as its step unshared."""
    ours = [name for name in seconds if name != PEER and not name.endswith(UNSHARED)]
    ratios = {f"{name}_vs_monai": seconds[PEER] / seconds[name] for name in ours if PEER in seconds}
    ratios |= {f"{name}_vs_{BASELINE}": seconds[BASELINE] / seconds[name] for name in ours[1:]}
    return ratios | {f"{name}_vs_unshared": seconds[name + UNSHARED] / seconds[name] for name in alternating(seconds)}


def alternating(seconds: dict[str, float]) -> list[str]:
    """The methods that were also timed unshared."""
    return [name for name in seconds if name + UNSHARED in seconds]

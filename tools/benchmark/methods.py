"""Time the training step of every method of an architecture against mean squared error's, all in the same rounds.

A method trained alternately is timed a second way, as Algorithm 1 of adacs has it: a step of the displacement
estimator, then the deformation and the companion's map again for a step of the companion.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
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

from .bench import measuring
from .options import METHOD
from .ratios import Timed
from .steps import CASES, Case, Step, loader_of, monai_voxelmorph, plain_step, stepper

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
    """Time all methods, and state what each costs."""
    methods = methods_of(args.architecture, args.methods)
    case = next(case for case in CASES if len(case.size) == args.spatial_dims)
    with measuring(args) as bench, tempfile.TemporaryDirectory() as folder:
        calls = steps_of(args.architecture, methods, case, Path(folder), bench.device)
        timed = bench.time(f"{args.architecture}, {case}, as the bundles train", calls)
        report(timed)
        for name, (slow, fast) in claims_of(calls).items():
            what = f"{args.architecture}_{fast} step, {case.words}"
            bench.claim(f"{args.architecture}_{name}_{case.name}", what, slow, timed.ratios(slow, fast))


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


def report(timed: Timed) -> None:
    """Print the steps in those of the baseline, and whether alternating ones keep to their bar."""
    costs = {name: median(timed.ratios(name, BASELINE)) for name in timed.seconds}
    for name, cost in costs.items():
        print(f"    {name:24}{cost:8.2f} of {BASELINE}")
    for name in alternating(costs):
        held = "holds" if costs[name] <= BAR else "missed"
        print(f"  {name}: {costs[name]:.2f} of {BASELINE}, at most {BAR}: {held}")


def claims_of(sides: Iterable[str]) -> dict[str, tuple[str, str]]:
    """What is stated of each method, as the sides that are divided: against MONAI, the baseline, its step unshared."""
    sides = list(sides)
    ours = [name for name in sides if name != PEER and not name.endswith(UNSHARED)]
    claims = {f"{name}_vs_monai": (PEER, name) for name in ours if PEER in sides}
    claims |= {f"{name}_vs_{BASELINE}": (BASELINE, name) for name in ours[1:]}
    return claims | {f"{name}_vs_unshared": (name + UNSHARED, name) for name in alternating(sides)}


def alternating(sides: Iterable[str]) -> list[str]:
    """The methods that are also timed unshared."""
    sides = list(sides)
    return [name for name in sides if name + UNSHARED in sides]

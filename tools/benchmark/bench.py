"""What every benchmark of a speed is given: a device, pinned threads, a clock, and a file for what was measured."""

from __future__ import annotations

import argparse
import os
import platform
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from common.errors import InputError
from common.files import write_json

from .ratios import LEAST, Call, Claim, Clock, Timed, clock_of, in_rounds

QUICK = 2  # rounds of --quick, of one turn
PACKAGES = ("torch", "monai", "numpy")


@dataclass
class Bench:
    """Times calls, and keeps what was measured and what is claimed of it.

    Attributes:
        device: to compute on.
        threads: of PyTorch.
        clock: what is counted.
        rounds: of each comparison.
        least: seconds of the fastest side in a round.
        load: how many programs wanted the processor in the minute before; None where the system does not say.
    """

    device: torch.device
    threads: int
    clock: Clock
    rounds: int
    least: float
    timed: dict[str, Timed] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)
    load: float | None = field(default_factory=lambda: os.getloadavg()[0] if hasattr(os, "getloadavg") else None)

    def time(self, case: str, calls: Mapping[str, Call]) -> Timed:
        """Time the sides of a comparison, and print what they take."""
        timed = self.timed[case] = in_rounds(calls, self.clock, self.rounds, self.least)
        print(f"  {case}, rounds of {timed.turns}:")
        for side in calls:
            print(f"    {side:24}{1e3 * timed.median(side):12.3f} ms", flush=True)
        return timed

    def claim(self, name: str, what: str, against: str, values: Sequence[float]) -> None:
        """State a ratio, with what it is of each round."""
        self.claims.append(Claim(name, what, against, values))

    def content(self, name: str) -> dict[str, Any]:
        """All of it, as it is written."""
        return {
            "benchmark": name,
            "date": date.today().isoformat(),
            "machine": machine(self.device),
            "load": self.load,
            "clock": self.clock.name,
            "threads": self.threads,
            "rounds": self.rounds,
            "ratios": {c.name: {"what": c.what, "against": c.against, **c.numbers} for c in self.claims},
            "timed": {case: timed._asdict() for case, timed in self.timed.items()},
        }


@contextmanager
def measuring(args: argparse.Namespace) -> Iterator[Bench]:
    """Hold to the shared options; at the end, print the claims and write ``--output``.

    Raises:
        InputError: for a device that is not there.
    """
    device, before = device_of(args.device), torch.get_num_threads()
    rounds, least = (QUICK, 0.0) if args.quick else (args.rounds, LEAST)
    bench = Bench(device, args.threads, clock_of(device, args.threads), rounds, least)
    torch.set_num_threads(bench.threads)
    print(f"{bench.threads} threads, device {device}, {rounds} rounds, {bench.clock.name}.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MONAI's, which it prints inside of what is timed
            yield bench
    finally:
        torch.set_num_threads(before)
    for claim in bench.claims:
        print(claim.line(bench.threads))
    if args.output is not None:
        write_json(args.output, rounded(bench.content(args.benchmark)))


def device_of(name: str) -> torch.device:
    """The device of that name, tried.

    Raises:
        InputError: if there is none.
    """
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # AssertionError: a PyTorch that was built without CUDA
        why = str(error).splitlines()[0]
        raise InputError(f"--device {name}: {why}; give cpu, or cuda where there is one") from error


def machine(device: torch.device) -> dict[str, str]:
    """What ratios depend on: the processor, the instructions that PyTorch takes of it, and versions."""
    found = {"cpu": processor(), "instructions": torch.backends.cpu.get_cpu_capability()}
    if device.type == "cuda":
        found["gpu"] = torch.cuda.get_device_name(device)
    return found | {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def processor(info: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name, on Linux with its generation: servers of several share a name."""
    if not info.is_file():
        return platform.processor() or platform.machine()
    lines = info.read_text(encoding="utf-8").splitlines()
    said = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    if "model name" not in said:  # ARM's
        return platform.machine()
    return f"{said['model name']} (family {said.get('cpu family')}, model {said.get('model')})"


def rounded(content: Any) -> Any:
    """``content`` with numbers of six digits: more is noise."""
    if isinstance(content, dict):
        return {key: rounded(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [rounded(value) for value in content]
    return float(f"{content:.6g}") if isinstance(content, float) else content


def bundle_and_weights(name: str) -> tuple[str, dict[str, str]]:
    """A bundle, and from BUNDLE=NAME the setting that chooses these of its weights; a path is a bundle as it is."""
    own, _, weights = (name, "", "") if Path(name).exists() else name.partition("=")
    return own, {"weights": weights} if weights else {}

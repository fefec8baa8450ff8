"""Time an ensemble of VoxelMorph against as many forward passes of one, and compare the peaks of their memory."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from common.errors import InputError
from common.io import save_weights
from common.networks import EnsembleNetwork, RegistrationNetwork, VoxelMorph

from ..campaign.launching import ROOT
from .memory import resident_peak
from .steps import Case, as_asked, median_seconds

CASES = (Case(1, (48, 64, 48), 1), Case(16, (128, 128), 1))
TIME_BAR = 1.025  # forward passes of one network, a member: 8.2 for 8
MEMORY_BAR = 1.3  # peaks of one forward pass
MIB = 2**20


def run(args: argparse.Namespace) -> None:
    """Print the time and the peak of an ensemble, in those of one network, and how far below the bars they are."""
    ratios = {}
    with as_asked(args) as device:
        for case in CASES:
            print(f"  VoxelMorph, {case}, {args.members} members:")
            passes, bar = time_of(case, args.members, args.repeats, device), TIME_BAR * args.members
            print(f"    time   {passes:6.2f} forward passes, at most {bar:g}: {_verdict(passes, bar)}", flush=True)
            one, all_of_them = (peak_of(case, members, args) for members in (0, args.members))
            times = all_of_them / one
            print(f"    memory {times:6.2f} times {one:.0f} MiB, at most {MEMORY_BAR}: {_verdict(times, MEMORY_BAR)}")
            ratios |= {f"ensemble_time_{case.name}": bar / passes, f"ensemble_memory_{case.name}": MEMORY_BAR / times}
    for name, ratio in ratios.items():
        print(f"ratio {name} {ratio:.4g}")


def _verdict(value: float, bar: float) -> str:
    return "holds" if value <= bar else "missed"


def time_of(case: Case, members: int, repeats: int, device: torch.device) -> float:
    """Forward passes of one network that take as long as the ensemble's.

    The one is run as often as there are members: calls of equal length meet the same noise.
    """
    with tempfile.TemporaryDirectory() as folder:
        one, ensemble = (network_of(case, n, Path(folder), device) for n in (0, members))
        image = image_of(case, device)
        calls = {"one": lambda: [one(image) for _ in range(members)], "ensemble": lambda: ensemble(image)}
        seconds = median_seconds(calls, repeats, device)
    return members * seconds["ensemble"] / seconds["one"]


def network_of(case: Case, members: int, folder: Path, device: torch.device) -> Callable[[Tensor], Tensor]:
    """An ensemble of ``members`` untrained networks whose weights go to ``folder``; of 0, one network alone."""

    def build() -> nn.Module:
        return RegistrationNetwork(VoxelMorph(len(case.size)))

    for number in range(members):
        save_weights(build(), folder / f"{number:03}.pt")
    network = (EnsembleNetwork(build(), folder) if members else build()).eval().to(device)
    return torch.no_grad()(network)


def image_of(case: Case, device: torch.device) -> Tensor:
    """A batch of random pairs."""
    return torch.rand(case.batch, 2, *case.size, device=device)


def peak_of(case: Case, members: int, args: argparse.Namespace) -> float:
    """The MiB by which a new process grows at most for a forward pass of `network_of`, its weights included.

    Raises:
        InputError: if it ends otherwise.
    """
    wanted = {"case": case, "members": members, "device": args.device, "threads": args.threads}
    words = [sys.executable, "-m", __name__, json.dumps(wanted)]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    if ended.returncode:
        said = ended.stderr.strip().splitlines()[-1:] or ["it said nothing; was it killed for its memory?"]
        raise InputError(f"{case}: its process ended with status {ended.returncode}: {said[0]}")
    return float(ended.stdout.splitlines()[-1])


def growth(case: Case, members: int, device: str, threads: int | None) -> float:
    """What `peak_of` asks for, of this process."""
    torch.set_num_threads(threads or torch.get_num_threads())
    place = torch.device(device)
    with tempfile.TemporaryDirectory() as folder:
        network_of(case, members, Path(folder), torch.device("cpu"))  # so that imports and files do not count
        before = resident_peak() * 1024
        network = network_of(case, members, Path(folder), place)
        network(image_of(case, place))
    if place.type == "cuda":
        return torch.cuda.max_memory_allocated(place) / MIB
    return resident_peak() * 1024 - before


if __name__ == "__main__":
    wanted = json.loads(sys.argv[1])
    print(growth(**wanted | {"case": Case(*wanted["case"])}))

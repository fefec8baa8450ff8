"""Time an ensemble of VoxelMorph against as many forward passes of one, and compare the peaks of their memory."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from common.errors import InputError
from common.io import save_weights
from common.networks import EnsembleNetwork, RegistrationNetwork, VoxelMorph

from ..campaign.launching import ROOT
from .bench import Bench, measuring
from .memory import resident_peak
from .steps import Case

CASES = (Case(1, (48, 64, 48), 1), Case(16, (128, 128), 1))
TIME_BAR = 1.025  # forward passes of one network, a member: 8.2 for 8
MEMORY_BAR = 1.3  # peaks of one forward pass
MIB = 2**20


def run(args: argparse.Namespace) -> None:
    """State how far an ensemble's time and peak, in those of one network, are below their bars."""
    with measuring(args) as bench:
        for case in CASES:
            time_of(bench, case, args.members)
            memory_of(bench, case, args)


def time_of(bench: Bench, case: Case, members: int) -> None:
    """The time, in forward passes of one network.

    The one is run as often as there are members: calls of equal length meet the same noise.
    """
    with tempfile.TemporaryDirectory() as folder:
        one, ensemble = (network_of(case, n, Path(folder), bench.device) for n in (0, members))
        image = image_of(case, bench.device)
        calls = {"one, in turn": lambda: [one(image) for _ in range(members)], "ensemble": lambda: ensemble(image)}
        timed = bench.time(f"VoxelMorph, {case}, {members} members", calls)
    bar, values = TIME_BAR * members, [TIME_BAR * ratio for ratio in timed.ratios("one, in turn", "ensemble")]
    print(f"    time   {_verdict(bar / median(values), bar)} forward passes of one")
    what, against = f"forward pass of an ensemble of {members}, {case.words}", f"{bar:g} of one network"
    bench.claim(f"ensemble_time_{case.name}", what, against, values)


def memory_of(bench: Bench, case: Case, args: argparse.Namespace) -> None:
    """The peak of memory, in that of one network."""
    one, all_of_them = (peak_of(case, members, args) for members in (0, args.members))
    times = all_of_them / one
    print(f"    memory {_verdict(times, MEMORY_BAR)} peaks of one, {one:.0f} MiB", flush=True)
    what, against = f"memory of an ensemble of {args.members}, {case.words}", f"{MEMORY_BAR} times that of one network"
    bench.claim(f"ensemble_memory_{case.name}", what, against, [MEMORY_BAR / times])


def _verdict(value: float, bar: float) -> str:
    return f"{value:6.2f}, at most {bar:g}: {'holds' if value <= bar else 'missed'};"


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


def growth(case: Case, members: int, device: str, threads: int) -> float:
    """What `peak_of` asks for, of this process."""
    torch.set_num_threads(threads)
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

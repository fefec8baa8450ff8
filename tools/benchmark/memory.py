"""Measure the peak memory of one training step of 3D VoxelMorph, each in a process of its own."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import torch

from common.errors import InputError

from ..campaign.launching import ROOT
from .bench import device_of
from .methods import methods_of, trainer_of
from .steps import Case, loader_of, stepper

BAR = 12.0  # GiB
GIB = 2**30


def run(args: argparse.Namespace) -> None:
    """Take a step of each method in a new process, and print their peaks."""
    if len(args.size) != 3:
        raise InputError(f"--size {','.join(map(str, args.size))}: give three numbers, of a volume")
    device_of(args.device)
    known = methods_of(args.architecture, args.methods)
    print(
        f"One step, batch 1 of {'x'.join(map(str, args.size))}, bfloat16, device {args.device}; the bar is {BAR:g} GiB."
    )
    ratios = {}
    for method in (name for name in known if name in args.methods):
        peaks = peaks_of(f"{args.architecture}_{method}", args)
        peak = peaks.get("device", peaks["resident"])
        said = ", ".join(f"{name} {value:.2f} GiB" for name, value in peaks.items() if name != "seconds")
        print(f"  {method:12} {said}, {peaks['seconds']:.0f} s: {'holds' if peak <= BAR else 'missed'}", flush=True)
        ratios[f"memory_{args.architecture}_{method}"] = BAR / peak
    for name, ratio in ratios.items():
        print(f"ratio {name} {ratio:.4g}")


def peaks_of(bundle: str, args: argparse.Namespace) -> dict[str, float]:
    """What a new process measures of itself.

    Raises:
        InputError: if it ends otherwise, as one does that takes more memory than there is.
    """
    wanted = {"bundle": bundle, "size": args.size, "device": args.device, "threads": args.threads}
    words = [sys.executable, "-m", __name__, json.dumps(wanted)]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    if ended.returncode:
        said = ended.stderr.strip().splitlines()[-1:] or ["it said nothing; was it killed for its memory?"]
        raise InputError(f"{bundle}: its step ended with status {ended.returncode}: {said[0]}")
    return json.loads(ended.stdout.splitlines()[-1])


def step(bundle: str, size: list[int], device: str, threads: int) -> dict[str, float]:
    """Take one step; the peaks of this process in GiB, and the seconds of the step."""
    torch.set_num_threads(threads)
    place, case = torch.device(device), Case(1, tuple(size), 1)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        batch = next(iter(loader_of(case, Path(folder) / "data", place)))
        call = stepper(trainer_of(bundle, case, Path(folder), place, {}), batch)
        start = time.perf_counter()
        call()
    peaks = {"resident": resident_peak()}
    if place.type == "cuda":
        torch.cuda.synchronize(place)
        peaks["device"] = torch.cuda.max_memory_allocated(place) / GIB
    return {**peaks, "seconds": time.perf_counter() - start}


def resident_peak() -> float:
    """The most memory that this process has held at once, in GiB.

    Raises:
        InputError: where the system does not say. (``getrusage`` does elsewhere, but counts the parent's in.)
    """
    status = Path("/proc/self/status")
    if not status.is_file():
        raise InputError(f"{status}: there is none; benchmark memory runs on Linux")
    fields = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines() if ":" in line)
    return int(fields["VmHWM"].split()[0]) * 1024 / GIB


if __name__ == "__main__":
    print(json.dumps(step(**json.loads(sys.argv[1]))))

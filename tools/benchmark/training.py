"""Time our VoxelMorph training step against MONAI's, also with the decoder at half resolution, and the loader."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from .bench import Bench, measuring
from .steps import CASES, Case, loader_of, monai_voxelmorph, our_step, plain_step

AGAINST = "MONAI's VoxelMorph of the published layers in its SupervisedTrainer"


def run(args: argparse.Namespace) -> None:
    """Time each case."""
    with measuring(args) as bench:
        for case in (c for c in CASES if args.spatial_dims in (None, len(c.size))):
            compare(bench, case)


def compare(bench: Bench, case: Case) -> None:
    """The ratios of one case; the loader's only in 2D, where batches are many and steps short."""
    from common.networks import VoxelMorph

    dims = len(case.size)
    with tempfile.TemporaryDirectory() as folder:
        loader = loader_of(case, Path(folder), bench.device)
        batch = next(iter(loader))
        calls = {
            "ours": our_step(VoxelMorph(dims), loader, batch),
            "fast": our_step(VoxelMorph(dims, variant="fast"), loader, batch),
            "MONAI": plain_step(monai_voxelmorph(dims), batch, bench.device),
            "loader": lambda: list(loader),
        }
        timed = bench.time(f"VoxelMorph, {case}; the loader, {len(loader)} batches", calls)
    what = f"VoxelMorph step, {case.words}"
    bench.claim(f"training_step_{case.name}", what, AGAINST, timed.ratios("MONAI", "ours"))
    fast = f"{what}, decoder at half resolution"
    bench.claim(f"training_step_fast_{case.name}", fast, AGAINST, timed.ratios("MONAI", "fast"))
    if dims == 2:
        steps = [ratio * len(loader) for ratio in timed.ratios("ours", "loader")]
        bench.claim("loader_vs_step", f"a batch from the loader, {case.words}", "our VoxelMorph step", steps)

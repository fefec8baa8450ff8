"""Time our VoxelMorph training step against MONAI's, and the loader against the step, in one interleaved run."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch

from .steps import (
    CASES,
    Case,
    as_asked,
    loader_of,
    median_seconds,
    monai_voxelmorph,
    our_step,
    plain_step,
)


def run(args: argparse.Namespace) -> None:
    """Time both sides in turns, print the medians and the ratios."""
    ratios: dict[str, float] = {}
    with as_asked(args) as device:
        for case in (c for c in CASES if args.spatial_dims in (None, len(c.size))):
            ratios |= compare(case, device, args.repeats)
    for name, ratio in sorted(ratios.items(), key=lambda item: not item[0].startswith("training")):
        print(f"ratio {name} {ratio:.4g}")


def compare(case: Case, device: torch.device, repeats: int) -> dict[str, float]:
    """The ratios of one case; the loader's only in 2D, where batches are many and steps short."""
    from common.networks import VoxelMorph

    dims = len(case.size)
    with tempfile.TemporaryDirectory() as folder:
        loader = loader_of(case, Path(folder), device)
        batch = next(iter(loader))
        calls = {
            "ours": our_step(VoxelMorph(dims), loader, batch),
            "monai": plain_step(monai_voxelmorph(dims), batch, device),
        }
        seconds = median_seconds(calls, repeats, device)
        loading = median_seconds({"loader": lambda: list(loader)}, 5 * repeats, device)["loader"] / len(loader)
    ours, theirs = seconds["ours"], seconds["monai"]
    print(f"  {case}:")
    print(f"    ours  {1e3 * ours:9.2f} ms a step\n    MONAI {1e3 * theirs:9.2f} ms a step")
    print(f"    loader {1e3 * loading:8.3f} ms a batch, {100 * loading / ours:.2f} % of our step")
    ratios = {f"training_step_{case.name}": theirs / ours}
    return ratios | ({"loader_vs_step": ours / loading} if case.name == "2d" else {})

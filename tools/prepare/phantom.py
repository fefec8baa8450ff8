"""Make a phantom: pairs of a beating heart whose motion, noise and artefacts are known exactly.

warpsure prepare phantom --output data/phantom
warpsure prepare phantom --output data/phantom3d --spatial-dims 3 --kind ultrasound
"""

from __future__ import annotations

import argparse

from common.data.phantom import Settings, make_phantom
from common.data.prepared import SPLITS


def run(args: argparse.Namespace) -> int:
    """Make the phantom and say what was made."""
    settings = Settings(args.spatial_dims, args.kind, args.pairs, args.size, args.seed)
    dataset = make_phantom(args.output, settings, args.jobs)
    counts = ", ".join(f"{len(dataset.splits[name])} {name}" for name in SPLITS)
    print(f"{args.output}: {dataset.name}, {counts} pairs")
    return 0

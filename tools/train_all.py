"""Train and evaluate a list of bundles, each with several seeds, on one prepared data set.

    warpsure train-all --dataset DIR --output RUNS --bundles vxm_mse vxm_hetero --seeds 0 1 2 [--jobs 2]
    warpsure train-all ... --bundles vxm_weak --overlay snapshot_train.yaml --pairing atlas
    torchrun --nproc_per_node=4 -m tools.train_all ...        # each process takes its share and its GPU
    warpsure train-all --status --output RUNS                 # how far they are, from another terminal

Start it again after a stop: finished runs are skipped, begun ones go on from their checkpoints.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from common.errors import say_in_one_line
from common.options import (
    Parser,
    add_bundles,
    add_dataset,
    add_jobs,
    add_output,
    add_overrides,
    add_split,
    program,
    seed,
)


def parser() -> argparse.ArgumentParser:
    """Return the command line's description."""
    described = Parser(program("train-all"), description=__doc__)
    add_dataset(described, required=False)
    add_output(described, "folder RUNS for the runs")
    add_bundles(described, None, "all")
    described.add_argument("--seeds", nargs="+", type=seed, default=[0, 1, 2], metavar="N", help="default: 0 1 2")
    add_overrides(described, "settings of every training")
    described.add_argument("--settings", type=Path, metavar="best.json", help="settings of each bundle, by a search")
    described.add_argument("--overlay", metavar="NAME_train.yaml", help="a config to lay over train.yaml")
    add_split(described)
    add_jobs(described, "runs at a time, in each process")
    described.add_argument("--status", action="store_true", help="only show how far the runs in RUNS are")
    return described


def main(arguments: Sequence[str] | None = None) -> int:
    """Train all from the command line; return 1 if a run failed."""
    say_in_one_line()
    described = parser()
    options = described.parse_args(arguments)
    if options.dataset is None and not options.status:
        described.error("--dataset is missing")
    from .campaign import launching, training

    if options.status:
        print(training.status(options.output, options.split))
        return 0
    setting = training.Setting(options.dataset, options.output, options.split, options.pairing, options.jobs)
    bundles = options.bundles and [launching.called(bundle) for bundle in options.bundles]
    what = bundles, options.seeds, options.override, options.settings, options.overlay
    return training.train(*what, setting)


if __name__ == "__main__":
    sys.exit(main())

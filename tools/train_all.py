"""Train and evaluate a list of bundles, each with several seeds, on one prepared data set.

    python -m tools.train_all --dataset DIR --output RUNS --bundles vxm_mse vxm_hetero --seeds 0 1 2 [--jobs 2]
    python -m tools.train_all ... --bundles vxm_weak --overlay snapshot_train.yaml --pairing atlas
    torchrun --nproc_per_node=4 -m tools.train_all ...                # each process takes its share and its GPU
    python -m tools.train_all --status --output RUNS                  # how far they are, from another terminal

Start it again after a stop: finished runs are skipped, begun ones go on from their checkpoints.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import torch.distributed as dist

from common.data import prepared
from common.data.pairing import PAIRINGS
from common.errors import InputError, say_in_one_line
from common.options import parse_overrides
from common.parallel import gather_objects

from .campaign.execution import devices, execute, make_folder, stop_children
from .campaign.progress import Screen, table
from .campaign.runs import OVERLAY, Run, bundle_names, check, find, score


def planned(options: argparse.Namespace) -> list[Run]:
    """Every run asked for, a bundle's seeds together; raise InputError for one that cannot be trained."""
    shared, best = parse_overrides(options.override), read_settings(options.settings)
    overrides = {bundle: best.get(bundle, {}) | shared for bundle in options.bundles}
    overlay = (options.overlay or "").removesuffix(OVERLAY)
    for bundle in overrides:
        check(bundle, overrides[bundle], overlay)
        if best and bundle not in best:
            print(f"{bundle}: not in {options.settings}; trained as its train.yaml says", flush=True)
    seeds = dict.fromkeys(options.seeds)
    return [Run(bundle, overrides[bundle], seed, overlay) for bundle in overrides for seed in seeds]


def read_settings(path: Path | None) -> dict[str, dict[str, Any]]:
    """What `tools.search` found: bundle -> overrides; empty without a file.

    Raises:
        InputError: if it cannot be read as that.
    """
    try:
        content = json.loads(path.read_text("utf-8")) if path else {}
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give the best.json of tools.search.") from error
    if not isinstance(content, dict) or not all(isinstance(value, dict) for value in content.values()):
        raise InputError(f"{path}: not a mapping of bundles to overrides; give the best.json of tools.search.")
    return content


def share(runs: list[Run]) -> list[Run]:
    """The runs that this process takes, of as many processes as a launcher has started."""
    return runs[int(os.environ.get("RANK", 0)) :: int(os.environ.get("WORLD_SIZE", 1))]


def execute_all(runs: list[Run], options: argparse.Namespace, say: bool) -> list[str]:
    """Execute runs, ``--jobs`` at a time; return what went wrong, a line for each that failed."""
    free: SimpleQueue[str | None] = SimpleQueue()
    for device in devices(options.jobs):
        free.put(device)

    def one(run: Run) -> str | None:
        device = free.get()
        try:
            execute(run, options.output, options.dataset, options.split, device, options.pairing)
        except InputError as error:
            return str(error)
        finally:
            free.put(device)
        if say:
            dsc = score(run, options.output, split=options.split)
            print(f"{run}: done" + ("" if dsc is None else f", DSC {dsc:.2f} %"), flush=True)
        return None

    with ThreadPoolExecutor(options.jobs) as pool:
        try:
            return [message for message in pool.map(one, runs) if message]
        except BaseException:  # Ctrl-C: neither wait for what runs nor begin what waits
            pool.shutdown(wait=False, cancel_futures=True)
            stop_children()
            raise


def of_all_processes(failures: list[str]) -> list[str]:
    """The failures of every process that torchrun has started, once all are through: it stops the rest at an error."""
    if not dist.is_torchelastic_launched() or int(os.environ["WORLD_SIZE"]) == 1:
        return failures
    dist.init_process_group("gloo", timeout=timedelta(days=30))
    gathered = gather_objects(failures)
    dist.destroy_process_group()
    return [failure for part in gathered for failure in part]


def parser() -> argparse.ArgumentParser:
    """Return the command line's description."""
    described = argparse.ArgumentParser(prog="python -m tools.train_all", description=__doc__.splitlines()[0])
    described.add_argument("--dataset", type=Path, help="a prepared data set")
    described.add_argument("--output", type=Path, required=True, metavar="RUNS", help="where runs go")
    described.add_argument("--bundles", nargs="+", default=bundle_names(), metavar="NAME", help="default: all")
    described.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    described.add_argument("--override", nargs="+", action="extend", default=[], metavar="KEY=VALUE",
                           help="settings of every training")  # fmt: skip
    described.add_argument("--settings", type=Path, metavar="best.json", help="settings of each bundle")
    described.add_argument("--overlay", metavar="NAME_train.yaml", help="a config to lay over train.yaml")
    described.add_argument("--split", choices=["val", "test"], default="val", help="what to evaluate on")
    described.add_argument("--pairing", choices=PAIRINGS, default="listed", help="on which of its pairs (as listed)")
    described.add_argument("--jobs", type=int, default=1, help="runs at a time, in each process")
    described.add_argument("--status", action="store_true", help="only show how far the runs in RUNS are")
    return described


def main(arguments: list[str] | None = None) -> int:
    """Train all from the command line."""
    say_in_one_line()
    described = parser()
    options = described.parse_args(arguments)
    if options.status:
        if not (runs := find(options.output)):
            raise InputError(f"{options.output}: no runs there; give the --output of the program that trains.")
        print("\n".join(table(runs, options.output, options.split)))
        return 0
    if options.dataset is None or options.jobs < 1:
        described.error("--dataset is missing" if options.dataset is None else "--jobs is less than 1")
    prepared.read(options.dataset).pairs(options.split)
    runs = planned(options)
    for run in runs:  # so that --status knows of those that wait
        make_folder(run.folder(options.output))
    first, watched = int(os.environ.get("RANK", 0)) == 0, sys.stdout.isatty()
    with Screen(runs, options.output, options.split, shown=first and watched):
        failures = of_all_processes(execute_all(share(runs), options, say=not watched))
    if first:
        print("\n".join(f"error: {failure}" for failure in failures), end="\n" * bool(failures), file=sys.stderr)
    return int(bool(failures))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    sys.exit(main())

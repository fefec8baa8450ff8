"""Train and evaluate many runs, some at a time, in one process or in several that share them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from queue import SimpleQueue

from common.data import prepared
from common.errors import InputError

from .execution import devices, execute
from .launching import make_folder, stop_children, terminable
from .plan import is_first, planned, share
from .progress import Screen, table
from .runs import Run, find, score


@dataclass(frozen=True)
class Setting:
    """What all runs have in common: ``split`` and ``pairing`` say which pairs they are evaluated on."""

    dataset: Path
    output: Path
    split: str = "val"
    pairing: str = "listed"
    jobs: int = 1


def train(
    bundles: Sequence[str] | None,
    seeds: Sequence[int],
    override: Sequence[str],
    settings: Path | None,
    overlay: str | None,
    setting: Setting,
) -> int:
    """Train and evaluate what is `planned`; say on stderr what failed, a line each, and return 1 if something has.

    Raises:
        InputError: for what cannot be trained, before anything is.
    """
    prepared.read(setting.dataset).pairs(setting.split)
    runs = planned(bundles, seeds, override, settings, overlay)
    for run in runs:  # so that --status knows of those that wait
        make_folder(run.folder(setting.output))
    watched = sys.stdout.isatty()
    with terminable(), Screen(runs, setting.output, setting.split, shown=is_first() and watched):
        failures = of_all_processes(execute_all(share(runs), setting, say=not watched))
    for failure in failures if is_first() else ():
        print(f"error: {failure}", file=sys.stderr)
    return int(bool(failures))


def status(output: Path, split: str) -> str:
    """How far the runs in a folder are, as a table; raise InputError if there are none."""
    if not (runs := find(output)):
        raise InputError(f"{output}: no runs there; give the --output of the program that trains.")
    return "\n".join(table(runs, output, split))


def execute_all(runs: Sequence[Run], setting: Setting, say: bool) -> list[str]:
    """Execute runs, ``jobs`` at a time; return what went wrong, a line for each that failed."""
    free: SimpleQueue[str | None] = SimpleQueue()
    for device in devices(setting.jobs):
        free.put(device)

    def one(run: Run) -> str | None:
        device = free.get()
        try:
            execute(run, setting.output, setting.dataset, setting.split, device, setting.pairing)
        except InputError as error:
            return str(error)
        finally:
            free.put(device)
        if say:
            dsc = score(run, setting.output, split=setting.split)
            print(f"{run}: done" + ("" if dsc is None else f", DSC {dsc:.2f} %"), flush=True)
        return None

    with ThreadPoolExecutor(setting.jobs) as pool:
        try:
            return [message for message in pool.map(one, runs) if message]
        except BaseException:  # Ctrl-C: neither wait for what runs nor begin what waits
            pool.shutdown(wait=False, cancel_futures=True)
            stop_children()
            raise


def of_all_processes(failures: list[str]) -> list[str]:
    """The failures of every process that torchrun has started, once all are through: it stops the rest at an error."""
    import torch.distributed as dist

    from common.parallel import gather_objects

    if not dist.is_torchelastic_launched() or int(os.environ["WORLD_SIZE"]) == 1:
        return failures
    dist.init_process_group("gloo", timeout=timedelta(days=30))
    gathered = gather_objects(failures)
    dist.destroy_process_group()
    return [failure for part in gathered for failure in part]

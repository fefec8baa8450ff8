"""Execute runs: train and evaluate each, on a GPU of its own, no run twice at a time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.data import prepared
from common.errors import InputError

from .launching import begin, bundle_call, config, exclusive, launch, of_dataset, of_pairing, shared_settings
from .runs import Run, evaluated_with, metrics

OTHER_THERE = {"batch_size", "pairing"}  # settings of a training that mean another thing in evaluation


def execute(
    run: Run, output: Path, dataset: Path, split: str = "val", device: str | None = None, pairing: str = "listed"
) -> None:
    """Train and evaluate a run unless it is finished; what they print goes to its log.

    A training that was stopped goes on from its checkpoint. Where another process is at it, this waits. What is
    evaluated on other pairs is evaluated again.

    Args:
        run: what to train.
        output: the folder of all runs.
        dataset: a prepared data set.
        split: what to evaluate on.
        device: the GPU that it shall see (an entry of CUDA_VISIBLE_DEVICES); None leaves that as it is.
        pairing: which pairs of the split to evaluate on, see `common.data.pairing`.

    Raises:
        InputError: if training or evaluation fails, and for a finished run of another data set.
    """
    with exclusive(run.folder(output) / "log.txt") as log:
        asked = of_pairing(pairing)
        if found := metrics(run, output, split):
            _refuse_other(found, run.folder(output), dataset)
            if evaluated_with(run, output, split) == asked:
                return
        begin(run.folder(output) / split, asked)
        for action in ("training", "evaluation")[bool(found) :]:
            launch(action, command(action, run, output, dataset, split, pairing), log, device)


def command(action: str, run: Run, output: Path, dataset: Path, split: str, pairing: str = "listed") -> list[str]:
    """The command line of ``training`` or ``evaluation``."""
    folder, data = run.folder(output).resolve(), of_dataset(run.bundle, dataset)
    if action == "training":
        return bundle_call(
            action, run.configs, data | {"seed": run.seed, "output_dir": folder / "train"} | run.overrides
        )
    file = config(run.bundle, "evaluate.yaml")
    own = {"checkpoint": folder / "train" / "model.pt", "split": split, "output_dir": folder / split}
    settings = shared_settings(file, run.overrides, OTHER_THERE)
    return bundle_call(action, [file], data | settings | own | of_pairing(pairing))


def devices(jobs: int) -> list[str | None]:
    """The GPU of each of ``jobs`` trainings at a time: the launcher's choice for this process, else each in turn."""
    import torch

    count, visible = torch.cuda.device_count(), os.environ.get("CUDA_VISIBLE_DEVICES")
    if not count:
        return [None] * jobs
    names = visible.split(",")[:count] if visible else [str(number) for number in range(count)]
    own = os.environ.get("LOCAL_RANK")
    return [names[(number if own is None else int(own)) % count] for number in range(jobs)]


def _refuse_other(found: Mapping[str, Any], folder: Path, dataset: Path) -> None:
    name = prepared.read(dataset).name
    if found["dataset"] != name:
        raise InputError(f"{folder}: a run on {found['dataset']}, not {name}; give another --output.")

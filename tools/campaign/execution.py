"""Execute runs: train and evaluate each in processes of their own, on a GPU of their own, no run twice at a time.

Who works on a run holds a lock on its log; so do the processes that it has started, even if it is killed itself.
"""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import torch
import yaml

from common.data import prepared
from common.errors import InputError
from common.files import write_json

from ..render import BUNDLES
from .runs import Run, as_text, config, evaluated_with, last_line, metrics

# what a launcher tells its processes: a child that saw it would wait for the others
LAUNCHER = re.compile(r"(.*_)?(RANK|WORLD_SIZE)|ROLE_NAME|MASTER_(ADDR|PORT)|TORCHELASTIC_.*")
STOPPED = (-signal.SIGINT, -signal.SIGTERM)
OTHER_THERE = {"batch_size", "pairing"}  # settings of a training that mean another thing in evaluation
_children: set[subprocess.Popen] = set()


def make_folder(folder: Path) -> None:
    """Make a folder; raise InputError if that cannot be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror}); give another --output.") from error


@contextmanager
def exclusive(path: Path) -> Iterator[IO[str]]:
    """Open a file to append to it, once no other process has it, the children of a killed one included."""
    make_folder(path.parent)
    with path.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


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
        asked = {} if pairing == "listed" else {"pairing": pairing}
        if found := metrics(run, output, split):
            _refuse_other(found, run.folder(output), dataset)
            if evaluated_with(run, output, split) == asked:
                return
        _begin(run.folder(output) / split, asked)
        for action in ("training", "evaluation")[bool(found) :]:
            status = _call(command(action, run, output, dataset, split, pairing), log, environment(device))
            if status:
                last = last_line(Path(log.name))
                log.write(f"\n{action} {'stopped' if status in STOPPED else 'failed'} with status {status}\n")
                raise InputError(f"{log.name}: {action} failed with status {status}: {last}")


def _begin(folder: Path, asked: Mapping[str, str]) -> None:
    """Say what the evaluation that is to come is asked for, and remove the one of something else."""
    (folder / "metrics.json").unlink(missing_ok=True)
    if asked or (folder / "overrides.json").is_file():
        write_json(folder / "overrides.json", asked)


def command(action: str, run: Run, output: Path, dataset: Path, split: str, pairing: str = "listed") -> list[str]:
    """The command line of ``training`` or ``evaluation``."""
    folder, overrides = run.folder(output).resolve(), dict(run.overrides)
    if action == "training":
        own = {"seed": run.seed, "output_dir": folder / "train"}
    else:
        known = yaml.safe_load(config(run.bundle, "evaluate.yaml").read_text("utf-8")).keys() - OTHER_THERE
        overrides = {key: value for key, value in overrides.items() if key in known}
        own = {"checkpoint": folder / "train" / "model.pt", "split": split, "output_dir": folder / split}
        own |= {} if pairing == "listed" else {"pairing": pairing}
    files = [str(file) for file in (run.configs if action == "training" else [config(run.bundle, "evaluate.yaml")])]
    words = [sys.executable, "-m", "monai.bundle", "run", action]
    words += ["--config_file", files[0] if len(files) == 1 else str(files)]
    given = {"dataset_dir": Path(dataset).resolve(), **own, **of_dataset(run.bundle, dataset)} | overrides
    return words + [text for key, value in given.items() for text in (f"--{key}", _argument(value))]


def of_dataset(bundle: str, dataset: Path) -> dict[str, int]:
    """What a bundle is told of its data set: the dimensions, if they are not its own."""
    dims, own = prepared.read(dataset).spatial_dims, yaml.safe_load(config(bundle, "evaluate.yaml").read_text("utf-8"))
    return {} if own["spatial_dims"] == dims else {"spatial_dims": dims}


def _argument(value: Any) -> str:
    return str(value) if isinstance(value, Path) else as_text(value)


def environment(device: str | None = None) -> dict[str, str]:
    """This process's variables for a child: without the launcher's, and with the one GPU that it shall use."""
    kept = {key: value for key, value in os.environ.items() if not LAUNCHER.fullmatch(key)}
    return kept | ({} if device is None else {"CUDA_VISIBLE_DEVICES": device})


def devices(jobs: int) -> list[str | None]:
    """The GPU of each of ``jobs`` trainings at a time: the launcher's choice for this process, else each in turn."""
    count, visible = torch.cuda.device_count(), os.environ.get("CUDA_VISIBLE_DEVICES")
    if not count:
        return [None] * jobs
    names = visible.split(",")[:count] if visible else [str(number) for number in range(count)]
    own = os.environ.get("LOCAL_RANK")
    return [names[(number if own is None else int(own)) % count] for number in range(jobs)]


def _call(words: list[str], log: IO[str], variables: dict[str, str]) -> int:
    with subprocess.Popen(words, stdout=log, stderr=log, cwd=BUNDLES.parent, env=variables) as child:
        _children.add(child)
        try:
            return child.wait()
        except BaseException:  # this program is being stopped: nothing shall go on without it
            child.terminate()
            raise
        finally:
            _children.discard(child)


def stop_children() -> None:
    """Stop what this process's threads have started."""
    for child in list(_children):
        child.terminate()


def _refuse_other(found: Mapping[str, Any], folder: Path, dataset: Path) -> None:
    name = prepared.read(dataset).name
    if found["dataset"] != name:
        raise InputError(f"{folder}: a run on {found['dataset']}, not {name}; give another --output.")

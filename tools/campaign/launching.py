"""Start trainings and evaluations: each in a process of its own, what it prints in a log, none without this program.

Who works on a folder holds a lock on its log; so do the processes that it has started, even if it is killed itself.
"""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import yaml

from common import errors
from common.collection.find import find_bundle, places
from common.data import prepared
from common.errors import InputError
from common.files import write_json

from .variants import as_text

ROOT = Path(errors.__file__).resolve().parents[1]  # what is started there finds the library
# what a launcher tells its processes: a child that saw it would wait for the others
LAUNCHER = re.compile(r"(.*_)?(RANK|WORLD_SIZE)|ROLE_NAME|MASTER_(ADDR|PORT)|TORCHELASTIC_.*")
STOPPED = (-signal.SIGINT, -signal.SIGTERM)
_children: set[subprocess.Popen] = set()


class LaunchFailed(InputError):
    """A training or an evaluation that did not come about: ``reason`` is the last line of its ``log``."""

    def __init__(self, action: str, status: int, log: Path) -> None:
        last = last_line(log)
        super().__init__(f"{log}: {action} failed with status {status}: {last}")
        self.reason = last.removeprefix("error: ") or f"ended with status {status} and no word"
        self.log = log


def bundle_folder(name: str) -> Path:
    """The folder of the bundle that is called so, whether it is there or not."""
    folders = [place / name for place in places()]
    return next((folder for folder in folders if (folder / "configs").is_dir()), folders[-1])


def config(bundle: str, name: str) -> Path:
    """A config file of a bundle, whether it is there or not."""
    return bundle_folder(bundle) / "configs" / name


def called(given: str) -> str:
    """The name of a bundle, by which its runs are kept, whether it is given by that or as a folder.

    Raises:
        InputError: for a folder that is no bundle, or one that is not found by its name.
    """
    if Path(given).name == given:
        return given
    found = find_bundle(given)
    if found.checkpoint or found.folder.resolve() != config(found.folder.name, "train.yaml").parents[1].resolve():
        raise InputError(f"{given}: runs are kept by the names of bundles; bring the bundle to {places()[0]}.")
    return found.folder.name


def bundle_call(action: str, files: Sequence[Path], values: Mapping[str, Any]) -> list[str]:
    """The command line of a bundle's ``training`` or ``evaluation``, by its configs and what is overridden in them."""
    given = str(files[0]) if len(files) == 1 else str([str(file) for file in files])
    words = [sys.executable, "-m", "monai.bundle", "run", action, "--config_file", given]
    texts = {key: str(value) if isinstance(value, Path) else as_text(value) for key, value in values.items()}
    return words + [text for key, value in texts.items() for text in (f"--{key}", value)]


def of_dataset(bundle: str, dataset: Path) -> dict[str, Any]:
    """What a bundle is told of its data set: where it is, and the dimensions if they are not its own."""
    dims, own = prepared.read(dataset).spatial_dims, yaml.safe_load(config(bundle, "train.yaml").read_text("utf-8"))
    where = {"dataset_dir": Path(dataset).resolve()}
    return where if own["spatial_dims"] == dims else where | {"spatial_dims": dims}


def shared_settings(file: Path, settings: Mapping[str, Any], but: Collection[str]) -> dict[str, Any]:
    """Those of a training's ``settings`` that another config has too, ``but`` for what means another thing there."""
    known = yaml.safe_load(file.read_text("utf-8")).keys() - but
    return {key: value for key, value in settings.items() if key in known}


def of_pairing(pairing: str | None) -> dict[str, str]:
    """What is overridden for the pairs of a split; nothing for those that are listed."""
    return {} if pairing in (None, "listed") else {"pairing": pairing}


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


def begin(folder: Path, asked: Mapping[str, Any]) -> None:
    """Say what the evaluation that is to come is asked for, and remove the one of something else."""
    (folder / "metrics.json").unlink(missing_ok=True)
    if asked or (folder / "overrides.json").is_file():
        write_json(folder / "overrides.json", asked)


def launch(action: str, words: Sequence[str], log: IO[str], device: str | None = None) -> None:
    """Run a command whose output goes to ``log``, the last line of which tells of its failure.

    Args:
        action: what it is: "training", "evaluation".
        words: the command.
        log: an open file.
        device: the GPU that it shall see (an entry of CUDA_VISIBLE_DEVICES); None leaves that as it is.

    Raises:
        LaunchFailed: it ended with another status than 0.
    """
    status = call(words, log, environment(device))
    if status:
        failed = LaunchFailed(action, status, Path(log.name))
        log.write(f"\n{action} {'stopped' if status in STOPPED else 'failed'} with status {status}\n")
        raise failed


def environment(device: str | None = None) -> dict[str, str]:
    """This process's variables for a child: without the launcher's, and with the one GPU that it shall use."""
    kept = {key: value for key, value in os.environ.items() if not LAUNCHER.fullmatch(key)}
    return kept | ({} if device is None else {"CUDA_VISIBLE_DEVICES": device})


def call(words: Sequence[str], log: IO[str], variables: Mapping[str, str]) -> int:
    """Run a command to its end, or to that of this program; return its status."""
    with subprocess.Popen(words, stdout=log, stderr=log, cwd=ROOT, env=variables) as child:
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


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, with its own status, so that what it has started ends too."""

    def end(number: int, _: object) -> None:
        sys.exit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def last_line(log: Path) -> str:
    """The last line of a log that is not empty."""
    lines = log.read_bytes()[-4096:].decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")

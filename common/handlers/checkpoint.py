"""A run's whole state in one file, written whole, so that a run can go on as if it had never stopped."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import nn

from ..errors import InputError
from ..files import write_bytes
from ..io.weights import odd_tensor, read_checkpoint
from ..parallel import rank
from .lock import FolderLock, lock_folder
from .origin import record_bundle
from .random_state import random_states, restore_random_state


class Checkpoint:
    """Save after every epoch, and resume when a run starts. Attach it last.

    Args:
        path: the file.
        network: a ``RegistrationNetwork`` of all that is trained.
        parts: further objects with ``state_dict`` and ``load_state_dict``, by name.
        settings: what a run must share with the one that it resumes.
        resume: go on from ``path`` if it exists; else it is overwritten.
        begin: what is done to the network of a run that goes on from nowhere, before its first epoch, given the engine.

    Raises:
        InputError: at the start, for a file that is truncated, foreign, or of other settings, for a folder that cannot
            be written, and for one that another process trains in.
    """

    def __init__(
        self,
        path: str | Path,
        network: nn.Module,
        parts: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        resume: bool = True,
        begin: Callable[[nn.Module, Any], None] | None = None,
    ) -> None:
        self.begin = begin
        self.path, self.network, self.parts = Path(path), network, dict(parts or {})
        self.settings, self.resume = {k: _plain(v) for k, v in (settings or {}).items()}, resume
        self._lock: FolderLock | None = None

    def attach(self, engine: Engine) -> None:
        """Follow ``engine``."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._save)
        engine.add_event_handler(Events.COMPLETED, self._unlock)

    def _stateful(self, engine: Engine) -> dict[str, Any]:
        schedulers = {f"scheduler{i}": s for i, s in enumerate(engine.schedulers)}
        trained = {"network": self.network, "objective": engine.objective, **engine.optimizers()}
        return {**trained, **schedulers, **self.parts}

    def _save(self, engine: Engine) -> None:
        states = random_states()
        if rank() == 0:
            content = {name: part.state_dict() for name, part in self._stateful(engine).items()}
            content |= {"epoch": engine.state.epoch, "settings": self.settings, "random": states}
            buffer = io.BytesIO()
            torch.save(content, buffer)
            write_bytes(self.path, buffer.getvalue())

    def _start(self, engine: Engine) -> None:
        if rank() == 0:
            self._lock = lock_folder(made(self.path.parent))
        if self.resume and self.path.is_file():
            self._load(engine)
        elif self.begin is not None:
            self.begin(self.network, engine)
        over = engine.state.epoch >= engine.state.max_epochs or bool(engine.should_terminate)
        if rank() == 0:
            if engine.state.epoch:
                done = "trained already" if over else "resumed"
                print(f"{self.path}: {done}, at epoch {engine.state.epoch} of {engine.state.max_epochs}", flush=True)
            if over:
                self._unlock()
            else:
                prepare_folder(self.path.parent)
                record_bundle(self.path.parent)

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.release()

    def _load(self, engine: Engine) -> None:
        content, stateful = self._read(), self._stateful(engine)
        missing = sorted({*stateful, "epoch", "settings", "random"} - set(content))
        if missing:
            raise InputError(f"{self.path}: not a checkpoint of this run (no {', '.join(missing)}); {_WAY_OUT}")
        if wrong := _malformed(content):
            raise InputError(f"{self.path}: its {wrong} is none that a training writes; {_WAY_OUT}")
        self._compare(content["settings"])
        for name, part in stateful.items():
            try:
                part.load_state_dict(content[name])
            except FAULTS as error:
                raise InputError(f"{self.path}: its {name} is that of another configuration; {_WAY_OUT}") from error
        try:
            restore_random_state(content["random"][rank() % len(content["random"])])
        except FAULTS as error:
            raise InputError(f"{self.path}: its random is none that a training writes; {_WAY_OUT}") from error
        engine.state.epoch = content["epoch"]
        engine.state.iteration = content["epoch"] * engine.state.epoch_length

    def _read(self) -> dict[str, Any]:
        try:
            content = read_checkpoint(self.path)
        except InputError as error:
            raise InputError(f"{self.path}: not a whole checkpoint; {_WAY_OUT}") from error
        return content if isinstance(content, dict) else {}

    def _compare(self, saved: Mapping[str, Any]) -> None:
        for name, value in self.settings.items():
            if saved.get(name) != value:
                raise InputError(f"{self.path}: trained with {name} {saved.get(name)}, not {value}; {_WAY_OUT}")
        if more := sorted(set(saved) - set(self.settings)):
            raise InputError(f"{self.path}: trained with {more[0]} {saved[more[0]]}, which this run lacks; {_WAY_OUT}")


FAULTS = (RuntimeError, ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError)
_WAY_OUT = "give another --output_dir, or --resume false to begin anew."


def _malformed(content: Mapping[str, Any]) -> str | None:
    """What of a checkpoint is of another type than a run writes; None if nothing is."""
    epoch, network = content["epoch"], content["network"]
    if isinstance(epoch, bool) or not isinstance(epoch, int) or epoch < 1:
        return "epoch"
    if not isinstance(content["settings"], dict):
        return "settings"
    if not isinstance(content["random"], list) or not content["random"]:
        return "random"
    return "network" if not isinstance(network, dict) or odd_tensor(network) else None


def prepare_folder(folder: Path) -> None:
    """Make the folder that a run writes to, free of what a killed run left half-written.

    Raises:
        InputError: if it cannot be written, which is better learnt before the first epoch than after it.
    """
    try:
        with tempfile.TemporaryFile(dir=made(folder)):
            pass
    except OSError as error:
        raise _unwritable(folder, error) from error
    for leftover in folder.rglob(".*.tmp"):  # whoever made it: the folder is this run's
        with suppress(OSError):
            leftover.unlink()


def made(folder: Path) -> Path:
    """``folder``, made if need be; raise InputError if it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    return folder


def _unwritable(folder: Path, error: OSError) -> InputError:
    return InputError(f"{folder}: cannot be written ({error.strerror or error}); give another --output_dir.")


def _plain(value: Any) -> Any:
    """A setting as ``torch.load(weights_only=True)`` gives it back."""
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value if isinstance(value, (bool, int, float)) or value is None else str(value)

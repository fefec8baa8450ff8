"""A run's whole state in one file, written whole, so that a run can go on as if it had never stopped."""

from __future__ import annotations

import io
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from ignite.engine import Engine, Events
from torch import nn

from ..data.prepared import write_bytes
from ..errors import InputError
from ..io.weights import read_checkpoint
from ..parallel import is_parallel, rank


class Checkpoint:
    """Save after every epoch, and resume when a run starts. Attach it last.

    Args:
        path: the file.
        network: a ``RegistrationNetwork`` of all that is trained.
        parts: further objects with ``state_dict`` and ``load_state_dict``, by name.
        settings: what a run must share with the one that it resumes.
        resume: go on from ``path`` if it exists; else it is overwritten.

    Raises:
        InputError: at the start, for a file that is truncated, foreign, or of other settings.
    """

    def __init__(
        self,
        path: str | Path,
        network: nn.Module,
        parts: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        resume: bool = True,
    ) -> None:
        self.path, self.network, self.parts = Path(path), network, dict(parts or {})
        self.settings, self.resume = {k: _plain(v) for k, v in (settings or {}).items()}, resume

    def attach(self, engine: Engine) -> None:
        """Follow ``engine``."""
        engine.add_event_handler(Events.STARTED, self._load)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._save)

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

    def _load(self, engine: Engine) -> None:
        if not (self.resume and self.path.is_file()):
            return
        content = read_checkpoint(self.path)
        stateful = self._stateful(engine)
        missing = sorted({*stateful, "epoch", "settings", "random"} - set(content))
        if missing:
            raise InputError(f"{self.path}: not a checkpoint of this run (no {', '.join(missing)}); {_WAY_OUT}")
        self._compare(content["settings"])
        for name, part in stateful.items():
            part.load_state_dict(content[name])
        restore_random_state(content["random"][rank() % len(content["random"])])
        engine.state.epoch = content["epoch"]
        engine.state.iteration = content["epoch"] * engine.state.epoch_length
        if rank() == 0:
            done = "trained already" if content["epoch"] >= engine.state.max_epochs else "resumed"
            print(f"{self.path}: {done}, at epoch {content['epoch']} of {engine.state.max_epochs}", flush=True)

    def _compare(self, saved: Mapping[str, Any]) -> None:
        for name, value in self.settings.items():
            if saved.get(name) != value:
                raise InputError(f"{self.path}: trained with {name} {saved.get(name)}, not {value}; {_WAY_OUT}")


_WAY_OUT = "give another --output_dir, or --resume false to begin anew."


def _plain(value: Any) -> Any:
    """A setting as ``torch.load(weights_only=True)`` gives it back."""
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value if isinstance(value, (bool, int, float)) or value is None else str(value)


def random_states() -> list[dict[str, Any]]:
    """The state of every random generator, of every process."""
    name, keys, position, has_gauss, gauss = np.random.get_state()
    state = {"torch": torch.get_rng_state(), "python": _plain(random.getstate())}
    state["numpy"] = [name, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, gauss]
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    if not is_parallel():
        return [state]
    states: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(states, state)
    return states


def restore_random_state(state: Mapping[str, Any]) -> None:
    """Set every random generator to what ``random_states`` found."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])

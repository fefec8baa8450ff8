"""The state of every random generator, to save and to set."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ..parallel import gather_objects


def random_states() -> list[dict[str, Any]]:
    """The state of this process's generators, and of every other process's, as ``torch.load`` gives it back."""
    version, internal, gauss = random.getstate()
    name, keys, *rest = np.random.get_state()
    state = {"torch": torch.get_rng_state(), "python": [version, list(internal), gauss]}
    state["numpy"] = [name, torch.from_numpy(keys.astype(np.int64)), *rest]
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return gather_objects(state)


def restore_random_state(state: Mapping[str, Any]) -> None:
    """Set every generator of this process to what ``random_states`` found."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])

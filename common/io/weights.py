"""Weights of a network as files: written whole, read strictly."""

from __future__ import annotations

import io
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..files import write_bytes

Network = TypeVar("Network", bound=nn.Module)


def load_weights(network: Network, path: str | Path) -> Network:
    """Load the state dict at ``path`` into ``network``, every key of it, and return the network.

    A training checkpoint (a dict with the network's state under "network") serves as well.

    Raises:
        InputError: no such file, truncated, not a state dict, or one of another network.
    """
    state = _network_state(read_checkpoint(Path(path)), path)
    problem = _mismatch(network.state_dict(), state)
    if problem:
        raise InputError(f"{path}: weights of another network: {problem}; check the bundle and its settings.")
    network.load_state_dict(state, strict=True)
    return network


def save_weights(network: nn.Module, path: str | Path) -> None:
    """Write the network's state dict to ``path``, atomically and on the CPU.

    Raises:
        InputError: the file cannot be written.
    """
    state = {key: value.detach().cpu() for key, value in network.state_dict().items()}
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_bytes(path, buffer.getvalue())


def read_checkpoint(path: Path) -> object:
    """Load what ``torch.save`` wrote to ``path``, onto the CPU, tensors and plain containers only.

    Raises:
        InputError: no such file, not whole, or with other objects in it.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; train first, or fetch the weights named in the bundle's README.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about foreign pickles, which are refused below
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # the archive is whole, so what is inside is at fault, not the copy
        what = "holds more than weights" if zipfile.is_zipfile(path) else "is not a file of weights"
        raise InputError(f"{path}: {what}; give a state dict saved by training.") from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, IndexError) as error:
        raise InputError(f"{path}: cannot be read; is the file whole? Fetch or save it again.") from error


def _network_state(content: object, path: str | Path) -> dict[str, Tensor]:
    if isinstance(content, dict) and isinstance(content.get("network"), dict):
        content = content["network"]
    if not isinstance(content, dict) or not content or not all(torch.is_tensor(v) for v in content.values()):
        raise InputError(f"{path}: holds a {type(content).__name__}, not a state dict; give weights saved by training.")
    return content


def _mismatch(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> str | None:
    missing, unexpected = [k for k in ours if k not in theirs], [k for k in theirs if k not in ours]
    shapes = [
        f"{k} is {list(theirs[k].shape)} instead of {list(ours[k].shape)}"
        for k in ours
        if k in theirs and ours[k].shape != theirs[k].shape
    ]
    parts = [("missing", missing), ("unexpected", unexpected), ("shapes", shapes)]
    return "; ".join(f"{name}: {_first(items)}" for name, items in parts if items) or None


def _first(items: list[str], count: int = 3) -> str:
    return ", ".join(items[:count]) + (f" and {len(items) - count} more" if len(items) > count else "")

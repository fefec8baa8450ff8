"""Weights of a network as files: written whole, read strictly."""

from __future__ import annotations

import io
import pickle
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from ..collection.weights import weights_in
from ..errors import InputError
from ..files import file_hash, write_bytes

Network = TypeVar("Network", bound=nn.Module)


def load_weights(network: Network, path: str | Path) -> Network:
    """Load the state dict at ``path`` into ``network``, every key of it, and return the network.

    A training checkpoint (a dict with the network's state under "network") serves as well.

    Raises:
        InputError: no such file, truncated or damaged, not a state dict, or one of another network; weights of a bundle
            that are not those that its metadata names.
    """
    check_shipped(Path(path))
    state = network_state(read_checkpoint(Path(path)), path)
    problem = mismatch(network.state_dict(), state)
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
    _check_records(path)
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


def _check_records(path: Path) -> None:
    """Refuse a file with a damaged record: torch does not compare the checksums that it writes."""
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); is the file whole? Fetch or save it again.") from error
    if damaged:
        raise InputError(f"{path}: damaged: {damaged} has another checksum than was saved; fetch or save it again.")


def check_shipped(path: Path) -> None:
    """Compare weights that a bundle ships, in its ``models``, with the SHA-256 in its metadata, if that has one.

    Raises:
        InputError: they are others.
    """
    declared = known.about.get("sha256") if (known := weights_in(path)) else None
    if declared is not None and path.is_file() and file_hash(path) != declared:
        metadata = path.parent.parent / "configs" / "metadata.json"
        raise InputError(f"{path}: not the weights that {metadata} names; fetch them, or give others by checkpoint.")


def odd_tensor(state: Mapping[str, object]) -> str | None:
    """The first tensor of a state that no network of ours has, and what it is; None if there is none."""
    for key, value in state.items():
        if not torch.is_tensor(value):
            continue
        if value.layout != torch.strided or value.is_quantized or value.device.type == "meta":
            return f"{key} is no plain tensor"
        if value.is_complex():
            return f"{key} is complex"
        if value.is_floating_point() and not torch.isfinite(value).all():
            return f"{key} holds NaN or infinite values"
    return None


def network_state(content: object, path: str | Path) -> dict[str, Tensor]:
    """The network's state in what a file holds: itself, or the part of a training's checkpoint.

    Raises:
        InputError: it is none.
    """
    if isinstance(content, dict) and isinstance(content.get("network"), dict):
        content = content["network"]
    if not isinstance(content, dict) or not content or not all(torch.is_tensor(v) for v in content.values()):
        raise InputError(f"{path}: holds a {type(content).__name__}, not a state dict; give weights saved by training.")
    return content


def mismatch(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> str | None:
    """Why the state ``theirs`` does not fit a network whose state is ``ours``, for a line; None if it does."""
    missing, unexpected = [k for k in ours if k not in theirs], [k for k in theirs if k not in ours]
    shapes = [
        f"{k} is {list(theirs[k].shape)} instead of {list(ours[k].shape)}"
        for k in ours
        if k in theirs and ours[k].shape != theirs[k].shape
    ]
    odd = odd_tensor(theirs)
    parts = [("missing", missing), ("unexpected", unexpected), ("shapes", shapes), ("values", [odd] if odd else [])]
    return "; ".join(f"{name}: {first_of(items)}" for name, items in parts if items) or None


def first_of(items: list[str], count: int = 3) -> str:
    """The first few of a list, for a line, and how many more there are."""
    return ", ".join(items[:count]) + (f" and {len(items) - count} more" if len(items) > count else "")

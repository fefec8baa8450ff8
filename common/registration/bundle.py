"""A bundle on disk, opened: its network with weights, and how images are brought to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import yaml

from ..collection.find import Found, find_bundle
from ..config import Config, load
from ..errors import InputError, input_error_in
from ..io.weights import load_weights
from ..overrides import override
from ..settings import literal
from .card import Card, card_of
from .region import Framing

if TYPE_CHECKING:
    from ..networks.ensemble import Registering

CONFIGS = ("inference.yaml", "inference.json")
FRAMING = ("crop_size", "center", "network_size", "spacing", "axes")


@dataclass(frozen=True, eq=False)
class OpenBundle:
    """What `open_bundle` read.

    Attributes:
        name: of the folder; version: of its metadata, "unknown" without one.
        network: a `RegistrationNetwork` in eval mode on ``device``, its weights loaded strictly from ``weights``.
        spatial_dims: 2 registers slice by slice.
        framing: the part of the images that the network sees.
        batch_size: slices that go through the network at once.
    """

    name: str
    network: Registering
    spatial_dims: int
    framing: Framing
    folder: Path
    version: str
    weights: Path
    device: torch.device
    batch_size: int = 16


def open_bundle(given: str | Path | Found, /, device: str | torch.device | None = None, **overrides: Any) -> OpenBundle:
    """Open a bundle, or a run of its training, by the bundle's ``configs/inference.yaml`` (or ``.json``).

    A config is a program: its expressions are evaluated. Open only bundles that you trust.

    Args:
        given: what `find_bundle` finds: a name, a folder, a run or a package.
        device: where the network runs; None is a GPU if there is one.
        overrides: settings of the config, as in ``center="detect"``.

    Raises:
        InputError: no bundle, an unknown setting, a config that cannot be read, or weights missing or of another
            network.
    """
    found = find_bundle(given)
    folder = found.folder.resolve()
    file = _config(folder)
    config = Config(_settings(file, folder, found.settings, overrides))
    network = _content(config, "network_def", file)
    device, weights = _device(device), Path(str(_content(config, "checkpoint", file)))
    return OpenBundle(
        name=folder.name,
        network=load_weights(network, weights).to(device).eval(),
        spatial_dims=int(network.spatial_dims),
        framing=_framing(config, file, card_of(weights)),
        folder=folder,
        version=version_of(folder),
        weights=weights,
        device=device,
        batch_size=int(_optional(config, "inferer::batch_size", file) or 16),
    )


def _config(folder: Path) -> Path:
    for name in CONFIGS:
        if (folder / "configs" / name).is_file():
            return folder / "configs" / name
    raise InputError(f"{folder}: no configs/inference.yaml or .json in it; give a bundle for registration.")


def _settings(file: Path, folder: Path, own: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The settings in ``file``, with a run's ``own`` and then ``overrides`` in their places."""
    try:
        settings = load([file])
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        raise InputError(f"{file}: cannot be read ({_first_line(error)}); is it whole?") from error
    if "network_def" not in settings:
        raise InputError(f"{file}: has no network_def; give a bundle for registration.")
    shipped = settings["network_def"]
    settings |= {"bundle_root": literal(str(folder))} | {key: literal(value) for key, value in own.items()}
    settings["network_def"] = _refinable(settings["network_def"], shipped)
    override(settings, overrides, str(file))
    if "checkpoint" in own and settings.get("weights") is not None:
        also = f"--weights {settings['weights']} is one of its bundle's"
        raise InputError(f"{own['checkpoint']}: weights of a run, but {also}; give the bundle, or leave it out.")
    return settings


def _refinable(own: Any, shipped: Any) -> Any:
    """A run's network with the refinement of its bundle's, which no training has, if it is one of the same class."""
    if not isinstance(own, dict) or not isinstance(shipped, dict) or own.get("_target_") != shipped.get("_target_"):
        return own
    return {key: part for key, part in shipped.items() if key == "refinement"} | own


def _content(config: Config, key: str, file: Path) -> Any:
    """Say in one line what a config's own code raises."""
    try:
        return config.content(key)
    except Exception as error:  # whatever a config's expressions raise
        raise input_error_in(error) or InputError(f"{file}: {_first_line(_cause(error))}; check the bundle.") from error


def _optional(config: Config, key: str, file: Path) -> Any:
    return _content(config, key, file) if key in config else None


def _cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _framing(config: Config, file: Path, trained: Card) -> Framing:
    # up to version 0.2 some stood in a section
    values = {key: _optional(config, key if key in config else f"registration::{key}", file) for key in FRAMING}
    values |= {"center": values["center"] or "auto", "axes": values["axes"] or "stored", "trained": trained}
    percentiles = _optional(config, "percentiles", file)
    return Framing(**values) if percentiles is None else Framing(**values, percentiles=percentiles)


def _device(name: str | torch.device | None) -> torch.device:
    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"device is {name!r}; give cpu or cuda.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device is {name!r}, but PyTorch sees no GPU here; give cpu.")
    return device


def version_of(folder: Path) -> str:
    """Of the bundle in ``folder``, as its metadata says; "unknown" without."""
    try:
        return str(json.loads((folder / "configs" / "metadata.json").read_text(encoding="utf-8"))["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return "unknown"

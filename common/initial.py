"""What a training begins with: weights that it is given, or none, and then whether it is long enough without."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from .collection.find import find_bundle, names
from .collection.weights import NAME, Weights, weights_file, weights_of
from .errors import InputError
from .io.weights import check_shipped, first_of, network_state, odd_tensor, read_checkpoint
from .parallel import rank

FEW = 0.25  # of the steps that shipped weights have taken


class Planned(Protocol):
    """What a trainer says of its steps."""

    def steps(self) -> int:
        """How many steps the displacement estimator's optimiser takes in all."""
        ...


class Beginning:
    """Load the weights that a training is given; where it is given none, warn if it is far shorter than it should be.

    Args:
        init: a name of the bundle's own weights, ``BUNDLE`` or ``BUNDLE:NAME`` of another's, a run's folder, or a file;
            None for the random weights that the network has.
        bundle_root: the bundle's folder.
    """

    def __init__(self, init: str | None, bundle_root: str | Path) -> None:
        self.init, self.bundle_root = init, Path(bundle_root)

    def __call__(self, network: nn.Module, trainer: Planned) -> None:
        """Begin.

        Raises:
            InputError: for weights that are not there, cannot be read, or of which none fits.
        """
        if self.init is None:
            lines = few_steps(trainer.steps(), self.bundle_root)
        else:
            path = find_weights(self.init, self.bundle_root)
            lines = load_fitting(network, path, self.init)
        for line in lines if rank() == 0 else ():
            print(line, flush=True)


def find_weights(init: str, bundle_root: Path) -> Path:
    """The file that ``init`` means.

    Raises:
        InputError: it means nothing, or a bundle or a run without weights.
    """
    own = weights_of(bundle_root)
    if init in own:
        return own[init].file
    path, (bundle, colon, name) = Path(init), init.rpartition(":")
    if path.is_file() and path.suffix != ".zip":
        return path
    if colon and NAME.fullmatch(name):
        found = find_bundle(bundle)
        return weights_file(found.folder, name)
    if not path.exists() and init not in names():
        near = get_close_matches(init, [*own, *names()], n=1)
        hint = f"did you mean {near[0]}?" if near else "give one of them."
        there = f" ({', '.join(own)})" if own else ""
        raise InputError(f"init is {init!r}: neither weights of the bundle{there}, nor a bundle, run or file; {hint}")
    found = find_bundle(init)
    return found.checkpoint or weights_file(found.folder)


def load_fitting(network: nn.Module, path: Path, init: str) -> list[str]:
    """Load what has a key and a shape of the network's, as float32; return lines that say what was and what was not.

    Raises:
        InputError: for a file that cannot be read, or of which nothing fits.
    """
    check_shipped(path)
    theirs, ours = network_state(read_checkpoint(path), path), network.state_dict()
    if odd := odd_tensor(theirs):
        raise InputError(f"{path}: {odd}; give other weights by init.")
    shared = [key for key in ours if key in theirs]
    flat = {key: each for key in shared if (each := within_slices(theirs[key], ours[key].shape)) is not None}
    theirs = {**theirs, **flat}
    fitting = [key for key in shared if ours[key].shape == theirs[key].shape]
    left = {
        "not in the file, as they begin": [key for key in ours if key not in theirs],
        "in the file alone, left out": [key for key in theirs if key not in ours],
        "of another shape, as they begin": [other_shape(key, ours, theirs) for key in shared if key not in fitting],
    }
    said = [f"{what}: {first_of(keys)}" for what, keys in left.items() if keys]
    if flat:
        said.append(f"of images, which act within slices: {first_of([*flat])}")
    if not fitting:
        raise InputError(f"{path}: nothing of it fits this network; {'; '.join(said)}; give other weights by init.")
    with torch.no_grad():
        for key in fitting:
            ours[key].copy_(theirs[key])
    source = "" if str(path) == init else f" from {path}"
    return [f"init {init}: {len(fitting)} of {len(ours)} tensors loaded{source}", *(f"  {line}" for line in said)]


def within_slices(theirs: Tensor, shape: torch.Size) -> Tensor | None:
    """Weights of a network of images as ones of ``shape`` of a network of volumes, which then does to each slice, along
    the last axis, what theirs does to an image (centre initialisation of inflated kernels, as Carreira and Zisserman,
    CVPR 2017, inflate them; a field's third component is 0); None where they are not of that kind.
    """
    is_kernel = theirs.dim() == 4 and len(shape) == 5 and theirs.shape[1:] == shape[1:-1]
    is_field = theirs.shape[:1] == (2,) and shape[:1] == (3,)
    is_bias = is_field and theirs.dim() == len(shape) == 1
    if not (is_kernel and (is_field or theirs.shape[0] == shape[0]) or is_bias):
        return None
    inflated = theirs.new_zeros(shape)
    within = inflated[..., shape[-1] // 2] if is_kernel else inflated
    within[: len(theirs)] = theirs
    return inflated


def other_shape(key: str, ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> str:
    """How the shape of a tensor differs."""
    return f"{key} {list(theirs[key].shape)} instead of {list(ours[key].shape)}"


def few_steps(steps: int, bundle_root: Path) -> list[str]:
    """A warning, in a list, if ``steps`` are far fewer than those of the bundle's weights, where these are known."""
    known = {each.name: taken for each in weights_of(bundle_root).values() if (taken := steps_of(each)) is not None}
    name, taken = next(iter(known.items()), ("", 0))
    if steps >= FEW * taken:
        return []
    way_out = f"take more --max_epochs, or begin with weights (--init {name})"
    return [f"warning: {steps} steps in all, where the weights {name} have taken {taken}; {way_out}."]


def steps_of(weights: Weights) -> int | None:
    """How many steps a bundle's weights have taken; None where its metadata do not say.

    They say it, or the pairs of an epoch, from which it follows.
    """
    about, settings = weights.about, weights.about.get("settings", {})
    try:
        return int(about["steps"]) if "steps" in about else _steps(about, settings)
    except (KeyError, TypeError, ValueError):
        return None


def _steps(about: Mapping[str, Any], settings: Mapping[str, Any]) -> int:
    epochs = about.get("stopped_after_epoch", settings["max_epochs"]) - (settings.get("warm_up") or (0, 0))[1]
    batches = -(-settings["pairs_per_epoch"] // settings["batch_size"])
    return epochs * -(-batches // settings.get("accumulation_steps", 1))

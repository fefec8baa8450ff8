"""What bundle configs call: where a bundle is, and how a run starts."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import nn

from .collection.find import BUNDLES, INSTALLED
from .collection.weights import weights_file, weights_in
from .data import prepared
from .data.augmentation import RandomDeformation
from .errors import InputError, say_in_one_line
from .freezing import freeze_parts
from .initial import Beginning
from .networks.dropout import with_dropout
from .overrides import is_loading, read_overrides, running_workflow
from .parallel import rank

if TYPE_CHECKING:
    from .data.pairs import PreparedPairs

THICK = 3  # times as far apart as a slice's own voxels, as nnU-Net has it (Isensee et al., 2021)


def root(name: str) -> str:
    """The folder of the bundle whose config is being run, else the one called ``name`` that comes with the library.

    MONAI does not tell a config where it lies, so this asks the workflow that reads it: a bundle works from
    any working directory and wherever it is copied.
    """
    if workflow := running_workflow():
        return str(workflow.config_root_path.resolve().parent)
    return str(BUNDLES / name)


def folder(bundle_root: str, name: str) -> str:
    """Where a bundle writes ``name``: in its own folder, or in one of its name where it is run, if it is installed."""
    own = Path(bundle_root)
    return str((Path.cwd() / own.name if own.parent == INSTALLED else own) / name)


def checkpoint(bundle_root: str, weights: str | None = None) -> str:
    """The file of the bundle's weights of this name; None is ``models/model.pt``.

    Raises:
        InputError: it has none of that name.
    """
    return str(weights_file(bundle_root, weights))


def of_weights(checkpoint: str | list[str], setting: str, otherwise: Any) -> Any:
    """The setting that a bundle's own weights were trained with; ``otherwise`` of other files, and if it is not said.

    Args:
        checkpoint: the file of the weights, or those of an ensemble.
        setting: its name in the training's config.
        otherwise: what the bundle's config says.
    """
    known = weights_in(checkpoint)
    return otherwise if known is None else known.about.get("settings", {}).get(setting, otherwise)


def start(seed: int = 0) -> None:
    """Begin a run: errors in one line, settings read and checked, every random generator seeded.

    Raises:
        InputError: for an override that names nothing in the config, or a value that a setting cannot have.
    """
    from monai.utils import set_determinism  # a package's network is opened without MONAI

    say_in_one_line()
    read_overrides()
    set_determinism(seed)


def phantom_dir(bundle_root: str, spatial_dims: int = 2) -> str:
    """Where a bundle keeps the phantom of 2 or 3 dimensions that it trains on when nothing else is given."""
    return folder(bundle_root, f"data/phantom_{spatial_dims}d")


def augmentation(affine: str | None, seed: int, dataset: PreparedPairs | None = None) -> RandomDeformation | None:
    """What is done to the pairs of a training; None for nothing. Say so if it would tear volumes of thick slices."""
    if affine is None:
        return None
    edges = () if dataset is None else dataset.spacing
    if len(edges) == 3 and affine != "in_plane" and max(edges) > THICK * min(edges) and rank() == 0:
        size = " x ".join(f"{edge:.3g}" for edge in edges)
        print(
            f"warning: voxels of {size} mm, turned as if they were cubes, tear volumes; take --augmentation in_plane."
        )
    return RandomDeformation(seed, affine)


def dataset(dataset_dir: str, bundle_root: str) -> str:
    """``dataset_dir``; if it is the bundle's own phantom, made on first use."""
    for spatial_dims in (2, 3):
        if Path(dataset_dir) == Path(phantom_dir(bundle_root, spatial_dims)):
            from .data.phantom import ensure_phantom  # whose images need SciPy

            return str(ensure_phantom(dataset_dir, spatial_dims=spatial_dims))
    return dataset_dir


def num_classes(dataset_dir: str, bundle_root: str) -> int:
    """Classes of a prepared data set's labels, background included; of the bundle's weights where these are loaded."""
    if is_loading():
        metadata = json.loads((Path(bundle_root) / "configs" / "metadata.json").read_text("utf-8"))
        channels = metadata["network_data_format"]["outputs"]["pred"]["channel_def"].values()
        return sum(name.startswith("share of class") for name in channels)
    return 1 + max(prepared.read(dataset(dataset_dir, bundle_root)).labels, default=0)


def default_device() -> torch.device:
    """This process's GPU if there is one, else the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))


def default_precision(device: str | torch.device) -> str:
    """What networks are fastest in: bfloat16 on a GPU, and on a CPU that multiplies it (AVX-512 BF16, AMX, Arm BF16).

    Another CPU emulates bfloat16, which is far slower than float32.
    """
    if torch.device(device).type == "cuda":
        return "bfloat16"
    multiplies = any(has for name, has in torch.cpu.get_capabilities().items() if "bf16" in name)
    return "bfloat16" if multiplies else "float32"


def model(
    network: nn.Module,
    dropout: float,
    device: torch.device,
    freeze: str | Sequence[str] | None = None,
    encoder: str | None = None,
) -> nn.Module:
    """The network to be trained, on its device; what ``freeze`` names of it stays as it is, see `freeze_parts`."""
    return freeze_parts(with_dropout(network, dropout), freeze, encoder).to(device)


def beginning(init: str | None, bundle_root: str) -> Beginning:
    """What a training begins with: the weights called ``init``, or none."""
    return Beginning(init, bundle_root)


def start_parallel(seed: int = 0) -> None:
    """Begin a run of several processes (``torchrun``): nccl between GPUs, gloo between CPUs."""
    say_in_one_line()
    if "RANK" not in os.environ:
        raise InputError("multi_gpu_train.yaml needs several processes: start it by `torchrun --nproc_per_node=N`.")
    read_overrides()
    device = default_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    start(seed)


def stop_parallel() -> None:
    """End a run of several processes."""
    if dist.is_initialized():
        dist.destroy_process_group()

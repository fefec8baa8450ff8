"""What bundle configs call: where a bundle is, how a run starts, and whether its overrides are spelt right."""

from __future__ import annotations

import difflib
import inspect
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from pydoc import locate
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist
from monai.bundle import ConfigParser, ConfigWorkflow
from monai.utils import ensure_tuple, set_determinism

from .data.phantom import ensure_phantom
from .errors import InputError, say_in_one_line

# arguments of `monai.bundle run` itself, which arrive among the overrides
OF_MONAI = {"init_id", "run_id", "final_id", "meta_file", "logging_file", "tracking", "workflow_type", "properties_path"}
OF_TRACKING = {"tracking_uri", "experiment_name", "run_name", "save_execute_config"}
WORDS = {"true": True, "false": False, "null": None}


def root(name: str) -> str:
    """The folder of the bundle whose config is being run, else the one called ``name`` in this repository.

    MONAI does not tell a config where it lies, so this asks the workflow that reads it: a bundle works from
    any working directory and wherever it is copied.
    """
    if workflow := _workflow():
        return str(workflow.config_root_path.resolve().parent)
    return str(Path(__file__).resolve().parent.parent / "bundles" / name)


def start(seed: int = 0) -> None:
    """Begin a run: errors in one line, overrides checked, every random generator seeded.

    Raises:
        InputError: for an override that names nothing in the config.
    """
    say_in_one_line()
    check_overrides()
    read_words()
    set_determinism(seed)


def phantom_dir(bundle_root: str, spatial_dims: int = 2) -> str:
    """Where a bundle keeps the phantom of 2 or 3 dimensions that it trains on when nothing else is given."""
    return str(Path(bundle_root) / "data" / f"phantom_{spatial_dims}d")


def dataset(dataset_dir: str, bundle_root: str) -> str:
    """``dataset_dir``; if it is the bundle's own phantom, made on first use."""
    for spatial_dims in (2, 3):
        if Path(dataset_dir) == Path(phantom_dir(bundle_root, spatial_dims)):
            return str(ensure_phantom(dataset_dir, spatial_dims=spatial_dims))
    return dataset_dir


def default_device() -> torch.device:
    """This process's GPU if there is one, else the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))


def start_parallel(seed: int = 0) -> None:
    """Begin a run of several processes (``torchrun``): nccl between GPUs, gloo between CPUs."""
    say_in_one_line()
    if "RANK" not in os.environ:
        raise InputError("multi_gpu_train.yaml needs several processes: start it by `torchrun --nproc_per_node=N -m ...`.")
    device = default_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    start(seed)


def stop_parallel() -> None:
    """End a run of several processes."""
    if dist.is_initialized():
        dist.destroy_process_group()


def check_overrides() -> None:
    """Refuse an override (``--key value``) whose key neither stands in the config nor is an argument of its target.

    MONAI itself accepts any key, so that a misspelt setting is silently without effect.

    Raises:
        InputError: naming the override and the nearest known key.
    """
    files, overrides = _bundle_call()
    if not files:
        return
    config = ConfigParser(ConfigParser.load_config_files(files))
    allowed = OF_MONAI | (OF_TRACKING if overrides.get("tracking") else set())
    for override in sorted(set(overrides) - allowed, key=lambda name: not name.endswith("_target_")):
        key = override.replace("#", "::")
        if not _is_known(config.get(), key.split("::")):
            nearest = difflib.get_close_matches(key, list(_keys(config.get())), n=1, cutoff=0.0)[0].replace("::", "#")
            raise InputError(f"--{override}: no such setting in {', '.join(files)}; did you mean --{nearest}?")
        config[key] = overrides[override]  # another _target_ has other arguments
    run_id = overrides.get("run_id", "run")
    if run_id not in config:
        raise InputError(f"run {run_id}: no such key in {', '.join(files)}; did you mean `run training`?")


def read_words() -> None:
    """Let ``--key false`` (and true, null) mean what it means in YAML: the command line gives MONAI the word."""
    workflow = _workflow()
    _, overrides = _bundle_call()
    words = {key: WORDS[value] for key, value in overrides.items() if isinstance(value, str) and value in WORDS}
    if workflow is not None and words:
        workflow.parser.update({key: value for key, value in words.items() if key in workflow.parser})
        workflow.parser.parse(reset=True)


def _workflow() -> ConfigWorkflow | None:
    """The workflow that is reading the config."""
    for frame in _frames():
        workflow = frame.f_locals.get("self")
        if isinstance(workflow, ConfigWorkflow) and "config_root_path" in vars(workflow):
            return workflow
    return None


def _frames() -> Iterator[FrameType]:
    """The calls that we are inside of, innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame := frame.f_back:
        yield frame


def _bundle_call() -> tuple[list[str], dict[str, Any]]:
    """The config files and overrides of the ``monai.bundle`` call that we are inside of."""
    for frame in _frames():
        if frame.f_code.co_name == "create_workflow" and frame.f_globals["__name__"] == "monai.bundle.scripts":
            files = ensure_tuple(frame.f_locals["config_file"] or ())
            return [str(file) for file in files], dict(frame.f_locals["_args"])
    return [], {}


def _is_known(config: Any, path: list[str]) -> bool:
    """Whether ``path`` leads somewhere in ``config``, or to an argument of the class or function it is about."""
    for depth, name in enumerate(path):
        if isinstance(config, list) and name.isdigit() and int(name) < len(config):
            config = config[int(name)]
        elif isinstance(config, Mapping) and name in config:
            config = config[name]
        else:
            return depth == len(path) - 1 and name in _arguments(config)
    return True


def _arguments(config: Any) -> set[str]:
    """The parameters of a config's ``_target_``, those of its base classes included."""
    target = locate(config["_target_"]) if isinstance(config, Mapping) and "_target_" in config else None
    if target is None:
        return set()
    owners = [c.__init__ for c in target.__mro__ if "__init__" in vars(c)] if inspect.isclass(target) else [target]
    return {p for owner in owners for p in inspect.signature(owner).parameters}


def _keys(config: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(config, Mapping):
        for name, value in config.items():
            yield prefix + str(name)
            yield from _keys(value, f"{prefix}{name}::")

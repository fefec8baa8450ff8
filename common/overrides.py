"""Overrides of a bundle's config (``--key value``): whether they are spelt right, and what their words mean."""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from inspect import Parameter
from types import FrameType
from typing import TYPE_CHECKING, Any

from .config import load, located, put
from .errors import InputError
from .options import WORDS

if TYPE_CHECKING:
    from monai.bundle import ConfigWorkflow

# arguments of `monai.bundle run` itself, which arrive among the overrides
OF_MONAI = {"init_id", "run_id", "final_id", "meta_file", "logging_file", "tracking", "workflow_type"}
OF_TRACKING = {"tracking_uri", "experiment_name", "run_name", "save_execute_config"}


def check_overrides() -> None:
    """Refuse what ``refuse_unknown`` refuses, of the ``monai.bundle`` call that we are inside of."""
    files, overrides = _bundle_call()
    if files:
        refuse_unknown(files, overrides)


def refuse_unknown(files: Sequence[str], overrides: Mapping[str, Any]) -> None:
    """Refuse what `monai.bundle run` would not: a misspelt setting, or a run that is not in the config.

    Raises:
        InputError: naming the override and the nearest known key.
    """
    config, names = load(files), ", ".join(files)
    allowed = OF_MONAI | (OF_TRACKING if overrides.get("tracking") else set())
    override(config, {key: value for key, value in overrides.items() if key not in allowed}, names)
    run_id = overrides.get("run_id", "run")
    if not _is_known(config, run_id.split("::")):
        raise InputError(f"run {run_id}: no such key in {names}; did you mean {_nearest(config, run_id)}?")


def override(config: dict[str, Any], overrides: Mapping[str, Any], names: str) -> None:
    """Change settings of ``config`` (of files called ``names``), each of which stands there or is an argument there.

    MONAI itself accepts any key, so that a misspelt setting is silently without effect.

    Raises:
        InputError: naming an override that is neither, and the nearest known key.
    """
    # another _target_ has other arguments
    for given in sorted(overrides, key=lambda key: (not key.endswith("_target_"), key)):
        key = given.replace("#", "::")
        if not _is_known(config, key.split("::")):
            raise InputError(f"--{given}: no such setting in {names}; did you mean --{_nearest(config, key)}?")
        put(config, key, overrides[given])


def read_words() -> None:
    """Let ``--key false`` (and true, null) mean what it means in YAML: the command line makes a text of it."""
    workflow, (_, overrides) = running_workflow(), _bundle_call()
    words = {key: WORDS[value] for key, value in overrides.items() if isinstance(value, str) and value in WORDS}
    if workflow is not None and words:
        workflow.parser.update({key: value for key, value in words.items() if key in workflow.parser})
        workflow.parser.parse(reset=True)


def running_workflow() -> ConfigWorkflow | None:
    """The workflow whose config is being read."""
    from monai.bundle import ConfigWorkflow

    for frame in _frames():
        workflow = frame.f_locals.get("self")
        if isinstance(workflow, ConfigWorkflow) and "config_root_path" in vars(workflow):
            return workflow
    return None


def is_loading() -> bool:
    """Whether a call of MONAI reads the config that wants the network of the bundle's weights, and runs nothing."""
    calls = {frame.f_code.co_name for frame in _frames() if frame.f_globals.get("__name__") == "monai.bundle.scripts"}
    return bool(calls & {"load", "verify_net_in_out", "ckpt_export"})


def _frames() -> Iterator[FrameType]:
    """The calls that we are inside of, innermost first."""
    frame = sys._getframe(1).f_back
    while frame is not None:
        yield frame
        frame = frame.f_back


def _bundle_call() -> tuple[list[str], dict[str, Any]]:
    """The config files and overrides of the ``monai.bundle`` call that we are inside of."""
    from monai.utils import ensure_tuple

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


def _nearest(config: Any, key: str) -> str:
    return difflib.get_close_matches(key, sorted(_keys(config)), n=1, cutoff=0.0)[0].replace("::", "#")


def _keys(config: Any, prefix: str = "") -> Iterator[str]:
    """Every key that can be overridden, arguments that do not stand in the config included."""
    items = config.items() if isinstance(config, Mapping) else enumerate(config) if isinstance(config, list) else ()
    for name, value in items:
        yield f"{prefix}{name}"
        yield from _keys(value, f"{prefix}{name}::")
    yield from (prefix + name for name in _arguments(config))


def _arguments(config: Any) -> set[str]:
    """The parameters of a config's ``_target_``, those of its base classes included."""
    target = located(config["_target_"]) if isinstance(config, Mapping) and "_target_" in config else None
    if target is None:
        return set()
    classes = target.__mro__ if inspect.isclass(target) else ()
    makers = [vars(c)["__init__"] for c in classes if "__init__" in vars(c)] if classes else [target]
    parameters = [p for maker in makers for p in inspect.signature(maker).parameters.values()]
    named = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    return {p.name for p in parameters if p.kind in named and p.name != "self"}

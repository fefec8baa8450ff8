"""Overrides of a bundle's config (``--key value``): whether they are spelt right, and what their words mean."""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from inspect import Parameter
from types import FrameType
from typing import TYPE_CHECKING, Any

from .config import at, load, located, put
from .errors import InputError
from .options import WORDS
from .settings import is_expression, kind_of, literal, paths_of, read_setting

if TYPE_CHECKING:
    from monai.bundle import ConfigWorkflow

# arguments of `monai.bundle run` itself, which arrive among the overrides
OF_MONAI = {"init_id", "run_id", "final_id", "meta_file", "logging_file", "tracking", "workflow_type"}
FILES = ("checkpoint", "members")  # settings that say which files of weights, as the name ``weights`` does
OF_TRACKING = {"tracking_uri", "experiment_name", "run_name", "save_execute_config"}


def read_overrides() -> None:
    """Read the settings of the ``monai.bundle`` call that we are in by `read_settings`, and set what they mean."""
    files, overrides = _bundle_call()
    if not files:
        return
    config, workflow = read_settings(files, overrides), running_workflow()
    if workflow is None:
        return
    known = [key for key in {**dict.fromkeys(config), **overrides} if key in overrides or kind_of(key)]
    known = [_parent(key) if key.replace("#", "::").endswith("::_target_") else key for key in known]
    meant = {key: at(config, key) for key in known if key in workflow.parser}
    changed = {key: value for key, value in meant.items() if differ(value, workflow.parser[key])}
    if changed:
        workflow.parser.update(changed)
        workflow.parser.parse(reset=True)


def differ(first: Any, second: Any) -> bool:
    """Whether two settings are not the same: True is not 1."""
    return type(first) is not type(second) or first != second


def read_settings(files: Sequence[str], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The config of `monai.bundle run` as it is meant; refuse what MONAI would not.

    Raises:
        InputError: a misspelt setting, or a run that is not in the config, naming the nearest known key; a value that
            a setting cannot have.
    """
    config, names = load(files), ", ".join(files)
    allowed = OF_MONAI | (OF_TRACKING if overrides.get("tracking") else set())
    override(config, {key: typed(key, value) for key, value in overrides.items() if key not in allowed}, names)
    run_id = overrides.get("run_id", "run")
    if not _is_known(config, run_id.split("::")):
        raise InputError(f"run {run_id}: no such key in {names}; did you mean {_nearest(config, run_id)}?")
    for key in config.keys() - overrides.keys():
        if kind_of(key) and not is_expression(config[key]):
            config[key] = meaning(key, config[key])
    return config


def typed(key: str, value: Any) -> Any:
    """A path as it was typed: the command line makes a number of digits, a list of commas, a comment of `` #``."""
    if not paths_of(key) or (isinstance(value, list | tuple) and paths_of(key) == "several"):
        return value
    from fire.parser import DefaultParseValue

    words = sys.argv[1:]
    for word, following in zip(words, [*words[1:], None]):
        name, equals, text = word.partition("=")
        given = text if equals else following
        is_meant = name.startswith("-") and name.lstrip("-").replace("-", "_") == key and given is not None
        if is_meant and not differ(DefaultParseValue(given), value):
            return given
    return value


def meaning(key: str, value: Any) -> Any:
    """What a setting's value means, as it can stand in a config: `no` is false, and a path stays as it is.

    Raises:
        InputError: a value that the setting cannot have.
    """
    if kind_of(key) is None:  # the command line makes a text of true, false and null
        return WORDS[value] if isinstance(value, str) and value in WORDS else value
    found = read_setting(key, value)
    return literal(found) if paths_of(key) else found


def override(config: dict[str, Any], overrides: Mapping[str, Any], names: str) -> None:
    """Change settings of ``config`` (of files called ``names``), each of which stands there or is an argument there.

    MONAI itself accepts any key, so that a misspelt setting is silently without effect, and any value.

    Raises:
        InputError: naming an override that is neither, and the nearest known key; a value that a setting cannot have.
    """
    # another _target_ has other arguments
    for given in sorted(overrides, key=lambda key: (not key.endswith("_target_"), key)):
        key = given.replace("#", "::")
        if not _is_known(config, key.split("::")):
            raise InputError(f"--{given}: no such setting in {names}; did you mean --{_nearest(config, key)}?")
        put(config, key, meaning(given, overrides[given]))
        if key.endswith("::_target_"):
            _drop_foreign(at(config, _parent(key)))
    if "weights" in overrides and config["weights"] is not None:
        for other in (key for key in FILES if overrides.get(key) is not None and config[key] is not None):
            raise InputError(f"--weights {config['weights']}: --{other} says others; give one of the two.")


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


def _parent(key: str) -> str:
    """The section that ``key`` stands in."""
    return key.replace("#", "::").rpartition("::")[0]


def _drop_foreign(section: dict[str, Any]) -> None:
    """Leave out arguments of the class that a section was about before, which the one that it is about now has not."""
    target = located(section["_target_"])
    signature = inspect.signature(target).parameters if callable(target) else {}
    if any(p.kind is Parameter.VAR_KEYWORD for p in signature.values()):
        return
    for name in [name for name in section if signature and name not in signature and not name.startswith("_")]:
        del section[name]


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

"""Read a bundle's config as MONAI's ``ConfigParser`` does, but without importing MONAI, which takes seconds.

What configs for inference are made of is read here: ``_target_`` with ``_requires_`` and ``_disabled_``, references
(``@a#b``), expressions (``$...``), imports. For anything else (macros, relative references, other modes, names without
their module, what is wrong in a config) MONAI is asked. Of the imports, only those are made that an expression names.
"""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from functools import cached_property
from importlib import import_module
from pathlib import Path
from pydoc import locate
from types import CodeType
from typing import Any

import yaml

REFERENCE = re.compile(r"@\w*(?:::\w*)*")
MERGED = re.compile(r"\+|.*(#|::)")  # keys that change what stands elsewhere
IMPORT = re.compile(r"\$\s*(import|from)\s")
GLOBALS = {"monai": "monai", "torch": "torch", "np": "numpy", "numpy": "numpy"}
MODES = ("MONAI_EVAL_EXPR", "MONAI_RUN_DEBUG", "MONAI_ALLOW_MISSING_REFERENCE")  # variables that change MONAI's reading
NO_ARGUMENTS = ("_target_", "_disabled_", "_requires_", "_desc_", "_mode_")
LIBRARIES = ("common", "warpsure")  # names of this library, in the repository and installed


class _Foreign(Exception):
    """Something that is left to MONAI."""


class Config:
    """The contents of a config, made when they are first asked for.

    Args:
        raw: as it stands in the file; see `load` and `put`.
    """

    def __init__(self, raw: dict[str, Any]) -> None:
        self.raw = raw
        self._made: dict[str, Any] = {}

    def __contains__(self, id: str) -> bool:
        try:
            at(self.raw, id)
        except KeyError:
            return False
        return True

    def content(self, id: str) -> Any:
        """What `ConfigParser.get_parsed_content` gives: "network_def" is a network, "inferer#batch_size" a number."""
        try:
            if any(name in os.environ for name in MODES):
                raise _Foreign
            return self._content(_normal(id), ())
        except _Foreign:
            return self._monai.get_parsed_content(id)

    @cached_property
    def _monai(self) -> Any:
        from monai.bundle import ConfigParser

        return ConfigParser(deepcopy(self.raw))

    def _content(self, id: str, waiting: tuple[str, ...]) -> Any:
        try:
            return self._made_of(at(self.raw, id), id, waiting)
        except KeyError as error:
            raise _Foreign from error

    def _made_of(self, value: Any, id: str, waiting: tuple[str, ...]) -> Any:
        """The content of ``value``, which stands at ``id``, while those of ``waiting`` are being made."""
        if id in waiting:
            raise _Foreign
        if id not in self._made:
            self._made[id] = self._make(value, id, (*waiting, id))
        return self._made[id]

    def _make(self, value: Any, id: str, waiting: tuple[str, ...]) -> Any:
        if isinstance(value, str):
            return self._text(_normal(value), waiting)
        if isinstance(value, list):
            contents = [(each, self._made_of(each, f"{id}::{i}", waiting)) for i, each in enumerate(value)]
            return [content for each, content in contents if not (_is_component(each) and content is None)]
        if not isinstance(value, dict):
            return value
        if _is_component(value):
            _check(value)
        made = {key: self._made_of(each, f"{id}::{key}", waiting) for key, each in value.items()}
        made = {key: each for key, each in made.items() if not (_is_component(value[key]) and each is None)}
        return _component(made) if _is_component(value) else made

    def _text(self, text: str, waiting: tuple[str, ...]) -> Any:
        if text.startswith("%") or re.search("[@%]::", text):
            raise _Foreign
        if text.startswith("$"):
            return self._evaluated(text, waiting)
        return self._content(text[1:], waiting) if REFERENCE.fullmatch(text) else text

    def _evaluated(self, text: str, waiting: tuple[str, ...]) -> Any:
        if IMPORT.match(text):
            raise _Foreign
        found = {reference: self._content(reference[1:], waiting) for reference in REFERENCE.findall(text)}
        for reference in sorted(found, key=len, reverse=True):  # one may begin as another does
            text = text.replace(reference, f"__local_refs[{reference[1:]!r}]")
        code = compile(text[1:], "<string>", "eval")
        names = {name: self._imported(name) for name in _names(code) if name in self._imports or name in GLOBALS}
        return eval(code, {"__local_refs": {key[1:]: value for key, value in found.items()}, **names})

    @cached_property
    def _imports(self) -> dict[str, tuple[str, str]]:
        """Names that the config's import statements give: name -> its module, and what of it ("": the module)."""
        found = {}
        for text in _texts(self.raw):
            statement = ast.parse(text[1:].strip()).body[0] if IMPORT.match(text) else None
            if isinstance(statement, ast.Import | ast.ImportFrom):
                alias, source = statement.names[0], getattr(statement, "module", None)
                found[alias.asname or alias.name] = (source, alias.name) if source else (alias.name, "")
        return found

    def _imported(self, name: str) -> Any:
        module, what = self._imports.get(name) or (GLOBALS[name], "")
        try:
            found = import_module(_ours(module))
            return getattr(found, what) if what else found
        except (ImportError, AttributeError) as error:
            raise _Foreign from error


def load(files: Sequence[str | Path]) -> dict[str, Any]:
    """Read config files as `ConfigParser.load_config_files` does, later ones laid over the first.

    Raises:
        OSError, ValueError, yaml.YAMLError: a file that is none, or holds no settings.
    """
    contents = [_load(Path(file)) for file in files]
    if len(contents) == 1 and not any(MERGED.match(str(key)) for key in contents[0]):
        return contents[0]
    from monai.bundle import ConfigParser

    return ConfigParser.load_config_files([str(file) for file in files])


def at(config: Any, id: str) -> Any:
    """What stands in ``config`` at ``id``: "network_def#estimator", "handlers#0"; raise KeyError if nothing does."""
    for name in _normal(id).split("::"):
        if isinstance(config, Mapping) and name in config:
            config = config[name]
        elif isinstance(config, list) and name.isdecimal() and int(name) < len(config):
            config = config[int(name)]
        else:
            raise KeyError(id)
    return config


def put(config: dict[str, Any], id: str, value: Any) -> None:
    """Set what stands at ``id``; raise KeyError if what it belongs to is not there."""
    parent, _, name = _normal(id).rpartition("::")
    place: Any = at(config, parent) if parent else config
    place[int(name) if isinstance(place, list) else name] = value


def _load(file: Path) -> dict[str, Any]:
    with file.open(encoding="utf-8") as stream:
        is_json = file.suffix.lower() == ".json"
        content = json.load(stream) if is_json else yaml.load(stream, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    if not isinstance(content, dict):
        raise ValueError(f"holds a {type(content).__name__}, not settings")
    return content


def _check(component: Mapping[str, Any]) -> None:
    """Leave a component to MONAI that is made in another way than by calling what its ``_target_`` names."""
    target = component["_target_"]
    if component.get("_mode_", "default") != "default" or (isinstance(target, str) and not re.search(r"[$@.]", target)):
        raise _Foreign


def _component(made: dict[str, Any]) -> Any:
    """Make the component of these contents; None if it is disabled."""
    target, disabled = made["_target_"], made.get("_disabled_", False)
    if disabled.strip().lower() == "true" if isinstance(disabled, str) else disabled:
        return None
    found = located(target) if isinstance(target, str) else target
    if not callable(found):
        raise _Foreign
    return found(**{key: value for key, value in made.items() if key not in NO_ARGUMENTS})


def located(target: str) -> Any:
    """The class or function that a dotted name leads to; None if there is none."""
    return locate(_ours(target))


def _ours(name: str) -> str:
    """A dotted name as it is here: this library has another name installed than in the repository."""
    first, dot, rest = name.partition(".")
    return f"{__package__}{dot}{rest}" if first in LIBRARIES else name


def _is_component(value: Any) -> bool:
    return isinstance(value, Mapping) and "_target_" in value


def _normal(id: str) -> str:
    return str(id).replace("#", "::")


def _names(code: CodeType) -> Iterator[str]:
    """The names that an expression looks up, those inside of its comprehensions included."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _texts(config: Any) -> Iterator[str]:
    if isinstance(config, str):
        yield config
    elif isinstance(config, (dict, list)):
        for value in config.values() if isinstance(config, dict) else config:
            yield from _texts(value)

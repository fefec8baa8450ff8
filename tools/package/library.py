"""The part of the library that a packaged bundle carries with it, under a name that its content gives it."""

from __future__ import annotations

import ast
import hashlib
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import common
from common.errors import InputError

NAME = common.__name__  # `warpsure` where it is installed
SOURCE = Path(common.__file__).parent
ALWAYS = ("bundle", "registration")  # what configs call, and what registers two files without the repository
HEAD = """\
# Copyright (c) The Warpsure developers
# Licensed under the Apache License, Version 2.0: http://www.apache.org/licenses/LICENSE-2.0
# See LICENSE in the bundle's folder.
#
"""  # of every file, since the Model Zoo and whoever copies one file ask for it
PROGRAM = re.compile(r"(`+)warpsure [a-z][^`]*\1|\((warpsure [a-z][\w. ]*)\)")


def of_the_repository(text: str) -> str:
    """``text`` with every program named as one of the repository, since a package has none."""

    def add(match: re.Match[str]) -> str:
        where = "of the Warpsure repository"
        return f"({match[2]}, {where})" if match[2] else f"{match[0]} {where}"

    return PROGRAM.sub(add, text)


@dataclass(frozen=True)
class Library:
    """Modules of ``common``, to be a package of another name at a bundle's top.

    Attributes:
        files: path within the package -> source.
    """

    files: dict[str, str]

    @cached_property
    def name(self) -> str:
        """``warpsure_`` and a hash of the content: two versions never share a name in one process."""
        digest = hashlib.sha256()
        for path, text in sorted(self.files.items()):
            digest.update(f"{path}\0{text}\0".encode())
        return f"warpsure_{digest.hexdigest()[:10]}"

    @cached_property
    def requires(self) -> set[str]:
        """The top-level modules that it imports and that Python does not bring."""
        names = {name.split(".")[0] for text in self.files.values() for name in _absolute_imports(ast.parse(text))}
        return names - set(sys.stdlib_module_names)


def library_of(targets: Iterable[str], source: Path = SOURCE) -> Library:
    """The modules that ``targets`` ("common.networks.VoxelMorph") and what configs call can come to import.

    Imports inside of functions and tables of ``lazy.attributes`` count.
    """
    modules = _modules(source)
    waiting = [_module_of(target.split(".")[1:], modules) for target in targets]
    waiting += [name for name in modules if name.split(".")[0] in ALWAYS]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        waiting += [*_imports(name, modules), *([name.rpartition(".")[0]] if name else [])]
    paths = {modules[name].relative_to(source).as_posix(): modules[name] for name in found}
    return Library({path: HEAD + of_the_repository(file.read_text("utf-8")) for path, file in sorted(paths.items())})


def _modules(source: Path) -> dict[str, Path]:
    """Every module below ``source``: dotted name, "" for the package itself -> file."""
    files = {file.relative_to(source).with_suffix("").parts: file for file in source.rglob("*.py")}
    return {".".join(parts[: -(parts[-1] == "__init__")] if parts[-1] == "__init__" else parts): file
            for parts, file in files.items()}  # fmt: skip


def _module_of(names: list[str], modules: dict[str, Path]) -> str:
    """The module that a dotted name lies in: the longest beginning that is one."""
    while ".".join(names) not in modules:
        names = names[:-1]
    return ".".join(names)


def _imports(name: str, modules: dict[str, Path]) -> Iterator[str]:
    """The modules of the library that the module ``name`` imports, at any time."""
    file = modules[name]
    here = name.split(".") if name else []
    package = here if file.name == "__init__.py" else here[:-1]
    tree = ast.parse(file.read_text("utf-8"))
    if any(_is_of(each, NAME) for each in _absolute_imports(tree)):
        raise InputError(f"{file}: imports {NAME} by its name, so it cannot be vendored; import it relatively.")
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1] + (node.module or "").split(".") * bool(node.module)
            yield from (_module_of([*base, *alias.name.split(".")], modules) for alias in node.names)
    if any(isinstance(node, ast.ImportFrom) and node.module == "lazy" for node in ast.walk(tree)):
        constants = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        yield from (m for m in modules if m.rpartition(".")[::2] in {(".".join(package), str(c)) for c in constants})


def _absolute_imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""


def _is_of(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")

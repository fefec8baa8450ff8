"""``warpsure`` where a checkout is installed: another name of ``common``, and ``warpsure.tools`` of ``tools``.

Each module is there once, under both names. A wheel has a package ``warpsure`` instead.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class _SameModule(MetaPathFinder, Loader):
    """Import ``warpsure.X`` as ``common.X``, and ``warpsure.tools.X`` as ``tools.X``."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname.startswith("warpsure.") else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        inner = spec.name.removeprefix("warpsure.")
        module = import_module(inner if inner.split(".")[0] == "tools" else f"common.{inner}")
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = module.__spec__.loader_state  # importing has put that of the other name there


sys.meta_path.insert(0, _SameModule())
sys.modules[__name__] = import_module("common")

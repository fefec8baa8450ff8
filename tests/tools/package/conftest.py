"""Freshly made packages, and processes that know nothing of the repository."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from common.collection.receive import unpack
from tools.package.contents import Package, make
from tools.package.writing import write

Isolated = Callable[..., subprocess.CompletedProcess]
BLOCKER = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("common", "tools"):
            raise ImportError(f"{name}: the repository has leaked")

sys.meta_path.insert(0, Refuse())
"""


@pytest.fixture(scope="session")
def packages() -> dict[str, Package]:
    """A package in 2D and one in 3D with labels, in memory, by the bundle's name."""
    return {name: make(name) for name in ("vxm_hetero", "vxm_predictive")}


@pytest.fixture(scope="session")
def zips(packages: dict[str, Package], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same as files."""
    folder = tmp_path_factory.mktemp("zips")
    return {name: write(package, folder)[0] for name, package in packages.items()}


@pytest.fixture(scope="session")
def unpacked(zips: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same as folders, beside each other."""
    folder = tmp_path_factory.mktemp("unpacked")
    return {name: unpack(path, folder) for name, path in zips.items()}


@pytest.fixture(scope="session")
def isolated(tmp_path_factory: pytest.TempPathFactory) -> Isolated:
    """``isolated(arguments, cwd)``: Python, with neither the repository nor an installed copy of it to import."""
    blocker = tmp_path_factory.mktemp("blocker")
    (blocker / "sitecustomize.py").write_text(BLOCKER)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    settings = {"PYTHONPATH": str(blocker), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    environment = kept | settings | {"CUDA_VISIBLE_DEVICES": ""}

    def run(arguments: Sequence[object], cwd: Path) -> subprocess.CompletedProcess:
        command = [sys.executable, "-W", "ignore", *map(str, arguments)]
        return subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False
        )

    return run

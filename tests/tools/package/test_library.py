"""The library of a package: what is taken along, and its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import InputError
from tools.package.library import SOURCE, library_of, of_the_repository

FILES = {
    "__init__.py": "",
    "lazy.py": "def attributes(package, where): ...",
    "bundle.py": "from .errors import say",
    "errors.py": "def say(): ...",
    "unused.py": "",
    "networks/__init__.py": "from .unet import UNet\n__all__ = ['UNet']",
    "networks/unet.py": "def late():\n    from ..spatial import warp\n    import scipy.ndimage",
    "spatial.py": "from torch import nn\nfrom . import labels",
    "labels.py": "import os",
    "data/__init__.py": "from ..lazy import attributes\n__getattr__ = attributes(__name__, {'Pairs': 'pairs'})",
    "data/pairs.py": "from .deep.inner import thing",
    "data/deep/__init__.py": "from ..beside import x",
    "data/deep/inner.py": "",
    "data/beside.py": "",
    "data/unasked.py": "",
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A library in small."""
    for name, text in FILES.items():
        path = tmp_path / "common" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "common"


def test_what_can_be_reached_is_taken_and_nothing_else(source: Path) -> None:
    network = library_of(["common.networks.UNet"], source)
    reached = {"__init__.py", "bundle.py", "errors.py", "networks/__init__.py", "networks/unet.py"}
    assert set(network.files) == reached | {"spatial.py", "labels.py"}
    assert network.requires == {"torch", "scipy"}


def test_a_table_of_lazy_attributes_counts_as_imports(source: Path) -> None:
    files = set(library_of(["common.data.Pairs"], source).files)
    assert {"data/pairs.py", "data/deep/__init__.py", "data/deep/inner.py", "data/beside.py", "lazy.py"} <= files
    assert not {"data/unasked.py", "unused.py", "spatial.py"} & files


def test_the_name_is_one_of_the_content(source: Path) -> None:
    first = library_of(["common.networks.UNet"], source).name
    assert library_of(["common.networks.UNet"], source).name == first != library_of(["common.data.Pairs"], source).name
    (source / "unused.py").write_text("changed = 1")
    assert library_of(["common.networks.UNet"], source).name == first
    (source / "labels.py").write_text("changed = 1")
    assert library_of(["common.networks.UNet"], source).name != first
    assert first.isidentifier() and len(first) == len("warpsure_") + 10


def test_an_absolute_import_of_the_library_is_refused(source: Path) -> None:
    (source / "labels.py").write_text("import common.spatial")
    with pytest.raises(InputError, match="labels.py: imports common by its name"):
        library_of(["common.networks.UNet"], source)


def test_the_library_of_a_bundle_holds_what_its_configs_call() -> None:
    files = library_of(["common.networks.RegistrationNetwork", "common.data.PairLoader"], SOURCE).files
    assert {"bundle.py", "overrides.py", "networks/voxelmorph.py", "data/loader.py", "spatial.py"} <= set(files)
    assert all((SOURCE / path).is_file() for path in files)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("make one with `warpsure prepare`.", "make one with `warpsure prepare` of the Warpsure repository."),
        ("as ``warpsure prepare msd`` does", "as ``warpsure prepare msd`` of the Warpsure repository does"),
        ("(warpsure prepare), or", "(warpsure prepare, of the Warpsure repository), or"),
        ("(warpsure_0 `warpsure_0.spatial`)", "(warpsure_0 `warpsure_0.spatial`)"),
    ],
)
def test_programs_are_said_to_be_of_the_repository(text: str, said: str) -> None:
    assert of_the_repository(text) == said

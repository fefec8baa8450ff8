"""A package in small, and spoilt in ways."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

from tools.package.archive import zipped
from tools.package.contents import with_sums

FILES = {"configs/train.json": b"{}", "docs/README.md": b"# x\n", "models/model.pt": bytes(range(256)) * 40}
Edit = Callable[[zipfile.ZipFile], None]


def package(path: Path, edit: Edit | None = None, **changed: bytes) -> Path:
    """A package in small, ``changed`` after its hashes were listed, with what ``edit`` adds to its zip."""
    path.write_bytes(zipped("toy", with_sums(FILES) | changed))
    if edit:
        with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as archive:
            warnings.simplefilter("ignore", UserWarning)  # of names that stand in it twice
            edit(archive)
    return path

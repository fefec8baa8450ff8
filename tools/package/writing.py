"""Packages as files, and whether those that there are are whole."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from common.collection.receive import unpack, verify_folder
from common.errors import InputError
from common.files import file_hash, write_bytes

from ..render import bundle_names
from .archive import zipped
from .contents import Package, make
from .huggingface import repository, write_folder


def write_all(names: Sequence[str], output: Path, url: str | None, huggingface: bool) -> None:
    """Write the packages of these bundles, or of ``all``, and say what was written.

    Raises:
        InputError: as `write`, and for a bundle that cannot be packed; nothing is written then.
    """
    chosen = bundle_names() if list(names) == ["all"] else list(dict.fromkeys(names))
    for package in [make(name, url) for name in chosen]:
        for path in write(package, output, huggingface):
            print(f"{path}: {f'SHA-256 {file_hash(path)}' if path.is_file() else 'written'}")


def write(package: Package, output: Path, huggingface: bool = False) -> list[Path]:
    """Write a package's zip, its large files beside it, and its model repository; return what was written.

    Raises:
        InputError: a file cannot be written, or the model repository exists already.
    """
    repositories = output / "huggingface" / package.name
    if huggingface and repositories.exists():
        raise InputError(f"{repositories}: exists already; remove it, or choose another output")
    prefix = f"{package.name}_v{package.version}"
    files = {f"{prefix}_{Path(path).name}": content for path, content in package.large.items()}
    files[f"{prefix}.zip"] = zipped(package.name, package.files)
    for name, content in files.items():
        write_bytes(output / name, content)
    written = [output / name for name in files]
    if huggingface:
        write_folder(repository(package), repositories)
        written.append(repositories)
    return written


def verify(path: Path, sha256: str | None = None) -> None:
    """Check a zip or a folder, and say that it is whole; raise InputError with what is wrong."""
    if sha256 and (path.is_dir() or file_hash(path) != sha256.lower()):
        raise InputError(f"{path}: not the file with SHA-256 {sha256}; fetch it again")
    if path.is_dir():
        verify_folder(path)
    elif path.is_file():
        with tempfile.TemporaryDirectory() as scratch:
            unpack(path, scratch)
    else:
        raise InputError(f"{path}: no such file or folder")
    print(f"{path}: whole, every file as its list says")

"""Package bundles: ``python -m tools.package vxm_hetero --output DIR``, or ``all``; or check one: ``verify FILE``.

A package is one zip, the same byte for byte each time, that needs nothing of the repository: MONAI's commands, MONAI
Label and the checks of the Model Zoo run it from any working directory. --huggingface writes a model repository beside
it, ready to be pushed. ``verify`` takes a zip or an unpacked folder and runs nothing of it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from common.collection.receive import unpack, verify_folder
from common.errors import InputError, say_in_one_line
from common.files import file_hash, write_bytes
from tools.render import bundle_names

from .archive import zipped
from .contents import MEGABYTES, Package, make
from .huggingface import repository, write_folder


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


def verify(path: Path) -> None:
    """Check a zip or a folder; raise InputError with what is wrong."""
    if path.is_dir():
        verify_folder(path)
    elif path.is_file():
        with tempfile.TemporaryDirectory() as scratch:
            unpack(path, scratch)
    else:
        raise InputError(f"{path}: no such file or folder")


def parser() -> argparse.ArgumentParser:
    """Return the command line's description."""
    about, _, more = __doc__.partition("\n\n")
    described = argparse.ArgumentParser(prog="python -m tools.package", description=about, epilog=more)
    described.add_argument("names", nargs="+", metavar="NAME", help="bundles, or all; or `verify` and what to check")
    described.add_argument("--output", type=Path, metavar="DIR", help="the folder that packages are written to")
    described.add_argument("--url", help=f"the folder on the web that files above {MEGABYTES} MB are fetched from")
    described.add_argument("--huggingface", action="store_true", help="also write DIR/huggingface/NAME, to be pushed")
    described.add_argument("--sha256", help="verify: the hash that the zip was published with")
    return described


def main(arguments: list[str] | None = None) -> None:
    """Package, or verify, from the command line."""
    say_in_one_line()
    options = parser().parse_args(arguments)
    if options.names[0] == "verify":
        return check(options)
    if options.output is None:
        raise InputError("--output is missing: give the folder that packages are written to")
    names = bundle_names() if options.names == ["all"] else list(dict.fromkeys(options.names))
    for package in [make(name, options.url) for name in names]:
        for path in write(package, options.output, options.huggingface):
            print(f"{path}: {f'SHA-256 {file_hash(path)}' if path.is_file() else 'written'}")


def check(options: argparse.Namespace) -> None:
    """Verify what the command line names."""
    if len(options.names) == 1:
        raise InputError("verify: give the zip or the folder to check")
    for path in map(Path, options.names[1:]):
        if options.sha256 and (path.is_dir() or file_hash(path) != options.sha256.lower()):
            raise InputError(f"{path}: not the file with SHA-256 {options.sha256}; fetch it again")
        verify(path)
        print(f"{path}: whole, every file as its list says")


if __name__ == "__main__":
    sys.exit(main())

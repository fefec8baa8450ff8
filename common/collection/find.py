"""Where a bundle lies that a person names; a package is unpacked in a cache, and checked each time that it is used."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from ..errors import InputError
from ..files import file_hash
from .receive import SUMS, sums_of, unpack, verify_folder

INSTALLED = Path(__file__).resolve().parents[1] / "bundles"
BUNDLES = INSTALLED if INSTALLED.is_dir() else INSTALLED.parents[1] / "bundles"
"""Those that come with the library: within it where it is installed, beside it in the repository."""


def find_bundle(name_or_zip_or_folder: str | Path) -> Path:
    """The folder of a bundle: one of the repository by its name, a folder as it is, a package unpacked in the cache.

    Raises:
        InputError: none of these, or a package that is refused.
    """
    given = Path(name_or_zip_or_folder)
    if (given / "configs").is_dir():
        return given
    if given.is_file():
        return _from_cache(given)
    if given.name == str(given) and (BUNDLES / given / "configs").is_dir():
        return BUNDLES / given
    raise InputError(f"{given}: no bundle; give the name of one in bundles/, its folder, or a package (.zip)")


def need_repository(program: str) -> None:
    """Raise InputError for a program that changes the repository, where the library is installed without it."""
    if BUNDLES == INSTALLED:
        raise InputError(f"{program}: changes the repository's bundles, which an installed Warpsure has not; clone it.")


def cache_folder() -> Path:
    """Where packages are unpacked that are used as files."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "warpsure" / "packages"


def _from_cache(archive: Path) -> Path:
    """The package unpacked in a folder of its hash, anew if what lies there is not what is in the zip."""
    into = _own(cache_folder()) / file_hash(archive)[:16]
    there = [*into.glob("[!.]*")]
    if len(there) == 1:
        try:
            return _verify_cached(archive, there[0])
        except (InputError, OSError):
            pass
    if there:
        shutil.rmtree(into)
    try:
        return unpack(archive, into)
    except InputError:
        there = [*into.glob("[!.]*")]
        if len(there) != 1:
            raise
        return _verify_cached(archive, there[0])  # another process was faster


def _verify_cached(archive: Path, folder: Path) -> Path:
    """Check that ``folder`` is what ``archive`` holds: a list of hashes that lies in the folder could be anyone's."""
    if folder.is_symlink():
        raise InputError(f"{folder}: a link, which a package never holds; remove it")
    for compiled in [*folder.rglob("__pycache__")]:  # of its earlier use, or of whoever put it there
        shutil.rmtree(compiled)
    verify_folder(folder)
    if sums_of(archive, folder.name) != (folder / SUMS).read_bytes():
        raise InputError(f"{folder}: another package than {archive}; remove it")
    return folder


def _own(folder: Path) -> Path:
    """``folder``, made if need be; raise InputError if others could change what lies in it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror}); set XDG_CACHE_HOME to another") from error
    if os.name == "posix" and (found.st_uid != os.getuid() or found.st_mode & stat.S_IWOTH):
        raise InputError(f"{folder}: others can write to it; set XDG_CACHE_HOME to a folder of your own")
    return folder

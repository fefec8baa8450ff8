"""Where a bundle lies that a person names; a package is unpacked in a cache, and checked each time that it is used."""

from __future__ import annotations

import json
import os
import shutil
import stat
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import InputError
from ..files import file_hash
from .receive import SUMS, sums_of, unpack, verify_folder

INSTALLED = Path(__file__).resolve().parents[1] / "bundles"
BUNDLES = INSTALLED if INSTALLED.is_dir() else INSTALLED.parents[1] / "bundles"
"""Those that come with the library: within it where it is installed, beside it in the repository."""


RECORD = "bundle.json"
"""What a training writes beside its weights: which bundle it is of, and the network."""


class Found(NamedTuple):
    """A bundle, or a run of its training.

    Attributes:
        folder: of the bundle.
        checkpoint: the run's weights; None for those of the bundle.
        network: what the run's network is made of, as a config has it; None for the bundle's.
    """

    folder: Path
    checkpoint: Path | None = None
    network: dict[str, Any] | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """What the run puts in the place of the bundle's inference config."""
        own = {"checkpoint": self.checkpoint and str(self.checkpoint), "network_def": self.network}
        return {key: value for key, value in own.items() if value is not None}


def find_bundle(given: str | Path | Found) -> Found:
    """Find a bundle by its name, its folder, its package (unpacked in the cache), or a run of its training.

    A name is looked for in ``bundles`` where the program is run, then among those that come with the library.

    Raises:
        InputError: none of these, or a package that is refused.
    """
    if isinstance(given, Found):
        return given
    path = Path(given)
    if _is_bundle(path):
        return Found(path)
    for run in (path, path / "train"):  # a training's own folder, or that of a training and its evaluation
        if (run / RECORD).is_file():
            return _of_run(run)
    if path.name == str(path) and (folder := _named(path.name)):
        return Found(folder)
    if path.is_file():
        return Found(_from_cache(path))
    raise InputError(f"{path}: {_missing(path)}")


def places() -> list[Path]:
    """The folders that bundles are looked for in by name."""
    return list(dict.fromkeys([Path.cwd() / "bundles", BUNDLES]))


def names() -> list[str]:
    """The bundles that can be given by name."""
    return sorted({path.name for place in places() for path in place.glob("*") if _is_bundle(path)})


def need_repository(program: str) -> None:
    """Raise InputError for a program that changes the repository, where the library is installed without it."""
    if BUNDLES == INSTALLED:
        raise InputError(f"{program}: changes the repository, which is not where Warpsure is installed; clone it.")


def _is_bundle(folder: Path) -> bool:
    return (folder / "configs").is_dir()


def _named(name: str) -> Path | None:
    return next((place / name for place in places() if _is_bundle(place / name)), None)


def _missing(path: Path) -> str:
    """Why there is no bundle at ``path``, and the way out."""
    if path.is_dir():
        return (
            f"neither a bundle (no configs in it) nor a run of one's training (no {RECORD}); for a run of version 0.2 "
            "give its bundle and --override checkpoint=RUN/model.pt."
        )
    near = get_close_matches(path.name, names(), n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    looked = " and ".join(map(str, places()))
    return f"no bundle, run or package; {hint}Names were looked for in {looked}."


def _of_run(run: Path) -> Found:
    """The bundle that a run says it is of, where it was or else by its name, and what the run made of it.

    Raises:
        InputError: for a run without weights, or whose bundle is not there.
    """
    record = run / RECORD
    try:
        content = json.loads(record.read_text("utf-8"))
        was, network = Path(content["folder"]), content["network_def"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{record}: cannot be read ({error}); give the bundle and --override checkpoint=..."
        ) from error
    folder = was if _is_bundle(was) else _named(was.name)
    if folder is None:
        raise InputError(f"{record}: its bundle {was.name} is neither at {was} nor in {places()[0]}; bring it there.")
    if not (run / "model.pt").is_file():
        raise InputError(f"{run}: has no model.pt, which a training's first validation writes; train it further.")
    return Found(folder, run / "model.pt", network)


def cache_folder() -> Path:
    """Where packages are unpacked that are used as files."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "warpsure" / "packages"


def _from_cache(archive: Path) -> Path:
    """The package unpacked in a folder of its hash, anew if what lies there is not what is in the zip."""
    into = _own(cache_folder()) / file_hash(archive)[:16]
    if into.is_symlink():
        raise InputError(f"{into}: a link, which the cache never holds; remove it")
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
    if os.name == "posix" and (found.st_uid != os.getuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
        raise InputError(f"{folder}: others can write to it; set XDG_CACHE_HOME to a folder of your own")
    return folder

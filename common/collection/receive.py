"""Take in a package from elsewhere: nothing of it is opened or run before its names, sizes and hashes are checked.

The hashes show that a package is whole and as its maker packed it, not who its maker is: they come with it. A bundle's
configs are code; use only packages whose source you trust, and compare their SHA-256 with the one published.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from ..errors import InputError
from ..files import file_hash, remove_leftovers

SUMS = "SHA256SUMS"
MOST_FILES, MOST_BYTES = 2000, 2**30  # of a package, unpacked
MOST_SUMS = 2**20  # bytes
CHUNK = 2**20
PART = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._-]*")  # of a name: the same on every file system, and read as it is
LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")
MADE_BY_USE = ("data", "eval", "runs")  # folders of a bundle that its own runs write to
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 0x1
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


def unpack(archive: str | Path, into: str | Path) -> Path:
    """Check a package and unpack it; return the bundle's folder in ``into``.

    Raises:
        InputError: not a package, one that is damaged or would write elsewhere, or a folder that is there already.
    """
    archive, into = Path(archive), Path(into)
    try:
        into.mkdir(parents=True, exist_ok=True)
        remove_leftovers(into)
        with tempfile.TemporaryDirectory(prefix=".", suffix=f".{os.getpid()}.tmp", dir=into) as temporary:
            with zipfile.ZipFile(archive) as opened:
                top = _extract_all(archive, opened, Path(temporary) / "bundle")
            target = into / top
            if target.exists():
                raise InputError(f"{target}: exists already; remove it, or choose another folder")
            os.replace(Path(temporary) / "bundle", target)
    except InputError:
        raise
    except BROKEN as error:
        raise InputError(f"{archive}: not a whole zip file ({error}); fetch it again") from error
    except OSError as error:
        raise InputError(f"{archive}: cannot be unpacked into {into} ({error.strerror or error})") from error
    return target


def verify_folder(folder: str | Path) -> Path:
    """Check an unpacked package: every file is in SHA256SUMS, and as it says; return the folder.

    What a bundle's own runs wrote to data/, eval/ and runs/ is passed over. Compiled code is not: Python would run it.

    Raises:
        InputError: naming the first file that is missing, changed or not listed.
    """
    folder = Path(folder)
    if not (folder / SUMS).is_file() or (folder / SUMS).stat().st_size > MOST_SUMS:
        raise InputError(f"{folder}: no package: {SUMS} is missing; see `warpsure package`")
    sums, found = _listed(folder, (folder / SUMS).read_bytes()), set()
    for parent, folders, names in os.walk(folder):
        here = Path(parent)
        if here == folder:
            folders[:] = [name for name in folders if name not in MADE_BY_USE]
        for path in (here / name for name in (*folders, *names)):
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise InputError(f"{path}: a link or special file, which a package never holds; remove it")
        found |= {(here / name).relative_to(folder).as_posix() for name in names}
    _same_names(folder, found - {SUMS}, set(sums))
    for name, digest in sums.items():
        if file_hash(folder / name) != digest:
            raise InputError(f"{folder / name}: not as {SUMS} says; fetch the package again")
    return folder


def sums_of(archive: Path, folder: str) -> bytes:
    """Read the list of hashes that a package holds, of the bundle's ``folder`` in it.

    Raises:
        InputError: not a whole zip file, or one without that list.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            return _read(archive, opened, opened.getinfo(f"{folder}/{SUMS}"), MOST_SUMS)
    except (KeyError, *BROKEN) as error:
        raise InputError(f"{archive}: not a whole zip file ({error}); fetch it again") from error


def _extract_all(archive: Path, opened: zipfile.ZipFile, folder: Path) -> str:
    """Check everything and write it into ``folder``; return the name of the folder in the zip."""
    top, entries = _entries(archive, opened)
    sums = _listed(archive, _read(archive, opened, entries[SUMS], MOST_SUMS))
    _same_names(archive, set(entries) - {SUMS}, set(sums))
    for path, entry in entries.items():
        _extract(archive, opened, entry, folder / path, sums.get(path))
    return top


def _entries(archive: Path, opened: zipfile.ZipFile) -> tuple[str, dict[str, zipfile.ZipInfo]]:
    """The one folder in a zip, and its files: path within the folder -> entry; all names and sizes are checked."""
    listed = opened.infolist()
    if len(listed) > MOST_FILES:
        raise InputError(f"{archive}: {len(listed)} files, more than the {MOST_FILES} that a package may have")
    if sum(entry.file_size for entry in listed) > MOST_BYTES:
        raise InputError(f"{archive}: more than {MOST_BYTES / 2**30:g} GiB when unpacked, so it is refused")
    for entry in listed:
        _check(archive, entry)
    names = [entry.filename for entry in listed]
    folded = [name.casefold() for name in names]
    twice = next((name for name, low in zip(names, folded) if folded.count(low) > 1), None)
    if twice:
        raise InputError(f"{archive}: {twice!r} stands in it twice, so it is refused")
    tops = {PurePosixPath(name).parts[0] for name in names}
    if len(tops) != 1 or any("/" not in name for name in names):
        raise InputError(f"{archive}: no package: its files do not lie in one folder")
    top = tops.pop()
    entries = {entry.filename.removeprefix(f"{top}/"): entry for entry in listed}
    if SUMS not in entries:
        raise InputError(f"{archive}: no package: {top}/{SUMS} is missing")
    return top, entries


def _check(archive: Path, entry: zipfile.ZipInfo) -> None:
    """Refuse an entry that is not a plain file below the zip's own folder."""
    name, kind = entry.orig_filename, stat.S_IFMT(entry.external_attr >> 16)
    wrong = None
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        wrong = "an absolute name"
    elif "\\" in name or any(ord(letter) < 32 or ord(letter) == 127 for letter in name):
        wrong = "a name with a backslash or a control character"
    elif name.endswith("/"):
        wrong = "an entry for a folder, which a package does not have"
    elif any(part in ("", ".", "..") or part != part.rstrip(". ") for part in name.split("/")):
        wrong = "a name that leads elsewhere"
    elif not all(PART.fullmatch(part) for part in name.split("/")) or name.startswith("."):
        wrong = "a name of other than letters, digits, dots, - and _"
    elif kind not in (0, stat.S_IFREG):
        wrong = "a link or special file"
    elif entry.flag_bits & ENCRYPTED or entry.compress_type not in METHODS:
        wrong = "encrypted, or packed in an unusual way"
    if wrong:
        raise InputError(f"{archive}: {name!r} is {wrong}, so the package is refused")


def _listed(source: Path, content: bytes) -> dict[str, str]:
    """SHA256SUMS as path -> hash."""
    matches = [LINE.fullmatch(line) for line in content.decode("utf-8", "replace").splitlines()]
    sums = {match[2]: match[1] for match in matches if match}
    if None in matches or len(sums) != len(matches) or not sums:
        raise InputError(f"{source}: {SUMS} is not a list of hashes, each of another file; fetch the package again")
    bad = next((p for p in sums if PurePosixPath(p).is_absolute() or ".." in PurePosixPath(p).parts or "\\" in p), None)
    if bad:
        raise InputError(f"{source}: {SUMS} names {bad!r}, which leads elsewhere, so the package is refused")
    return sums


def _same_names(source: Path, found: set[str], listed: set[str]) -> None:
    whats = {f"not listed in {SUMS}": found - listed, f"missing, though {SUMS} lists it": listed - found}
    for what, names in whats.items():
        if names:
            raise InputError(f"{source}: {min(names)!r} is {what}, so the package is refused")


def _read(archive: Path, opened: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> bytes:
    with opened.open(entry) as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise InputError(f"{archive}: {entry.filename!r} is larger than it may be, so the package is refused")
    return content


def _extract(archive: Path, opened: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, digest: str | None) -> None:
    """Write one file; raise InputError if it holds more than it declares, or something else than was listed."""
    found, written = hashlib.sha256(), 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with opened.open(entry) as stream, path.open("xb") as file:
        while part := stream.read(CHUNK):
            written += len(part)
            if written > entry.file_size:
                raise InputError(f"{archive}: {entry.filename!r} holds more than it declares, so it is refused")
            found.update(part)
            file.write(part)
    if digest is not None and found.hexdigest() != digest:
        raise InputError(f"{archive}: {entry.filename!r} is not as {SUMS} says; fetch it again")

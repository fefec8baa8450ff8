"""One training at a time in a folder: the second is refused, and death releases the first's lock."""

from __future__ import annotations

import os
import weakref
from contextlib import suppress
from pathlib import Path

from ..errors import InputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NAME = ".lock"


class FolderLock:
    """A lock that ends with `release`, with this object, or with the process; its file goes with it, if it can."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self.release = weakref.finalize(self, _release, descriptor, path, os.getpid())


def _release(descriptor: int, path: Path, holder: int) -> None:
    if os.getpid() == holder and _is_file_of(descriptor, path):  # and no reader that was forked
        with suppress(OSError):
            path.unlink()
    os.close(descriptor)


def lock_folder(folder: Path) -> FolderLock | None:
    """Lock ``folder`` for this process; None where that cannot be done.

    The lock is the process's own: the readers that it forks do not hold it, and may outlive a killed run by seconds.

    Raises:
        InputError: another process has it.
    """
    if fcntl is None:
        return None
    path = folder / NAME
    while True:
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:  # of a folder that cannot be written, which whoever writes says
            return None
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            holder = os.read(file, 20).decode(errors="replace").strip()
            os.close(file)
            who = f"process {holder}" if holder.isdecimal() else "another process"
            raise InputError(f"{folder}: {who} trains there; stop it, or give another --output_dir.") from error
        except OSError:  # a file system without locks
            return FolderLock(file, path)
        if _is_file_of(file, path):
            break
        os.close(file)  # its holder removed it in between
    os.truncate(file, 0)
    os.write(file, f"{os.getpid()}\n".encode())
    return FolderLock(file, path)


def _is_file_of(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False

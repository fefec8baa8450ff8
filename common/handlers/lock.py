"""One training at a time in a folder: the second is refused, and death releases the first's lock."""

from __future__ import annotations

import os
import weakref
from pathlib import Path

from ..errors import InputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NAME = ".lock"


class FolderLock:
    """A lock that ends with `release`, with this object, or with the process."""

    def __init__(self, descriptor: int) -> None:
        self.release = weakref.finalize(self, os.close, descriptor)


def lock_folder(folder: Path) -> FolderLock | None:
    """Lock ``folder`` for this process; None where that cannot be done.

    The lock is the process's own: the readers that it forks do not hold it, and may outlive a killed run by seconds.

    Raises:
        InputError: another process has it.
    """
    if fcntl is None:
        return None
    try:
        file = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:  # of a folder that cannot be written, which whoever writes says
        return None
    lock = FolderLock(file)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        holder = os.read(file, 20).decode(errors="replace").strip()
        who = f"process {holder}" if holder.isdecimal() else "another process"
        raise InputError(f"{folder}: {who} trains there; stop it, or give another --output_dir.") from error
    except OSError:  # a file system without locks
        return lock
    os.truncate(file, 0)
    os.write(file, f"{os.getpid()}\n".encode())
    return lock

"""What is looked at before a file is read whole: how much memory it asks for, and whether its bytes are intact."""

from __future__ import annotations

import gzip
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError

SHARE = 0.5  # of the machine's memory that the values of one file may take
BYTES = 8  # a value, as it is worked with
CHUNK = 2**22
BEGINNING = 4096
SLACK = 2**20  # bytes after the voxels that a file may have


def check_size(path: str | Path, shape: Sequence[int]) -> None:
    """Refuse an array of ``shape`` that this machine cannot hold, before memory is taken for it.

    Raises:
        InputError: with its size and the limit.
    """
    limit = int(SHARE * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    needed = math.prod(int(n) for n in shape) * BYTES
    if needed > limit:
        raise InputError(
            f"{path}: its header says {' x '.join(map(str, shape))} values, {needed / 2**30:.3g} GB in memory where "
            f"{limit / 2**30:.3g} GB are the limit; is the file damaged? Otherwise crop it, or use a larger machine."
        )


def check_axes(path: Path) -> None:
    """Refuse a MetaImage (.mha, .mhd) whose header says a number of axes that there cannot be, over which ITK stumbles.

    Raises:
        InputError: with that number. OSError: unreadable.
    """
    if path.suffix.lower() not in (".mha", ".mhd"):
        return
    with path.open("rb") as file:
        found = re.search(rb"NDims\s*=\s*([-+\w.]+)", file.read(BEGINNING))
    if found and found.group(1) not in (b"2", b"3", b"4"):
        raise InputError(f"{path}: its header says {found.group(1).decode('latin-1')} axes (NDims); give 2, 3 or 4.")


def check_gzip(path: str | Path, size: int) -> None:
    """Read a .gz file of ``size`` bytes through to its checksum, which a reader of its voxels never reaches.

    Raises:
        InputError: it goes on after what its header says. OSError, EOFError, zlib.error: damaged, or cut.
    """
    if not str(path).lower().endswith(".gz"):
        return
    read = 0
    with gzip.open(path) as file:
        while part := file.read(CHUNK):
            read += len(part)
            if read > size + SLACK:
                raise InputError(f"{path}: holds more than the {size} bytes that its header says; is the file damaged?")

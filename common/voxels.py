"""The voxels of a file, whole or not at all: compressed content is read to its end and its checksum."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from .errors import InputError
from .files import regular_file

DAMAGE = (OSError, EOFError, zlib.error)
"""What decompressing damaged content raises; gzip's own error is an OSError."""
RATIO = 1100  # deflate makes nothing smaller than by 1032
PART = 2**20
MARGIN = 2**24  # what a file may hold behind its voxels, without being suspect


@contextmanager
def opened(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file, decompressing it if its first bytes say so, whatever its name.

    Raises:
        InputError: as `regular_file`, or damaged content that is met within.
    """
    path = regular_file(path)
    with path.open("rb") as plain:
        packed = plain.read(2) == b"\x1f\x8b"
        plain.seek(0)
        try:
            yield cast(BinaryIO, gzip.GzipFile(fileobj=plain)) if packed else plain
        except InputError:
            raise
        except DAMAGE as error:
            raise InputError(f"{path}: cannot be read ({error}); is the file whole? Copy it again.") from error


def read_voxels(path: str | Path, shape: Sequence[int], dtype: np.dtype, offset: int) -> np.ndarray:
    """Read an array of Fortran's order that begins at byte ``offset``; of a plain file it is mapped, not loaded.

    Raises:
        InputError: too short for ``shape``, damaged (a checksum is compared), or far longer than ``shape`` says.
    """
    path = regular_file(path)
    end, size = offset + prod(int(n) for n in shape) * dtype.itemsize, path.stat().st_size
    with opened(path) as file:
        packed = isinstance(file, gzip.GzipFile)
        if end > size * (RATIO if packed else 1):
            raise _short(path, size, end)
        if not packed:
            return np.memmap(path, dtype, "r", offset, tuple(shape), "F")
        content = bytearray(end)
        count = _fill(file, content)
        if count < end:
            raise _short(path, count, end)
        read_out(path, file, end)
    return np.ndarray(tuple(shape), dtype, content, offset, order="F")


def read_out(path: Path, file: BinaryIO, size: int) -> None:
    """Read ``file``, of which ``size`` bytes were needed, to its end, where the checksum is.

    Raises:
        InputError: there is as much again, which is a bomb or another file than its header says.
    """
    rest = 0
    while part := file.read(PART):
        rest += len(part)
        if rest > size + MARGIN:
            raise InputError(f"{path}: unpacks to far more than the {size:,} bytes its header says; check the file.")


def _fill(file: BinaryIO, content: bytearray) -> int:
    count, view = 0, memoryview(content)
    while count < len(content) and (n := cast(int, file.readinto(view[count : count + PART]))):  # type: ignore[attr-defined]
        count += n
    return count


def _short(path: Path, size: int, end: int) -> InputError:
    return InputError(
        f"{path}: cannot be read ({size:,} bytes, too few for the {end:,} its header says); is the file whole?"
    )

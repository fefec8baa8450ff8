"""Files, written whole or not at all."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from math import isfinite, isnan
from pathlib import Path
from typing import Any

from .errors import InputError

LEFTOVER = re.compile(r"\..*\.([1-9][0-9]*)\.tmp")  # of the process of this number


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file under a temporary name and move it into place; raise InputError if that cannot be done."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise InputError(f"{path}: cannot be written ({error.strerror or error}); choose another output") from error


def regular_file(path: str | Path) -> Path:
    """Return ``path``, a file that can be opened and ends: reading a pipe or a device may wait for ever.

    Raises:
        InputError: no such file, a folder, a pipe or device, or no right to read it.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise InputError(f"{path}: cannot be read (a folder); give a file.")
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"{path}: cannot be read (a pipe or a device); give a file.")
        with path.open("rb"):
            return path
    except FileNotFoundError as error:
        raise InputError(f"{path}: cannot be read (no such file); check the name.") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else error
        raise error if isinstance(error, InputError) else InputError(f"{path}: cannot be read ({reason}).") from error


def remove_leftovers(folder: Path) -> None:
    """Remove from ``folder`` what `write_bytes` and `staged` of a killed process have left half-written there."""
    for path in folder.glob(".*.tmp"):
        maker = LEFTOVER.fullmatch(path.name)
        if maker is None or _is_running(int(maker[1])):
            continue
        with suppress(OSError):
            path.unlink() if path.is_symlink() or not path.is_dir() else shutil.rmtree(path)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it is someone else's
        return True
    return True


def file_hash(path: str | Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal.

    Raises:
        InputError: the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with Path(path).open("rb") as file:
            for part in iter(lambda: file.read(2**20), b""):
                digest.update(part)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    return digest.hexdigest()


def write_json(path: Path, content: Any) -> None:
    """Write JSON, atomically; it has no NaN and no infinity: null."""
    write_bytes(path, (json.dumps(nulls(content), indent=1, allow_nan=False) + "\n").encode())


def nulls(content: Any) -> Any:
    """``content`` with None for NaN and infinity, at any depth."""
    if isinstance(content, Mapping):
        return {key: nulls(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [nulls(value) for value in content]
    return None if isinstance(content, float) and not isfinite(content) else content


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Write ``rows``, NaN and what is absent as empty, atomically."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    write_bytes(path, buffer.getvalue().encode())


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return "" if isnan(value) else f"{value:.8g}"
    return "" if value is None else value


def refuse_file(output: Path) -> None:
    """Refuse an output that is no folder, before the work is done.

    Raises:
        InputError: naming it.
    """
    if output.exists() and not output.is_dir():
        raise InputError(f"{output}: is a file; give a folder for the results.")


def refuse_overwriting(outputs: Iterable[str | Path], inputs: Iterable[str | Path | None]) -> None:
    """Refuse to write over an input, be it under another path: a link, symbolic or hard, or another way to spell it.

    Args:
        inputs: files that are read; None are left out.

    Raises:
        InputError: naming the first of ``outputs`` that is one of them.
    """
    read = [Path(each) for each in inputs if each is not None]
    for output in map(Path, outputs):
        for each in read:
            if _is_same(output, each):
                other = "" if output.absolute() == each.absolute() else f" ({each})"
                raise InputError(
                    f"{output}: is an input too{other}, and no input is written over; choose another output "
                    "(--output), or another name for the results (--name) where there is one."
                )


def _is_same(first: Path, second: Path) -> bool:
    if first.resolve() == second.resolve():
        return True
    try:
        return first.samefile(second)
    except OSError:  # one of them is not there
        return False


@contextmanager
def staged(output: Path, inputs: Iterable[str | Path | None] = ()) -> Iterator[Path]:
    """Give a temporary folder whose files move to ``output`` together at the end, and not at all after an error.

    Args:
        inputs: what the files were made of, none of which is written over.

    Raises:
        InputError: the folder cannot be made or written to, or a file of it would replace an input.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        remove_leftovers(output)
        folder = Path(tempfile.mkdtemp(prefix=".", suffix=f".{os.getpid()}.tmp", dir=output))
    except OSError as error:
        raise InputError(f"{output}: cannot be written to ({error.strerror}); choose another output.") from error
    try:
        yield folder
        made = sorted(folder.iterdir())
        refuse_overwriting((output / path.name for path in made), inputs)
        for path in made:
            os.replace(path, output / path.name)
    except OSError as error:
        raise InputError(f"{output}: cannot be written to ({error.strerror}); choose another output.") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)

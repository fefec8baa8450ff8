"""Headers of DICOM files: which are of one series, and one line for whatever is wrong with a file.

Whatever pydicom stumbles over, which in a damaged file can be anything, ends in an `InputError` that names the file.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, simplefilter

import numpy as np

from ..errors import InputError
from .formats import DICOM

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

BOMB_BYTES, BOMB_RATIO = 2**30, 200  # what expands to more than both is refused before memory is taken
DEFLATED, TRANSFER_SYNTAX = b"1.2.840.10008.1.2.1.99", 0x00020010
DIRECTORY = "1.2.840.10008.1.3.10"
LISTED, QUOTED = 8, 120  # series, and characters of a value, in a message


@contextmanager
def quiet_pydicom(path: Path) -> Iterator[ModuleType]:
    """Import pydicom, without its warnings of odd headers; whatever it raises names ``path`` in one line.

    Raises:
        InputError: in place of anything that pydicom raises.
    """
    with catch_warnings():
        simplefilter("ignore")
        import pydicom

        try:
            yield pydicom
        except InputError:
            raise
        except Exception as error:  # damaged bytes make pydicom raise any kind there is
            reason = quoted(str(error)) or type(error).__name__
            raise InputError(f"{path}: cannot be read ({reason}); is the file whole?") from error


def quoted(value: Any) -> str:
    """``value`` of a header for a message: short, and printable whatever bytes it was."""
    values = [value] if isinstance(value, str | int | float) or not isinstance(value, Iterable) else value
    text = " ".join("\\".join(str(v) for v in values).split())
    return "".join(c if c.isprintable() else "?" for c in text)[:QUOTED]


def is_marked(path: Path) -> bool:
    """Tell whether a file begins as DICOM does: with its mark, or, as old files do, with group 8."""
    try:
        with path.open("rb") as file:
            head = file.read(132)
    except OSError:
        return False
    return head[128:] == b"DICM" or (head[:2] == b"\x08\0" and head[3:4] == b"\0")


def read_header(path: Path, pixels: bool = False) -> Dataset:
    """Read a file, by default without its pixels.

    Raises:
        InputError: not a DICOM file, damaged, or one that expands beyond reason.
    """
    with quiet_pydicom(path) as pydicom:
        if not path.is_file() or not is_marked(path):
            raise InputError(f"{path}: cannot be read (no DICOM file); give a DICOM image, or its folder.")
        _refuse_bomb(pydicom, path)
        header: Dataset = pydicom.dcmread(path, stop_before_pixels=not pixels, force=True)
        return header


def _refuse_bomb(pydicom: ModuleType, path: Path) -> None:
    """A deflated file is expanded as a whole by pydicom, whatever its size."""
    with path.open("rb") as file:
        if file.read(132)[128:] != b"DICM":
            return
        elements = pydicom.filereader.data_element_generator(file, False, True, lambda tag, *_: tag.group != 2)
        syntax = {int(element.tag): element.value for element in elements}.get(TRANSFER_SYNTAX) or b""
        if syntax.strip(b" \0") != DEFLATED:
            return
        inflate, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
        while chunk := inflate.unconsumed_tail or file.read(2**16):
            size += len(inflate.decompress(chunk, 2**20))
            refuse_expansion(path, size)


def refuse_expansion(path: Path, size: int) -> None:
    """Raise InputError if ``size``, in bytes, is more than a file of this length can mean."""
    held = path.stat().st_size
    if size > max(BOMB_BYTES, BOMB_RATIO * held):
        raise InputError(
            f"{path}: {held / 1e6:.3g} MB that expand to {size / 1e9:.3g} GB or more, above {BOMB_RATIO} times; "
            "check the file, or convert it to NIfTI."
        )


def series_of(path: Path) -> dict[Path, Dataset]:
    """The headers of the series that a folder holds, or that a file belongs to, by their files in order of name.

    Raises:
        InputError: no series or several in a folder, files that cannot be read.
    """
    if not path.is_dir():
        return _series_of_file(path)
    found: dict[str, dict[Path, Dataset]] = {}
    for file in _candidates(path):
        header = read_header(file)
        if is_image(header, file):
            found.setdefault(_series_uid(header, file), {})[file] = header
    if len(found) != 1:
        raise InputError(f"{path}: {len(found) or 'no'} DICOM series in this folder; {_way_out(path, found)}.")
    return next(iter(found.values()))


def _series_of_file(path: Path) -> dict[Path, Dataset]:
    """With a file named, a neighbour that cannot be read is left aside: it may be of any series, or of none."""
    own = read_header(path)
    if not is_image(own, path):
        raise InputError(f"{path}: {_kind(own)}, not an image; give a file of an image series, or its folder.")
    uid, series = _series_uid(own, path), {path: own}
    for file in _candidates(path.parent):
        try:
            other = own if file.samefile(path) else read_header(file)
            if other is not own and is_image(other, file) and _series_uid(other, file) == uid:
                series[file] = other
        except InputError:
            continue
    return dict(sorted(series.items()))


def _candidates(folder: Path) -> list[Path]:
    files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    return [file for file in files if file.name.lower().endswith(DICOM) or is_marked(file)]


def is_image(header: Dataset, path: Path) -> bool:
    """Tell whether a file holds pixels: neither a report, nor a plan, nor a DICOMDIR.

    Raises:
        InputError: it should, but does not.
    """
    with quiet_pydicom(path):
        if "Rows" in header and "Columns" in header:
            return True
        kind = _kind(header)
        if kind.endswith("Image Storage") or ("SOPClassUID" not in header and kind != "a DICOMDIR"):
            raise InputError(f"{path}: cannot be read ({kind} without an image's size); is the file whole?")
        return False


def _kind(header: Dataset) -> str:
    """What a file is, in DICOM's words."""
    meta = getattr(header, "file_meta", None) or {}
    uid = meta.get("MediaStorageSOPClassUID") or header.get("SOPClassUID") or ""
    if uid == DIRECTORY or "DirectoryRecordSequence" in header:
        return "a DICOMDIR"
    return quoted(str(getattr(uid, "name", uid))) or "a DICOM object of no class"


def class_of(header: Dataset, path: Path) -> str:
    """The name of what a file is, as "Secondary Capture Image Storage"."""
    with quiet_pydicom(path):
        return _kind(header)


def _series_uid(header: Dataset, path: Path) -> str:
    with quiet_pydicom(path):
        return str(header.get("SeriesInstanceUID") or "")


def _way_out(path: Path, found: dict[str, dict[Path, Dataset]]) -> str:
    if not found:
        deeper = next((folder.name for folder in sorted(path.iterdir()) if folder.is_dir()), None)
        return "give a folder that has one" + (f", as one below {deeper}" if deeper else "")
    named = "; ".join(_named(files) for files in list(found.values())[:LISTED])
    rest = f"; and {len(found) - LISTED} others" if len(found) > LISTED else ""
    return f"give a file of the one you mean: {named}{rest}"


def _named(files: dict[Path, Dataset]) -> str:
    first, header = next(iter(files.items()))
    with quiet_pydicom(first):
        about = quoted(header.get("SeriesDescription") or "")
    return f"{first.name} and {len(files) - 1} more" + (f" ({about})" if about else "")


def numbers(value: Any, count: int, name: str, path: Path) -> np.ndarray:
    """``value`` as ``count`` finite numbers; raise InputError, by the attribute's ``name``, if it is none."""
    given = [] if value is None else [value] if isinstance(value, str | int | float) else list(value)
    try:
        array = np.array([float(v) for v in given])
    except (TypeError, ValueError):
        array = np.full(count, np.nan)
    if array.shape != (count,) or not np.isfinite(array).all():
        raise InputError(f"{path}: {name} is {quoted(given) or 'empty'}, not {count} finite numbers; repair it.")
    return array

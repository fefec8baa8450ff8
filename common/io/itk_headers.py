"""Headers of ITK's image files (.mha, .mhd, .nrrd, .nhdr), looked at before ITK is.

ITK takes memory for what a header says, follows the name of a second file wherever it leads, and compares no checksum.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

from ..errors import InputError
from ..files import regular_file
from ..memory import check_size
from ..voxels import MARGIN, PART

META = (".mha", ".mhd")
LONGEST = 2**16  # bytes of a header
SIZES = {  # bytes of a number
    **dict.fromkeys(("met_char", "met_uchar", "char", "signed char", "int8", "int8_t", "uchar", "unsigned char",
                     "uint8", "uint8_t"), 1),
    **dict.fromkeys(("met_short", "met_ushort", "short", "short int", "signed short", "signed short int", "int16",
                     "int16_t", "ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), 2),
    **dict.fromkeys(("met_int", "met_uint", "met_float", "met_long", "met_ulong", "int", "signed int", "int32",
                     "int32_t", "uint", "unsigned int", "uint32", "uint32_t", "float"), 4),
    **dict.fromkeys(("met_long_long", "met_ulong_long", "met_double", "longlong", "long long", "long long int",
                     "signed long long", "signed long long int", "int64", "int64_t", "ulonglong", "unsigned long long",
                     "unsigned long long int", "uint64", "uint64_t", "double"), 8),
}  # fmt: skip
AXES = range(1, 6)  # a 4D image whose voxels are vectors has five in NRRD


@dataclass(frozen=True)
class _Stored:
    """What a header says: ``data`` is None where the voxels follow it, at byte ``offset``."""

    shape: Sequence[int]
    itemsize: int
    packed: bool
    data: str | None
    offset: int
    plain: bool  # the voxels are stored as they are in memory, from the first to the last byte


def check_header(path: Path) -> None:
    """Refuse a file that ITK cannot read whole, or not within the memory that there is.

    Raises:
        InputError: no such file, a header that says nothing possible, too large, too short or damaged.
    """
    with regular_file(path).open("rb") as file:
        start = file.read(LONGEST)
    stored = (_of_meta if path.name.lower().endswith(META) else _of_nrrd)(path, start)
    check_size(path, stored.shape, stored.itemsize)
    data = path if stored.data is None else regular_file(path.parent / stored.data)
    needed = prod(stored.shape) * stored.itemsize
    if stored.packed:
        count = _unpacked(data, stored.offset, needed)
    else:
        count = data.stat().st_size - stored.offset if stored.plain else needed
    if count < needed and stored.plain:
        raise InputError(f"{path}: cannot be read ({count:,} bytes of voxels, {needed:,} needed); is the file whole?")


def _of_meta(path: Path, start: bytes) -> _Stored:
    fields, offset = {}, 0
    for line in start.splitlines(keepends=True):
        key, _, value = line.decode("latin-1").partition("=")
        offset += len(line)
        fields[key.strip().lower()] = value.strip()
        if key.strip().lower() == "elementdatafile":
            break
    else:
        raise _impossible(path, "no ElementDataFile in its header")
    shape = _shape(path, fields.get("ndims", ""), fields.get("dimsize", ""))
    channels = _whole(path, "ElementNumberOfChannels", fields.get("elementnumberofchannels", "1"))
    where = fields["elementdatafile"]
    one = where.lower() == "local"
    several = where.lower().startswith("list") or "%" in where
    packed = fields.get("compresseddata", "").lower().startswith(("t", "1"))
    if packed and one and not fields.get("compresseddatasize", "").strip("0"):  # ITK would give noise for voxels
        raise _impossible(path, "its header does not say the CompressedDataSize")
    return _Stored(
        (*shape, channels), _itemsize(path, fields.get("elementtype", "")), packed and not several,
        None if one or several else where, offset if one else 0,
        not several and fields.get("binarydata", "true").lower().startswith("t") and "headersize" not in fields,
    )  # fmt: skip


def _of_nrrd(path: Path, start: bytes) -> _Stored:
    if not start.startswith(b"NRRD000"):
        raise _impossible(path, "no header of NRRD")
    fields, offset = {}, 0
    for line in start.splitlines(keepends=True):
        offset += len(line)
        if not line.strip():
            break
        key, _, value = line.decode("latin-1").partition(":")
        fields[key.strip().lower()] = value.strip()
    shape = _shape(path, fields.get("dimension", ""), fields.get("sizes", ""))
    where = fields.get("data file", fields.get("datafile"))
    several = where is not None and (where.lower().startswith("list") or "%" in where)
    encoding, skips = fields.get("encoding", "").lower(), _skips(fields)
    return _Stored(
        shape, _itemsize(path, fields.get("type", "")), encoding in ("gz", "gzip") and not several and not skips,
        None if several else where, 0 if where else offset,
        encoding in ("raw", "gz", "gzip") and not several and not skips,
    )  # fmt: skip


def _skips(fields: Mapping[str, str]) -> bool:
    keys = ("line skip", "lineskip", "byte skip", "byteskip")
    return any(fields.get(key, "0") != "0" for key in keys)


def _shape(path: Path, axes: str, sizes: str) -> tuple[int, ...]:
    count = _whole(path, "number of axes", axes)
    shape = tuple(_whole(path, "size", size) for size in sizes.split())
    if count not in AXES or len(shape) != count:
        raise _impossible(path, f"{count} axes with the sizes {list(shape)}")
    return shape


def _whole(path: Path, name: str, text: str) -> int:
    if not text.isdecimal() or not 0 < len(text) < 20 or int(text) == 0:
        raise _impossible(path, f"{name} is {text[:40]!r} in its header")
    return int(text)


def _itemsize(path: Path, kind: str) -> int:
    if (size := SIZES.get(kind.lower().removesuffix("_array"))) is None:
        raise _impossible(path, f"type {kind[:40]!r} in its header is none of numbers")
    return size


def _unpacked(path: Path, offset: int, needed: int) -> int:
    """The bytes that the content from ``offset`` unpacks to; it is read to its checksum, and not kept."""
    count, unpack = 0, zlib.decompressobj(wbits=47)  # of zlib or gzip
    try:
        with path.open("rb") as file:
            file.seek(offset)
            while not unpack.eof and (part := unpack.unconsumed_tail or file.read(PART)):
                count += len(unpack.decompress(part, PART))
                if count > 2 * needed + MARGIN:
                    raise InputError(f"{path}: unpacks to far more than the {needed:,} bytes its header says.")
    except (OSError, zlib.error) as error:
        raise _impossible(path, str(error)) from error
    if not unpack.eof:
        raise _impossible(path, "its compressed voxels break off")
    return count


def _impossible(path: Path, reason: str) -> InputError:
    return InputError(f"{path}: cannot be read ({reason}); is the file whole?")

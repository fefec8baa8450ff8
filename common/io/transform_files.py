"""Transform files before ITK opens them: those of other programs, and a name of ANTs' that ITK does not know."""

from __future__ import annotations

import re
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError

BEGINNING = 4096
OLD_NAME, NAME = b"MatrixOffsetTransformBase_", b"AffineTransform_"  # of the same parameters
OTHERS = {
    ".lta": ("FreeSurfer", "lta_convert --outitk"),
    ".m3z": ("FreeSurfer", "mri_warp_convert --outitk"),
    ".xfm": ("MNI or FreeSurfer", "lta_convert --outitk"),
    ".1d": ("AFNI", "cat_matvec and c3d_affine_tool -oitk"),
    ".x5": ("nitransforms", "its own program"),
    ".dof": ("MIRTK", "mirtk convert-dof -output-format itk"),
}
"""Endings of other programs' transforms: who writes them, and what turns them into ITK's."""


def check_ending(path: Path) -> None:
    """Refuse a transform of another program by the name of that.

    Raises:
        InputError: with the way out.
    """
    if found := OTHERS.get(path.suffix.lower()):
        raise InputError(f"{path}: is a transform of {found[0]}; turn it into one of ITK by {found[1]}.")


def check_kind(path: Path) -> None:
    """Refuse what has an ending of ITK's transforms and is of another program.

    Raises:
        InputError: with the way out. OSError: unreadable.
    """
    with path.open("rb") as file:
        start = file.read(BEGINNING)
    if start.startswith(b"MATLAB"):
        raise InputError(f"{path}: is of MATLAB, as SPM's _sn.mat; give a displacement field, such as SPM's y_ file.")
    if re.match(rb"\s*(//[^\n]*\n\s*)*\(\w+ ", start):
        raise InputError(f"{path}: is a parameter file of elastix; transformix -def all makes it a displacement field.")
    if path.suffix.lower() == ".mat" and b"\0" in start:
        _check_matlab(path.read_bytes())
    words = start.split(None, 16) if b"\0" not in start else []
    if len(words) in (12, 16) and _all_numbers(words):
        raise InputError(
            f"{path}: is a matrix without a frame, as of FSL or NiftyReg; turn it into one of ITK "
            "(c3d_affine_tool -fsl2ras -oitk, or reg_transform)."
        )


def _check_matlab(content: bytes) -> None:
    """Raise OSError if a variable of a MATLAB 4 file is larger than the file: ITK takes memory for what it says."""
    at = 0
    while at < len(content):
        if at + 20 > len(content):
            raise OSError("it ends within a variable")
        _, rows, columns, _, length = struct.unpack_from("<5i", content, at)
        at += 20 + length + 8 * rows * columns
        if min(rows, columns, length) < 0 or at > len(content):
            raise OSError(f"a variable of {rows} x {columns} numbers is longer than the file")


def _all_numbers(words: list[bytes]) -> bool:
    try:
        return bool([float(word) for word in words])
    except ValueError:
        return False


@contextmanager
def known_to_itk(path: Path) -> Iterator[str]:
    """The name of a file whose transforms ITK knows: ``path``, or a copy where older ANTs named an affine otherwise."""
    content = path.read_bytes() if path.suffix.lower() in (".mat", ".txt", ".tfm") else b""
    if OLD_NAME not in content[:BEGINNING]:
        yield str(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / f"copy{path.suffix.lower()}"
        copy.write_bytes(_renamed_matlab(content) if copy.suffix == ".mat" else content.replace(OLD_NAME, NAME))
        yield str(copy)


def _renamed_matlab(content: bytes) -> bytes:
    """The same MATLAB 4 file with its first variable under the new name, which follows a header of five numbers."""
    *head, length = struct.unpack("<5i", content[:20])
    name = content[20 : 20 + length].replace(OLD_NAME, NAME)
    return struct.pack("<5i", *head, len(name)) + name + content[20 + length :]

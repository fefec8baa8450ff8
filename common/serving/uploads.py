"""Files that clients send: an image that can be read by itself, or nothing is kept of it."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError
from ..io.formats import NIFTI
from ..io.images import read_image, read_label
from .names import check_name, shown
from .studies import frames_of

ENDINGS = (*NIFTI, ".mha", ".nrrd")
"""Formats of one file: what names another file (.mhd, .nhdr) could name any of this machine's."""
HEADER = 1 << 16  # bytes that are searched for such a name


def check_file_name(name: str | None, what: str) -> str:
    """Return the last part of the name of a file that a client sends: MONAI Label's own client sends the whole path.

    Raises:
        InputError: one that leads elsewhere, or is not named as an image.
    """
    *folders, last = (name or "").split("/")
    ending = next((each for each in ENDINGS if last.endswith(each)), "")
    if not ending or ".." in folders:
        raise InputError(f"{what}: {shown(last)} is not named as an image; give one of {', '.join(ENDINGS)}.")
    check_name(last.removesuffix(ending), f"the file name of {what}")
    return last


def check_upload(path: Path, name: str, label: bool = False) -> None:
    """See that the file at ``path``, sent as ``name``, is an image of its own, or a ``label`` map.

    Raises:
        InputError: as `read_image` and `read_label`, or a header whose voxels are in another file.
    """
    try:
        _refuse_detached(path)
        if label:
            read_label(path)
        else:
            read_image(path, None if frames_of(path) is None else 0)
    except InputError as error:
        raise InputError(str(error).replace(str(path), name)) from error
    except (OSError, RuntimeError, ArithmeticError, MemoryError, ValueError) as error:
        raise InputError(f"{name}: cannot be read as an image ({type(error).__name__}); is the file whole?") from error


def _refuse_detached(path: Path) -> None:
    with path.open("rb") as file:
        lines = file.read(HEADER).lower().splitlines()
    for line in lines if path.name.endswith((".mha", ".nrrd")) else ():
        key, _, value = line.partition(b"=" if path.name.endswith(".mha") else b":")
        elsewhere = key.strip() == b"elementdatafile" and value.strip() != b"local"
        if elsewhere or key.strip() in (b"data file", b"datafile"):
            raise InputError(f"{path}: its voxels are in another file; send an image of one file.")

"""The fields computed so far, so that a stopped run goes on; each file is named after all that it depends on."""

from __future__ import annotations

import io
import shutil
import zipfile
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.files import write_bytes

from .worker import Registered

DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


class Fields:
    """A folder of fields.

    Args:
        folder: made when the first field is saved.
        method: the engine with its version and its settings, in words.
    """

    def __init__(self, folder: Path, method: str) -> None:
        self.folder, self.method = folder, method

    def path(self, moving: NDArray, fixed: NDArray) -> Path:
        """Where the field of a pair is kept: another image or method is another file."""
        key = sha256(self.method.encode())
        for image in (moving, fixed):
            key.update(f"{image.shape}".encode() + np.ascontiguousarray(image).tobytes())
        return self.folder / f"{key.hexdigest()[:32]}.npz"

    def load(self, moving: NDArray, fixed: NDArray) -> Registered | None:
        """Return the field of a pair, None if it is not there or cannot be read."""
        # read whole first: numpy leaves a damaged file open
        with suppress(*DAMAGED), np.load(io.BytesIO(self.path(moving, fixed).read_bytes())) as file:
            return Registered(file["ddf"], float(file["seconds"]))
        return None

    def save(self, moving: NDArray, fixed: NDArray, result: Registered) -> None:
        """Keep the field of a pair, atomically; raise InputError if it cannot be written."""
        buffer = io.BytesIO()
        np.savez(buffer, ddf=result.ddf, seconds=result.seconds)
        write_bytes(self.path(moving, fixed), buffer.getvalue())

    def remove(self) -> None:
        """Delete all of them: they are 4 bytes a voxel and axis, and the tables have what is read from them."""
        shutil.rmtree(self.folder, ignore_errors=True)

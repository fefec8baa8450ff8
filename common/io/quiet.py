"""ITK and the C libraries in it, kept from what they print and from crashing where warnings are errors."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def quiet_itk() -> Iterator[ModuleType]:
    """Import ITK, whose wrapping raises DeprecationWarnings from C and crashes where warnings are errors.

    Raises:
        OSError: with the last line of what ITK says.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import itk

        try:
            yield itk
        except (RuntimeError, IndexError, MemoryError) as error:  # the latter two by what is damaged
            raise OSError((str(error).strip() or type(error).__name__).splitlines()[-1]) from error


@contextmanager
def silent() -> Iterator[None]:
    """Keep what C libraries print on the standard error to themselves: HDF5 has 40 lines for a damaged file."""
    kept = os.dup(2)
    try:
        with tempfile.TemporaryFile() as nowhere:
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)

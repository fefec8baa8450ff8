"""Where MONAI Label's endpoints put what a client sends: a folder of the request, gone when it ends, however it does.

They take names from `tempfile`, and remove the files in a task that is not run where a request is refused.
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import SimpleNamespace

from monailabel.endpoints import datastore, infer, session

FOLDER: ContextVar[Path | None] = ContextVar("folder of the request", default=None)


class Names:
    """What those endpoints see as ``tempfile``."""

    @staticmethod
    def NamedTemporaryFile(suffix: str = "") -> SimpleNamespace:
        """A ``name`` in the folder of the request."""
        return SimpleNamespace(
            name=str((FOLDER.get() or Path(tempfile.gettempdir())) / f"tmp{uuid.uuid4().hex}{suffix}")
        )


@contextmanager
def folder_of_request() -> Iterator[None]:
    """Give the request that is served in this context a folder."""
    with tempfile.TemporaryDirectory(prefix="request_") as folder:
        token = FOLDER.set(Path(folder))
        try:
            yield
        finally:
            FOLDER.reset(token)


def keep_to_folders() -> None:
    """From here on the endpoints use `Names`."""
    for endpoints in (datastore, infer, session):
        endpoints.tempfile = Names

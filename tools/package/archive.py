"""A package as one file, the same byte for byte whenever and wherever it is made (by one version of zlib)."""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Mapping

DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can hold
LEVEL = 9
UNIX = 3


def zipped(top: str, files: Mapping[str, bytes]) -> bytes:
    """A zip of ``files`` (path -> content) in the folder ``top``."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in sorted(files.items()):
            entry = zipfile.ZipInfo(f"{top}/{path}", DATE)
            entry.create_system, entry.compress_type = UNIX, zipfile.ZIP_DEFLATED
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, content, compresslevel=LEVEL)
    return buffer.getvalue()

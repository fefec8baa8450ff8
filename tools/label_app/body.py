"""The body of a request, which is read twice: by the guard, and by the server."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

from common.serving.refusal import Refused

Message = MutableMapping[str, Any]
IN_MEMORY = 1 << 20  # bytes; what is larger waits on the disk
CHUNK = 1 << 16
DRAINED = 64 << 20  # bytes that are heard out of a request that is refused


class Body:
    """Bytes that come by ``receive`` of ASGI; its file is gone when the context ends."""

    def __init__(self, receive: Callable[[], Awaitable[Message]]) -> None:
        self._receive = receive
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115
        self.size, self._left, self._ended = 0, 0, False

    def __enter__(self) -> Body:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    async def read(self, largest: int) -> None:
        """Take all of it.

        Raises:
            Refused: more than ``largest`` bytes (413), or a client that has gone.
        """
        while not self._ended:
            self._file.write(await self._next())
            if self.size > largest:
                raise Refused(413, f"more than {largest >> 20} MB are sent; that is the most that this takes.")
        self.rewind()

    async def drain(self) -> None:
        """Let the rest of a request that is refused pass by: a client that still sends does not hear the answer."""
        last = self.size + DRAINED
        with suppress(Refused):
            while not self._ended and self.size <= last:
                await self._next()

    def rewind(self) -> None:
        """Give all of it again."""
        self._file.seek(0)
        self._left = self.size

    def bytes(self) -> bytes:
        """All of it."""
        self._file.seek(0)
        return self._file.read()

    async def again(self) -> Message:
        """``receive`` of ASGI, for who reads it after us."""
        if self._left < 0:
            return await self._receive()
        content = self._file.read(CHUNK)
        self._left -= len(content)
        more = self._left > 0
        self._left = self._left if more else -1
        return {"type": "http.request", "body": content, "more_body": more}

    async def _next(self) -> bytes:
        message = await self._receive()
        self._ended = message["type"] != "http.request" or not message.get("more_body", False)
        if message["type"] != "http.request":
            raise Refused(400, "the client has gone.")
        content = message.get("body", b"")
        self.size += len(content)
        return content

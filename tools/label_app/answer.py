"""The way back to the client."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from common.serving.answers import Discretion, line_of

Message = MutableMapping[str, Any]


class Answer:
    """What is sent: JSON and refusals are held until they are whole, and cleared of the server's paths; files pass.

    Args:
        send: of ASGI; discretion: what clears them.
    """

    def __init__(self, send: Callable[[Message], Awaitable[None]], discretion: Discretion) -> None:
        self._send, self.discretion = send, discretion
        self.started = False
        self._held: Message | None = None
        self._content = bytearray()

    async def send(self, message: Message) -> None:
        """Take one message of ASGI."""
        if message["type"] == "http.response.start" and self._is_text(message):
            self._held = message
        elif self._held is None:
            self.started = True
            await self._send(message)
        elif message["type"] == "http.response.body":
            self._content += message.get("body", b"")

    async def finish(self) -> None:
        """Send what is held; when it arrives, the server is done with the request."""
        if self._held is not None:
            await self._release(self._held)

    async def refuse(self, status: int, line: str) -> None:
        """Answer by one line."""
        await self._json(status, [], {"detail": self.discretion(" ".join(line.split()))})

    def _is_text(self, start: Message) -> bool:
        kind = dict(start.get("headers", [])).get(b"content-type", b"")
        return start["status"] >= 400 or kind.startswith(b"application/json")

    async def _release(self, start: Message) -> None:
        status, content = start["status"], bytes(self._content)
        if status >= 400:
            await self.refuse(status, line_of(content, status))
        else:
            kept = [(k, v) for k, v in start["headers"] if k.lower() not in (b"content-length", b"content-type")]
            await self._json(status, kept, self.discretion(json.loads(content)))

    async def _json(self, status: int, headers: list[tuple[bytes, bytes]], value: Any) -> None:
        content = json.dumps(value).encode()
        headers = [*headers, (b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        self.started = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": content})

"""What stands before MONAI Label: a request that leads elsewhere, or means nothing, does not get there."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import FastAPI
from monailabel.interfaces.exception import MONAILabelException
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from common.errors import InputError
from common.serving.hosts import check_host
from common.serving.refusal import Refused
from common.serving.routes import route_of

from .answer import Answer
from .body import Body
from .policy import Policy
from .temporary import folder_of_request, keep_to_folders

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
log = logging.getLogger(__name__)


class Guard:
    """Refuse, in one line and with a status of 4xx, what the rules of `common.serving` do not let pass.

    In this order: the host that is asked and the page that asks (`hosts`), the path and the method (`routes`), names
    in the URL (`names`), the size of the body, its parameters (`parameters`) and its files (`uploads`). What the
    server then answers is one line where it is a refusal, and holds none of its paths (`answers`).

    Args:
        app: what is guarded (ASGI).
        policy: makes the settings, when the first request comes.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], policy: Callable[[], Policy] = Policy) -> None:
        self.app, self._make, self._policy = app, policy, None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] != "http":
            await self.app(scope, receive, send)
        else:
            self._policy = self._policy or self._make()
            answer = Answer(send, self._policy.discretion)
            with Body(receive) as body:
                await self._serve(scope, body, answer, self._policy)

    async def _serve(self, scope: Scope, body: Body, answer: Answer, policy: Policy) -> None:
        try:
            await self._check(scope, body, policy)
            with folder_of_request():
                await self.app(scope, body.again, answer.send)
            await answer.finish()
        except Exception as error:
            if answer.started:
                raise
            status, line = refused(error)
            if status >= 500:
                log.exception("a request could not be answered")
            await body.drain()
            await answer.refuse(status, line)

    async def _check(self, scope: Scope, body: Body, policy: Policy) -> None:
        check_host(scope["method"], scope["headers"], policy.hosts)
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        route = route_of(scope["method"], path)
        await policy.check(route, scope, body)


def refused(error: Exception) -> tuple[int, str]:
    """The status and the line that an error is answered by."""
    if isinstance(error, Refused):
        return error.status, str(error)
    if isinstance(error, InputError):
        return 400, str(error)
    if isinstance(error, MONAILabelException):  # an image, a label, a model or a strategy that is not there
        return 404, str(error.msg)
    if isinstance(error, HTTPException):
        return error.status_code, str(error.detail)
    return 500, "the server failed at this request; its log says why."


def protect(web: FastAPI) -> None:
    """Set the guard before MONAI Label's web application, in place of its leave for every web page to read answers.

    MONAI Label lets all origins in, and its setting for others does not start (0.8.5). Without the permission a browser
    shows the answers to the server's own pages alone; 3D Slicer and other programs are not browsers.
    """
    if any(each.cls is Guard for each in web.user_middleware):
        return
    keep_to_folders()
    web.user_middleware = [Middleware(Guard), *(each for each in web.user_middleware if each.cls is not CORSMiddleware)]
    if web.middleware_stack is not None:  # it has begun to start, but serves nobody yet
        web.middleware_stack = web.build_middleware_stack()

"""Shows an ASGI app its client, and tells nginx about its answers.

It runs with each request, so it makes few objects and calls: beside an app that answers quickly, each counts.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any

from .clients import BUFFERING, EVENTS, LATE, LOCAL, RELEASE, WORKERS, buffering, seconds
from .connections import Rules
from .crew import CREW
from .leaving import Leaving
from .records import Request, current
from .starting import lifespan

_SEEN = frozenset((b"x-forwarded-for", b"x-forwarded-proto", b"x-request-id", b"accept", b"x-slipway-timeout"))
"""What a worker looks at in a request."""
_RELEASE, _BUFFERING, _WORKERS = (name.lower().encode() for name in (RELEASE, BUFFERING, WORKERS))
_EVENTS = EVENTS.encode()
_OF_BODIES = (b"content-length", b"transfer-encoding")
"""The headers that describe a body."""


def asgi(
    app: Callable[..., Awaitable[None]],
    log: Any,
    rules: Rules,
    ready: Callable[..., Awaitable[None]],
    silent: bool = False,
    leaving: Leaving | None = None,
) -> Callable[..., Awaitable[None]]:
    """`app` with what it should see of its client.

    Args:
        app: The app.
        log: The worker's log.
        rules: What its workers need to know of it.
        ready: Called once, before the server takes requests, with this function's result and the app's state.
        silent: Whether the worker does not log an exception that comes after the answer, as Starlette's does.
        leaving: Says when an answer ends its connection, where nginx keeps connections.
    """
    release = [(_RELEASE, rules.release.encode())] if rules.release else []

    async def answer(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(app, scope, receive, send, functools.partial(ready, answer))
            return
        request, patient, limit = _see_client(scope, rules)
        current.set(request)
        if scope["type"] == "websocket":
            await _upgraded(app(scope, receive, send), leaving)
            return
        response: _Response
        if leaving:
            response = kept = _Kept(send, request, log, release, patient)
            kept.keep(receive, scope["method"], limit, leaving)
            receive = kept.receive
        else:
            response = _Response(send, request, log, release, patient)
        if patient:
            response.late = _end_after(limit)
        try:
            await app(scope, receive, response.send)
        except BaseException as error:
            if response.is_whole:  # what the app raises after its answer ends no connection
                log.error("Exception in ASGI application", exc_info=error)
            elif isinstance(error, asyncio.CancelledError) and not response.status and error.args == (LATE,):
                # nginx waits for an event stream; this one did not begin in time.
                await send({"type": "http.response.start", "status": 504, "headers": [(b"content-length", b"0")]})
                await send({"type": "http.response.body"})
            else:
                if silent and isinstance(error, Exception) and response.complete and response.status >= 500:
                    log.error("Exception in ASGI application", exc_info=error)
                raise
        finally:
            response.end()
            if leaving:
                leaving.count()

    return answer


async def _upgraded(talk: Awaitable[None], leaving: Leaving | None) -> None:
    """Serve a websocket, and count it while it lasts."""
    if leaving is None:
        await talk
        return
    leaving.websockets += 1
    try:
        await talk
    finally:
        leaving.websockets -= 1
        leaving.count()


class _Response:
    """What an app has sent in answer to a request."""

    status = 0
    complete = False
    """Whether the app has marked the end."""
    is_whole = False
    """Whether nginx has all of it, and the connection stays open."""
    late: asyncio.TimerHandle | None = None
    """What ends the request if no answer begins."""
    _length = b""
    """Its `Content-Length`."""

    def __init__(
        self, send: Any, request: Request, log: Any, release: list[tuple[bytes, bytes]], patient: bool
    ) -> None:
        """Begin.

        Args:
            send: What takes its parts.
            request: As it is known in the log.
            log: The worker's log.
            release: The header that names the release.
            patient: Whether nginx is patient with the request, since it asks for a stream.
        """
        self._send, self._request, self._log, self._release, self._patient = send, request, log, release, patient

    async def send(self, message: dict[str, Any]) -> None:
        """Send a part of it."""
        if message["type"] == "http.response.start":
            message = self._start(message)
        elif message["type"] == "http.response.body":
            self.complete = not message.get("more_body", False)
        await self._send(message)

    def _start(self, message: dict[str, Any]) -> dict[str, Any]:
        """The first part, with what nginx should know."""
        self.status = message["status"]
        self._request.answers(self.status, self._log)
        self._begin()
        headers = list(message.get("headers", ()))
        kind = b""
        for name, value in headers:
            name = name.lower()
            if name == b"content-type":
                kind = kind or value
            elif name == b"content-length":
                self._length = self._length or value
        headers += self._release
        if collect := buffering(kind.lower().startswith(_EVENTS), self._patient):
            headers.append((_BUFFERING, collect.encode()))
        if not self._request.through_nginx:
            headers.append((_WORKERS, str(CREW.serving()).encode()))
        return {**message, "headers": headers}

    def _begin(self) -> None:
        """From now on it is not late."""
        if self.late:
            self.late.cancel()

    def end(self) -> None:
        """The app has returned."""
        self._begin()


class _Kept(_Response):
    """An answer after which its connection stays open, although the app may still work on it.

    When nginx has the whole answer, it may send the next request on the connection. uvicorn would begin that one only after the
    app has marked the end. And it would close the connection if the app raised an exception later, as Starlette's do after
    each 500.
    """

    _receive: Callable[[], Awaitable[Any]]
    _leaving: Leaving
    _method: str
    _limit: float
    _left: int | None = None
    """Bytes that nginx waits for; None if it waits for the end."""
    _is_bodiless = False
    _has_ended = False
    """Whether the app itself has marked the end, or has returned."""
    _ends: asyncio.Event | None = None
    """Set then, where the app waits for it."""

    def keep(self, receive: Callable[[], Awaitable[Any]], method: str, limit: float, leaving: Leaving) -> None:
        """Begin.

        Args:
            receive: What the app gets from uvicorn.
            method: Of the request.
            limit: Seconds for which the app may work on after its answer before it hears that its client has left.
            leaving: Says whether the answer ends its connection after all.
        """
        self._receive, self._method, self._limit, self._leaving = receive, method, limit, leaving

    async def receive(self) -> Any:
        """Pass on what comes from the client.

        To uvicorn an answer is over when it is whole, and so it says that the client has left. An app that heard this would stop
        its work. Starlette's ends a stream where it stands: the code after its last piece would not run.
        """
        message = await self._receive()
        if message["type"] == "http.disconnect" and self.is_whole and not self._has_ended:
            self._ends = self._ends or asyncio.Event()
            await asyncio.wait({asyncio.ensure_future(self._ends.wait())}, timeout=self._limit)
        return message

    async def send(self, message: dict[str, Any]) -> None:
        """Send a part, and mark the end of the answer as soon as nginx has all of it."""
        if message["type"] == "http.response.body":
            await self._send_body(message)
        elif message["type"] == "http.response.start":
            await self._send(self._start(message))
            if self._is_bodiless:
                self.is_whole = True
                await self._send({"type": "http.response.body"})
        else:
            await self._send(message)

    async def _send_body(self, message: dict[str, Any]) -> None:
        more = message.get("more_body", False)
        self.complete = not more
        if not more:
            self._mark_end()
        size = len(message.get("body") or b"")
        if self.is_whole and (self._is_bodiless or not size):
            return
        if self._left is not None:
            self._left -= size
            if more and not self._left:
                message, more = {**message, "more_body": False}, False
        await self._send(message)
        self.is_whole = self.is_whole or not more

    def _start(self, message: dict[str, Any]) -> dict[str, Any]:
        """Look how long the answer is. nginx reads no body after some, whatever their headers say."""
        message = super()._start(message)
        if self._leaving.begun():
            message["headers"].append((b"connection", b"close"))
        if self.status in (204, 304):
            self._is_bodiless = True
            message["headers"] = [pair for pair in message["headers"] if pair[0].lower() not in _OF_BODIES]
            return message
        self._is_bodiless = self._method == "HEAD"
        if self._length.isdigit():
            self._left = int(self._length)
            self._is_bodiless = self._is_bodiless or not self._left
        return message

    def _mark_end(self) -> None:
        self._has_ended = True
        if self._ends:
            self._ends.set()

    def end(self) -> None:
        self._mark_end()
        super().end()


def _end_after(limit: float) -> asyncio.TimerHandle | None:
    """Have the task that asks cancelled as late, unless it cancels that."""
    task = asyncio.current_task()
    return asyncio.get_running_loop().call_later(limit, task.cancel, LATE) if task else None


def _see_client(scope: dict[str, Any], rules: Rules) -> tuple[Request, bool, float]:
    """Put client and scheme into the scope.

    Returns how the request is known in the log, whether nginx is patient with it, and how long it waits for the answer.
    """
    heads = {name: value for name, value in scope["headers"] if name in _SEEN}
    scope["client"] = (heads.get(b"x-forwarded-for", b"").decode("latin-1") or LOCAL, 0)
    secure = heads.get(b"x-forwarded-proto") == b"https"
    scope["scheme"] = ("https" if secure else "http") if scope["type"] == "http" else ("wss" if secure else "ws")
    if rules.mount:
        scope["root_path"] = rules.mount
    limit = rules.request
    if b"x-slipway-timeout" in heads:
        limit = seconds(heads[b"x-slipway-timeout"].decode("latin-1"), limit)
        scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"x-slipway-timeout"]
    request = Request(heads.get(b"x-request-id", b"").decode("latin-1"))
    return request, _EVENTS in heads.get(b"accept", b"").lower(), limit

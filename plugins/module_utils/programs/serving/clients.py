"""Shows an app its client, and ensures that an error is logged and answered."""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from .connections import Rules, gone
from .crew import CREW
from .leaving import Kept, Leaving
from .records import Request, current
from .starting import lifespan

LOCAL = "127.0.0.1"
"""The client of a request that did not come through nginx: the health gate's."""
RELEASE = "X-Slipway-Release"
"""The header by which nginx learns which release has answered. It is for its log, and no client gets it."""
WORKERS = "X-Slipway-Workers"
"""The header by which the health gate learns how many workers serve. Only requests that did not come through nginx get it."""
BUFFERING = "X-Accel-Buffering"
"""The header by which nginx learns whether to collect an answer. No client gets it."""
_SEEN = frozenset((b"x-forwarded-for", b"x-forwarded-proto", b"x-request-id", b"accept", b"x-slipway-timeout"))
"""What a worker looks at in a request."""
_RELEASE, _BUFFERING, _WORKERS = (name.lower().encode() for name in (RELEASE, BUFFERING, WORKERS))
EVENTS = "text/event-stream"
LATE = b"HTTP/1.1 504 Gateway Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


def wsgi(app: Callable[..., Any], log: Any, rules: Rules) -> Callable[..., Any]:
    """`app` with what it should see of its client."""
    named = [(RELEASE, rules.release)] if rules.release else []

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        request = Request(environ.get("HTTP_X_REQUEST_ID", ""))
        current.set(request)
        environ["REMOTE_ADDR"] = environ.get("HTTP_X_FORWARDED_FOR") or LOCAL
        if (scheme := environ.get("HTTP_X_FORWARDED_PROTO")) in ("http", "https"):
            environ["wsgi.url_scheme"] = scheme  # tornado looks at none of nginx's headers
        # How long nginx waits for this answer, where the path has its own limit.
        if limit := environ.pop("HTTP_X_SLIPWAY_TIMEOUT", ""):
            connection: Any = environ.get("gunicorn.socket")
            if hasattr(connection, "patience"):
                connection.patience = _seconds(limit, rules.request)
        patient = EVENTS in environ.get("HTTP_ACCEPT", "").lower() or "HTTP_UPGRADE" in environ

        def start(status: str, headers: Any, *exc_info: Any) -> Any:
            request.answers(int(status[:3]) if status[:3].isdecimal() else 0, log)
            types = [value for name, value in headers if name.lower() == "content-type"]
            more = [*named, *_buffered(types, patient), *_serving(request)]
            return start_response(status, [*headers, *more], *exc_info)

        try:
            return app(environ, start)
        except OSError as error:
            # gunicorn takes any of these for one of its connection's, and ends that without an answer.
            connection = environ.get("gunicorn.socket")
            ended = connection is not None and (connection.fileno() < 0 or gone(connection))
            if ended or type(error).__module__.startswith("gunicorn."):
                raise
            log.exception("Error handling request %s", environ.get("PATH_INFO", ""))
            start("500 Internal Server Error", [("Content-Type", "text/plain")], sys.exc_info())
            return [b"Internal Server Error\n"]

    return answer


def _buffered(types: list[str], patient: bool) -> list[tuple[str, str]]:
    """What nginx learns about an answer with these content types: it passes on events as they come, and collects all else.

    By itself nginx knows only the request. It collects unless that asked for a stream (`patient`).
    """
    if types and types[0].lower().startswith(EVENTS):
        return [(BUFFERING, "no")]
    return [(BUFFERING, "yes")] if patient else []


def _serving(request: Request) -> list[tuple[str, str]]:
    """How many workers serve, for the health gate."""
    return [] if request.through_nginx else [(WORKERS, str(CREW.serving()))]


def _seconds(text: str, otherwise: float) -> float:
    """The seconds that nginx states."""
    return float(text) if text.isdecimal() else otherwise


def answered(app: Callable[..., Any], log: Any) -> Callable[..., Any]:
    """`app`, which answers 500 instead of raising: tornado lets a request wait without end when its app raises.

    tornado gathers an answer before it sends any of it. So does this, as an exception may be raised in the middle.
    """

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        try:
            pieces = app(environ, start_response)
            try:
                return list(pieces)
            finally:
                getattr(pieces, "close", lambda: None)()
        except Exception:
            log.exception("Error handling request %s", environ.get("PATH_INFO", ""))
            start_response("500 Internal Server Error", [("Content-Type", "text/plain")], sys.exc_info())
            return [b"Internal Server Error"]

    return answer


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

    async def answer(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(app, scope, receive, send, functools.partial(ready, answer))
            return
        request, patient, limit = _see_client(scope, rules)
        current.set(request)
        if scope["type"] == "websocket":
            await _upgraded(app(scope, receive, send), leaving)
            return
        late = _end_after(limit) if patient else None
        kept = Kept(receive, send, scope["method"], limit) if leaving else None
        response = _Response(kept.send if kept else send, request, log, rules, patient, late, leaving)
        try:
            talk = app(scope, kept.receive if kept else receive, response.send)
            await (kept.contain(talk, log) if kept else talk)
        except asyncio.CancelledError as reason:
            if response.status or reason.args != (LATE,):
                raise
            # nginx waits for an event stream; this one did not begin in time.
            await send({"type": "http.response.start", "status": 504, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body"})
        except Exception as error:
            if silent and response.complete and response.status >= 500:
                log.error("Exception in ASGI application", exc_info=error)
            raise
        finally:
            response.begun()
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

    def __init__(
        self,
        send: Any,
        request: Request,
        log: Any,
        rules: Rules,
        patient: bool,
        late: asyncio.TimerHandle | None,
        leaving: Leaving | None,
    ) -> None:
        self._send, self._request, self._log, self._late = send, request, log, late
        self._rules, self._patient, self._leaving = rules, patient, leaving
        self.status = 0
        self.complete = False

    async def send(self, message: dict[str, Any]) -> None:
        """Send a part of it."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._request.answers(self.status, self._log)
            self.begun()
            message = {**message, "headers": [*message.get("headers", ()), *self._for_nginx(message)]}
        elif message["type"] == "http.response.body":
            self.complete = not message.get("more_body", False)
        await self._send(message)

    def _for_nginx(self, message: dict[str, Any]) -> list[tuple[bytes, bytes]]:
        lines = [(_RELEASE, self._rules.release.encode())] if self._rules.release else []
        if self._leaving and self._leaving.begun():
            lines.append((b"connection", b"close"))
        types = [value for name, value in message.get("headers", ()) if name.lower() == b"content-type"]
        buffered = _buffered([kind.decode("latin-1") for kind in types], self._patient)
        lines += [(_BUFFERING, value.encode()) for _, value in buffered]
        return lines + [(_WORKERS, value.encode()) for _, value in _serving(self._request)]

    def begun(self) -> None:
        """From now on it is not late."""
        if self._late:
            self._late.cancel()


def _end_after(seconds: float) -> asyncio.TimerHandle | None:
    """Have the task that asks cancelled as late, unless it cancels that."""
    task = asyncio.current_task()
    return asyncio.get_running_loop().call_later(seconds, task.cancel, LATE) if task else None


def _see_client(scope: dict[str, Any], rules: Rules) -> tuple[Request, bool, float]:
    """Put client and scheme into the scope.

    Returns how the request is known in the log, whether nginx is patient with it, and how long it waits for the answer.
    """
    heads = {name: value.decode("latin-1") for name, value in scope["headers"] if name in _SEEN}
    scope["client"] = (heads.get(b"x-forwarded-for") or LOCAL, 0)
    secure = heads.get(b"x-forwarded-proto") == "https"
    scope["scheme"] = ("https" if secure else "http") if scope["type"] == "http" else ("wss" if secure else "ws")
    if rules.mount:
        scope["root_path"] = rules.mount
    limit = rules.request
    if b"x-slipway-timeout" in heads:
        limit = _seconds(heads[b"x-slipway-timeout"], limit)
        scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"x-slipway-timeout"]
    return Request(heads.get(b"x-request-id", "")), EVENTS in heads.get(b"accept", "").lower(), limit

"""Shows an app its client, and ensures that an error is logged and answered."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from .connections import Rules, gone
from .records import Request, current

LOCAL = "127.0.0.1"
"""The client of a request that did not come through nginx: the health gate's."""
LATE = b"HTTP/1.1 504 Gateway Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


def wsgi(app: Callable[..., Any], log: Any) -> Callable[..., Any]:
    """`app` with what it should see of its client."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        request = Request(environ.get("HTTP_X_REQUEST_ID", ""))
        current.set(request)
        environ["REMOTE_ADDR"] = environ.get("HTTP_X_FORWARDED_FOR") or LOCAL
        if (scheme := environ.get("HTTP_X_FORWARDED_PROTO")) in ("http", "https"):
            environ["wsgi.url_scheme"] = scheme  # tornado looks at none of nginx's headers

        def start(status: str, headers: Any, *exc_info: Any) -> Any:
            request.answers(int(status[:3]) if status[:3].isdecimal() else 0, log)
            return start_response(status, headers, *exc_info)

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


def asgi(app: Callable[..., Awaitable[None]], log: Any, rules: Rules, silent: bool) -> Callable[..., Awaitable[None]]:
    """`app` with what it should see of its client.

    `silent`: the worker does not log an exception that comes after the answer, as Starlette's does.
    """

    async def answer(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] not in ("http", "websocket"):
            await app(scope, receive, send)
            return
        request, patient = _see_client(scope, rules)
        current.set(request)
        if scope["type"] == "websocket":
            await app(scope, receive, send)
            return
        response = _Response(send, request, log, _end_after(rules.request) if patient else None)
        try:
            await app(scope, receive, response.send)
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

    return answer


class _Response:
    """What an app has sent in answer to a request."""

    def __init__(self, send: Any, request: Request, log: Any, late: asyncio.TimerHandle | None) -> None:
        self._send, self._request, self._log, self._late = send, request, log, late
        self.status = 0
        self.complete = False

    async def send(self, message: dict[str, Any]) -> None:
        """Send a part of it."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._request.answers(self.status, self._log)
            self.begun()
        elif message["type"] == "http.response.body":
            self.complete = not message.get("more_body", False)
        await self._send(message)

    def begun(self) -> None:
        """From now on it is not late."""
        if self._late:
            self._late.cancel()


def _end_after(seconds: float) -> asyncio.TimerHandle | None:
    """Have the task that asks cancelled as late, unless it cancels that."""
    task = asyncio.current_task()
    return asyncio.get_running_loop().call_later(seconds, task.cancel, LATE) if task else None


def _see_client(scope: dict[str, Any], rules: Rules) -> tuple[Request, bool]:
    """Put client and scheme into the scope; returns how the request is known in the log, and whether nginx is patient with it."""
    heads = {
        name: value.decode("latin-1")
        for name, value in scope["headers"]
        if name in (b"x-forwarded-for", b"x-forwarded-proto", b"x-request-id", b"accept")
    }
    scope["client"] = (heads.get(b"x-forwarded-for") or LOCAL, 0)
    secure = heads.get(b"x-forwarded-proto") == "https"
    scope["scheme"] = ("https" if secure else "http") if scope["type"] == "http" else ("wss" if secure else "ws")
    if rules.mount:
        scope["root_path"] = rules.mount
    return Request(heads.get(b"x-request-id", "")), "text/event-stream" in heads.get(b"accept", "").lower()

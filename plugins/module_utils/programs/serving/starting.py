"""Each worker answers some requests to itself before it serves, so that its first client waits for nothing that is loaded late.

Imports within functions, templates and connection pools are examples of that. It happens in each worker by itself, also in one
that replaces another, since no client can choose its worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import unquote

from .connections import Rules

ENOUGH = 1024**2
"""Bytes of an answer that are awaited at most."""
NOTIFIES_EVERY = 1.0
"""Seconds between two signs to the master that the worker lives."""
ENDS_WITHIN = 1.0
"""Seconds that an app has to end a request that it is asked for no longer."""
_EVENTS = "text/event-stream"


class _TooLate(Exception):
    """The time for all requests is over."""


def warm_up(worker: Any) -> None:
    """Have a WSGI app answer its requests, at most for as long as nginx waits for an answer."""
    rules: Rules = worker.rules
    if not rules.warm_up:
        return
    end = time.monotonic() + rules.request
    # In its own thread, since nothing else could end the wait for an app that hangs. It is a daemon, so it cannot keep the
    # worker from stopping.
    thread = threading.Thread(target=_visit_all, args=(worker, end), daemon=True, name="warm-up")
    thread.start()
    while thread.is_alive() and worker.alive and (left := end - time.monotonic()) > 0:
        worker.notify()
        thread.join(min(NOTIFIES_EVERY, left))
    worker.notify()
    if thread.is_alive() and worker.alive:
        _remark_late(worker.log, rules)


def _visit_all(worker: Any, end: float) -> None:
    for path in worker.rules.warm_up:
        try:
            _remark(worker.log, path, _visit(worker, path, end))
        except _TooLate:
            return
        except BaseException as error:
            _remark_raised(worker.log, path, error)


def _visit(worker: Any, path: str, end: float) -> int:
    """Call the app as gunicorn would for a client; returns the answer's status."""
    from gunicorn.http import RequestParser
    from gunicorn.http.wsgi import create

    status, events = 0, False

    def start_response(text: str, headers: Iterable[tuple[str, str]], _exc_info: Any = None) -> Callable[[bytes], None]:
        nonlocal status, events
        status = int(text[:3])
        events = any(name.lower() == "content-type" and value.lower().startswith(_EVENTS) for name, value in headers)
        return lambda data: None

    client, server = socket.socketpair()
    with contextlib.closing(client), contextlib.closing(server):
        lines = [f"{name}: {value}\r\n" for name, value in _headers(worker.rules)]
        client.sendall(f"GET {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode())
        request = next(RequestParser(worker.cfg, server, ""))
        _, environ = create(request, server, "", worker.sockets[0].getsockname(), worker.cfg)
        pieces = worker.wsgi(environ, start_response)
        try:
            size = 0
            for piece in pieces:
                size += len(piece)
                if events or size > ENOUGH:
                    break
                if time.monotonic() > end:
                    raise _TooLate
        finally:
            getattr(pieces, "close", lambda: None)()
    return status


def _headers(rules: Rules) -> list[tuple[str, str]]:
    """The headers of the health request: the app sees no difference."""
    return [
        ("Host", rules.host),
        ("User-Agent", "slipway"),
        ("Connection", "close"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-Proto", rules.scheme),
        ("X-Forwarded-Host", rules.host),
    ]


App = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


async def lifespan(
    app: App, scope: dict[str, Any], receive: Any, send: Any, ready: Callable[[Any], Awaitable[None]]
) -> None:
    """Pass an ASGI app's lifespan on to it.

    Args:
        app: The app.
        scope: As for any ASGI app, like `receive` and `send`.
        receive: The server's messages.
        send: Takes the app's.
        ready: Called when the app has started, before the server learns of it and takes requests. Also where the app knows no
            lifespan. It gets the app's state.
    """
    begun = False

    async def pass_on(message: dict[str, Any]) -> None:
        nonlocal begun
        if message["type"] == "lifespan.startup.complete" and not begun:
            await ready(scope.get("state"))
        begun = True
        await send(message)

    try:
        await app(scope, receive, pass_on)
    except Exception:  # as of an app that knows no lifespan
        if not begun:
            await ready(scope.get("state"))
        raise
    if not begun:
        await ready(scope.get("state"))


async def warm_up_asgi(worker: Any, answer: App, state: Any) -> None:
    """Have an ASGI app answer its requests, at most for as long as nginx waits for an answer."""
    rules: Rules = worker.rules

    async def notify_master() -> None:
        while True:
            worker.notify()
            await asyncio.sleep(NOTIFIES_EVERY)

    sign = asyncio.ensure_future(notify_master())
    end = time.monotonic() + rules.request
    try:
        for path in rules.warm_up:
            visit = _Visit(rules, path, state)
            try:
                await visit.run(answer, max(0.01, end - time.monotonic()))
                _remark(worker.log, path, visit.status)
            except _TooLate:
                _remark_late(worker.log, rules)
                break
            except Exception as error:
                _remark_raised(worker.log, path, error)
    finally:
        sign.cancel()


class _Visit:
    """One request to an ASGI app."""

    def __init__(self, rules: Rules, path: str, state: Any) -> None:
        place, _, query = path.partition("?")
        self.status = 0
        self._scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": rules.scheme,
            "path": unquote(place),
            "raw_path": place.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in _headers(rules)],
            "client": ("127.0.0.1", 0),
            "server": (rules.host, 443 if rules.scheme == "https" else 80),
            **({"state": state.copy()} if isinstance(state, dict) else {}),
        }
        self._over = asyncio.Event()
        self._asked = self._events = False
        self._size = 0

    async def run(self, answer: App, limit: float) -> None:
        """Ask, until the app is ready with it or enough of the answer is there.

        Raises _TooLate after `limit` seconds. An app that ignores its cancellation is left behind.
        """
        task = asyncio.ensure_future(answer(self._scope, self._receive, self._send))
        enough = asyncio.ensure_future(self._over.wait())
        end = time.monotonic() + limit
        try:
            await asyncio.wait({task, enough}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            if self._events or self._size > ENOUGH:
                return
            if not task.done():  # it may still work on
                await asyncio.wait({task}, timeout=max(0, end - time.monotonic()))
            if not task.done():
                raise _TooLate
            if task.cancelled():
                raise RuntimeError("the app cancelled its own task")
            task.result()
        finally:
            enough.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=ENDS_WITHIN)
            if task.done() and not task.cancelled():
                task.exception()  # or asyncio would log that it was not retrieved

    async def _receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            types = [value for name, value in message.get("headers", ()) if name.lower() == b"content-type"]
            self._events = bool(types) and types[0].lower().startswith(_EVENTS.encode())
        elif message["type"] == "http.response.body":
            self._size += len(message.get("body", b""))
            if self._events or self._size > ENOUGH or not message.get("more_body", False):
                self._over.set()


def _remark(log: Any, path: str, status: int) -> None:
    """Log an answer that has loaded less than it should."""
    if status == 404 or status >= 500:
        log.warning("slipway: warm-up: GET %s was answered %s", path, status)


def _remark_raised(log: Any, path: str, error: BaseException) -> None:
    log.error("Error handling request %s", path, exc_info=error)
    log.warning("slipway: warm-up: GET %s raised %s", path, type(error).__name__)


def _remark_late(log: Any, rules: Rules) -> None:
    log.warning("slipway: warm-up: no answer after %g s; the worker serves without it", rules.request)

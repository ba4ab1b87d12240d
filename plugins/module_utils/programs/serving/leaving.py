"""How an instance loses no request on a connection that nginx keeps.

nginx alone ends an idle connection. If a worker ended one, nginx might just be sending a request on it, which would be lost.
So a worker that leaves ends connections only with an answer (`Connection: close`), and waits until nginx has ended the idle ones.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

from .connections import Rules

LOOKS_EVERY = 0.05
"""At most so many seconds between two looks at the current release."""
PAUSE = 0.02
"""Seconds between two looks at the connections that are left."""
LOOKS = 3
"""Looks in a row that must find none: the event loop may have accepted a connection that uvicorn does not know yet."""
STEPS = 8
"""Turns of the event loop between two looks, also on a busy host: uvicorn knows a connection some turns after it was accepted."""

_OF_BODIES = (b"content-length", b"transfer-encoding")
"""The headers that describe a body."""


class Leaving:
    """Whether answers end their connections."""

    def __init__(self, rules: Rules, count: Callable[[], None]) -> None:
        """Begin.

        Args:
            rules: What the worker needs to know of its app.
            count: Called with each request that was answered.
        """
        self._rules = rules
        self.count = count
        self._due = 0.0
        self._is_replaced = False
        self.stops = False
        """Whether the worker stops."""
        self.websockets = 0
        """The connections in use by websockets, which no answer ends."""

    def begun(self) -> bool:
        """Whether the worker stops, or another release is current."""
        if self.stops:
            return True
        now = time.monotonic()
        if now >= self._due:
            self._due = now + LOOKS_EVERY
            self._is_replaced = _is_replaced(self._rules)
        return self._is_replaced


def _is_replaced(rules: Rules) -> bool:
    """Whether another release is current. Where the link says nothing, nginx's own limits end the connections."""
    try:
        return os.path.basename(os.readlink(rules.current)) != rules.release
    except OSError:
        return False


class Kept:
    """An answer of an ASGI app after which its connection stays open, although the app may still work on it.

    When nginx has the whole answer, it may send the next request on the connection. uvicorn would begin that one only after the
    app has marked the end. And it would close the connection if the app raised an exception later, as Starlette's do after
    each 500.
    """

    def __init__(
        self, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]], method: str, limit: float
    ) -> None:
        """Begin.

        Args:
            receive: what the app gets from uvicorn.
            send: what takes its answer.
            method: of the request.
            limit: seconds for which the app may work on after its answer before it hears that its client has left.
        """
        self._receive, self._send, self._method, self._limit = receive, send, method, limit
        self._left: int | None = None
        """Bytes that nginx waits for; None if it waits for the end."""
        self._is_bodiless = self._is_whole = False
        self._has_ended = asyncio.Event()
        """Whether the app itself has marked the end, or has returned."""

    async def receive(self) -> Any:
        """Pass on what comes from the client.

        To uvicorn an answer is over when it is whole, and so it says that the client has left. An app that heard this would stop
        its work. Starlette's ends a stream where it stands: the code after its last piece would not run.
        """
        message = await self._receive()
        if message["type"] == "http.disconnect" and self._is_whole and not self._has_ended.is_set():
            await asyncio.wait({asyncio.ensure_future(self._has_ended.wait())}, timeout=self._limit)
        return message

    async def send(self, message: dict[str, Any]) -> None:
        """Send a part, and mark the end of the answer as soon as nginx has all of it."""
        body = message["type"] == "http.response.body"
        if body and not message.get("more_body", False):
            self._has_ended.set()
        if body and self._is_whole and (self._is_bodiless or not message.get("body")):
            return
        if body and self._left is not None:
            self._left -= len(message.get("body", b""))
            if not self._left:
                message = {**message, "more_body": False}
        if message["type"] == "http.response.start":
            message = self._begin(message)
        await self._send(message)
        if body:
            self._is_whole = self._is_whole or not message.get("more_body", False)
        elif self._is_bodiless:
            self._is_whole = True
            await self._send({"type": "http.response.body"})

    def _begin(self, message: dict[str, Any]) -> dict[str, Any]:
        """Look how long the answer is. nginx reads no body after some, whatever their headers say."""
        headers = message.get("headers", ())
        if message["status"] in (204, 304):
            self._is_bodiless = True
            return {**message, "headers": [pair for pair in headers if pair[0].lower() not in _OF_BODIES]}
        self._is_bodiless = self._method == "HEAD"
        sizes = [value for name, value in headers if name.lower() == b"content-length"]
        if sizes and sizes[0].isdigit():
            self._left = int(sizes[0])
            self._is_bodiless = self._is_bodiless or not self._left
        return message

    async def contain(self, talk: Awaitable[None], log: Any) -> None:
        """Run the app. What it raises after the whole answer ends no connection."""
        try:
            await talk
        except BaseException as error:
            if not self._is_whole:
                raise
            log.error("Exception in ASGI application", exc_info=error)
        finally:
            self._has_ended.set()


def server(base: Any, config: Any, limit: float, leaving: Leaving, alive: Callable[[], None]) -> Any:
    """A server of uvicorn's that ends no idle connection when it stops.

    Args:
        base: uvicorn's class of servers.
        config: uvicorn's settings.
        limit: seconds that a stop may take.
        leaving: what ends connections with their answers.
        alive: called while the server waits, for gunicorn's master.
    """

    async def shutdown(self: Any, *arguments: Any, **keywords: Any) -> None:
        begin = time.monotonic()
        await _connections(self, begin + limit - 1, leaving, alive)
        if hasattr(config, "timeout_graceful_shutdown"):  # since uvicorn 0.22
            config.timeout_graceful_shutdown = max(1, int(limit - (time.monotonic() - begin)))
        await base.shutdown(self, *arguments, **keywords)

    return type("Server", (base,), {"shutdown": shutdown})(config)


async def _connections(server: Any, end: float, leaving: Leaving, alive: Callable[[], None]) -> None:
    """Accept no more connections, and wait until nginx has ended all that there are. uvicorn ends those of websockets."""
    leaving.stops = True
    for listener in server.servers:
        listener.close()
    looks = LOOKS
    while time.monotonic() < end and not server.force_exit:
        looks = LOOKS if len(server.server_state.connections) > leaving.websockets else looks - 1
        if not looks:  # nothing may come between the last look and uvicorn's own stop, which would end a new connection
            return
        alive()
        await asyncio.sleep(PAUSE)
        for _ in range(STEPS):
            await asyncio.sleep(0)

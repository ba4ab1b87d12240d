"""How an instance loses no request on a connection that nginx keeps.

nginx alone ends an idle connection. If a worker ended one, nginx might just be sending a request on it, which would be lost.
So a worker that leaves ends connections only with an answer (`Connection: close`), and waits until nginx has ended the idle ones.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
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

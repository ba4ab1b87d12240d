"""What the kit's kinds of gunicorn's workers have in common, and the watchdog of their requests."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from . import memory
from .clients import LATE, wsgi
from .connections import Rules, progresses
from .crew import CREW
from .records import name_requests
from .settings import Remembered
from .starting import warm_up

LOOKS_EVERY = 1.0
"""At most so many seconds between two looks at the requests in flight."""
OOM_MORE = 100
"""How much likelier than the master a worker is ended when memory runs out: thousandths of the memory (proc(5))."""
# systemd counts an instance as started when the first worker has loaded the app; gunicorn itself would say so before it
# has forked one.
_manager = os.environ.pop("NOTIFY_SOCKET", None)


def tell_manager(message: bytes) -> None:
    """Send systemd a message, where it waits for one."""
    if _manager:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.connect("\0" + _manager[1:] if _manager[0] == "@" else _manager)
            channel.sendall(message)


def _die_before_the_master() -> None:
    """Have the kernel end a worker, and not the master, when memory runs out.

    With `preload_app` both are of a size. A master that is ended takes all workers with it.
    """
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "r+") as file:
        score = int(file.read())
        file.seek(0)
        file.write(str(min(score + OOM_MORE, 1000)))


class Worker:
    """What all kinds have in common. Mixed in before gunicorn's class."""

    rules: Rules
    cfg: Any
    log: Any
    wsgi: Any
    nr: int
    """The requests that the worker has answered."""

    @property
    def max_requests(self) -> int:
        """The number of requests with which gunicorn lets the worker stop. It grows while the worker may not leave."""
        if self.nr < self._max_requests or CREW.leave(self.cfg.workers):
            return self._max_requests
        return sys.maxsize

    @max_requests.setter
    def max_requests(self, count: int) -> None:
        self._max_requests = count

    def load_wsgi(self) -> None:
        """Load the app, and put what the kit adds around it."""
        _die_before_the_master()
        name_requests()
        super().load_wsgi()  # type: ignore[misc]
        self._take_app()

    def _take_app(self) -> None:
        self.wsgi = wsgi(self.wsgi, self.log, self.rules)

    def _get_ready(self) -> None:
        """Do what comes before the first request."""
        warm_up(self)
        self._join()

    def _join(self) -> None:
        """Serve from now on."""
        memory.watch(self)
        CREW.join()

    def run(self) -> None:
        """Tell systemd that the app is loaded, and serve it."""
        self._get_ready()
        tell_manager(b"READY=1\nSTATUS=application loaded")
        self._answer_requests()

    def _answer_requests(self) -> None:
        """Answer requests until the worker has to stop."""
        super().run()  # type: ignore[misc]


class Watched(Worker):
    """Watches its requests. gunicorn's `timeout` watches a worker's heartbeat, which continues while its threads hang."""

    @contextlib.contextmanager
    def _watching(self, connection: Any) -> Iterator[None]:
        connection.begin()
        self.running[id(connection)] = connection
        try:
            yield
        finally:
            self.running.pop(id(connection), None)

    def run(self) -> None:
        """Watch the requests, and answer them."""
        self.running: dict[int, Any] = {}
        self.cfg = Remembered(self.cfg)
        with contextlib.suppress(AttributeError):  # a logger of the user's may have no place for it
            self.log.cfg = self.cfg
        threading.Thread(target=self._watch, daemon=True, name="request-watchdog").start()
        super().run()

    def _requests(self) -> list[Any]:
        """The connections of the requests in flight."""
        return list(self.running.copy().values())

    def _watch(self) -> None:
        """Retire when a request hangs. nginx has answered its client (504); the hung threads end with the worker."""
        pause, looks, end = min(LOOKS_EVERY, self.rules.request / 4), 0, None
        while True:
            time.sleep(pause)
            requests = self._requests()
            hung = [connection for connection in requests if not progresses(connection, self.rules)]
            if hung and end is None:
                what = "1 request hangs" if len(hung) == 1 else f"{len(hung)} requests hang"
                self.log.critical("%s: worker %s retires", what, os.getpid())
                CREW.fail()
                os.kill(os.getpid(), signal.SIGTERM)
                pause, end = 0.2, time.monotonic() + self.cfg.graceful_timeout
            for connection in hung:
                self._say_late(connection)
            # The others may finish; what hangs now hangs forever. Two looks, since one that waited may be about to begin.
            looks = looks + 1 if hung and len(hung) == len(requests) else 0
            if looks == 2 or (end and time.monotonic() > end):
                os._exit(1)

    def _say_late(self, connection: Any) -> None:
        """Answer a client that asked for an event stream: nginx is patient with it and has sent no 504 yet."""
        if not connection.begun:
            with contextlib.suppress(OSError, ValueError):
                os.write(connection.fileno(), LATE)
            connection.begun = True

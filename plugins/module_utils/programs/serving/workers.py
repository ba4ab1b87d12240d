"""The kit's kinds of gunicorn's workers."""

from __future__ import annotations

import contextlib
import errno
import importlib
import inspect
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any

from .clients import LATE, answered, asgi, wsgi
from .connections import Rules, counted, gone, progresses
from .records import name_requests

WORKERS = {
    "sync": "gunicorn.workers.sync.SyncWorker",
    "gthread": "gunicorn.workers.gthread.ThreadWorker",
    "gevent": "gunicorn.workers.ggevent.GeventWorker",
    "tornado": "gunicorn.workers.gtornado.TornadoWorker",
    "asgi": "gunicorn.workers.gasgi.ASGIWorker",
    "uvicorn": "gunicorn.workers.base.Worker",
}
"""The class of gunicorn's that each kind of worker extends."""
LOOKS_EVERY = 1.0
"""At most so many seconds between two looks at the requests in flight."""
PING_EVERY = 20.0
"""Seconds between two pings of a websocket, where the worker can send them; also how long the answer may take."""
# systemd counts an instance as started when the first worker has loaded the app; gunicorn itself would say so before it
# has forked one.
_manager = os.environ.pop("NOTIFY_SOCKET", None)


def _tell_manager(message: bytes) -> None:
    if _manager:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.connect("\0" + _manager[1:] if _manager[0] == "@" else _manager)
            channel.sendall(message)


class _Worker:
    """What all kinds have in common. Mixed in before gunicorn's class."""

    rules: Rules
    log: Any
    wsgi: Any

    def load_wsgi(self) -> None:
        name_requests()
        super().load_wsgi()  # type: ignore[misc]
        self._take_app()

    def _take_app(self) -> None:
        self.wsgi = wsgi(self.wsgi, self.log, self.rules)

    def run(self) -> None:
        _tell_manager(b"READY=1\nSTATUS=application loaded")
        super().run()  # type: ignore[misc]


class _Watched(_Worker):
    """Watches its requests. gunicorn's `timeout` watches a worker's heartbeat, which continues while its threads hang."""

    cfg: Any

    @contextlib.contextmanager
    def _watching(self, connection: Any) -> Iterator[None]:
        connection.moved = time.monotonic()
        self.running[id(connection)] = connection
        try:
            yield
        finally:
            self.running.pop(id(connection), None)

    def run(self) -> None:
        self.running: dict[int, Any] = {}
        threading.Thread(target=self._watch, daemon=True, name="request-watchdog").start()
        super().run()

    def _watch(self) -> None:
        """Retire when a request hangs. nginx has answered its client (504); the hung threads end with the worker."""
        pause, looks, end = min(LOOKS_EVERY, self.rules.request / 4), 0, None
        while True:
            time.sleep(pause)
            requests = list(self.running.copy().values())
            hung = [connection for connection in requests if not progresses(connection, self.rules)]
            if hung and end is None:
                self.log.critical("%s requests hang: worker %s retires", len(hung), os.getpid())
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


class _Threads(_Watched):
    def enqueue_req(self, conn: Any) -> None:
        if not hasattr(conn.sock, "moved"):  # before anything has read from it
            conn.sock = counted(conn.sock)
        super().enqueue_req(conn)  # type: ignore[misc]

    def handle_request(self, req: Any, conn: Any) -> Any:
        # A client that waited too long for a thread has its 504, or has left. Its work would make the others wait as long.
        if gone(conn.sock):
            raise BrokenPipeError(errno.EPIPE, "no client waits for the answer any more")
        with self._watching(conn.sock):
            return super().handle_request(req, conn)  # type: ignore[misc]


class _Greenlets(_Watched):
    def handle(self, listener: Any, client: Any, addr: Any) -> Any:
        return super().handle(listener, counted(client), addr)  # type: ignore[misc]

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> Any:
        with self._watching(sock):
            return super().handle_request(listener_name, req, sock, addr)  # type: ignore[misc]


class _Alone(_Greenlets):
    """One request at a time, in the thread that gives the heartbeat: gunicorn itself finds it when it hangs.

    But gunicorn would also end a download that takes long because its client reads slowly.
    """

    notify: Callable[[], None]

    def _watch(self) -> None:
        seen = 0.0
        while True:
            time.sleep(LOOKS_EVERY)
            for connection in list(self.running.copy().values()):
                progresses(connection, self.rules)
                if connection.begun and connection.moved != seen:
                    seen = connection.moved
                    self.notify()


class _Tornado(_Worker):
    def _take_app(self) -> None:
        super()._take_app()
        self.wsgi = answered(self.wsgi, self.log)


class _Asgi(_Worker):
    asgi: Any

    def _take_app(self) -> None:
        self.asgi = asgi(self.asgi, self.log, self.rules, silent=True)


class _Uvicorn(_Worker):
    """uvicorn under gunicorn, by uvicorn's public interface alone: apps bring all kinds of versions."""

    SIGNALS: Any
    cfg: Any
    sockets: Any
    timeout: Any
    max_requests: int
    ppid: int
    notify: Callable[[], None]
    handle_exit: Callable[[int, FrameType | None], None]
    handle_usr1: Callable[[int, FrameType | None], None]

    def _take_app(self) -> None:
        self.wsgi = asgi(self.wsgi, self.log, self.rules, silent=False)

    def init_signals(self) -> None:
        # As it is before gunicorn's own workers change it: the app's children then report how they ended.
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGUSR1, self.handle_usr1)
        signal.siginterrupt(signal.SIGUSR1, False)

    def run(self) -> None:
        _tell_manager(b"READY=1\nSTATUS=application loaded")
        import uvicorn
        from gunicorn.arbiter import Arbiter

        logger = logging.getLogger("uvicorn.error")
        logger.handlers, logger.propagate = self.log.error_log.handlers, False
        logger.setLevel(max(self.log.error_log.level, logging.WARNING))

        async def beat() -> None:
            self.notify()
            if self.ppid != os.getppid():  # no process would end it any more
                server.should_exit = True

        wanted = {
            "app": self.wsgi,
            "interface": "asgi3",
            "lifespan": "auto",
            "log_config": None,
            "access_log": False,
            "proxy_headers": False,  # `asgi` has looked at them
            "server_header": False,
            "timeout_keep_alive": self.cfg.keepalive,
            "timeout_notify": self.timeout,
            "callback_notify": beat,
            "timeout_graceful_shutdown": max(
                1, self.cfg.graceful_timeout - 2
            ),  # then there is time for its lifespan to end
            "limit_max_requests": self.max_requests,
            "backlog": self.cfg.backlog,
            "h11_max_incomplete_event_size": self.rules.head,
            "ws_ping_interval": PING_EVERY,
            "ws_ping_timeout": PING_EVERY,
        }
        known = inspect.signature(uvicorn.Config).parameters
        server = uvicorn.Server(uvicorn.Config(**{name: value for name, value in wanted.items() if name in known}))
        # uvicorn passes a signal that has ended it to the previous handler: by then there is nothing left to do.
        signal.signal(signal.SIGTERM, self.handle_exit)
        signal.signal(signal.SIGINT, self.handle_exit)
        signal.signal(signal.SIGQUIT, server.handle_exit)
        server.run(sockets=self.sockets)
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)


_KINDS: Mapping[str, type] = {
    "sync": _Alone,
    "gthread": _Threads,
    "gevent": _Greenlets,
    "tornado": _Tornado,
    "asgi": _Asgi,
    "uvicorn": _Uvicorn,
}


def worker(kind: str, rules: Rules) -> str:
    """Make the class of the workers of `kind`; returns its name, since older gunicorns take nothing else."""
    module, _, name = WORKERS[kind].rpartition(".")
    base = getattr(importlib.import_module(module), name)
    name = f"{kind}_worker"
    globals()[name] = type(name, (_KINDS[kind], base), {"rules": rules})
    return f"{__name__}.{name}"

"""The kit's kinds of gunicorn's workers."""

from __future__ import annotations

import errno
import importlib
import inspect
import logging
import os
import re
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from types import FrameType
from typing import Any

import gunicorn

from .asgi import asgi
from .clients import answered
from .connections import Rules, counted, gone, progresses
from .leaving import Leaving
from .leaving import server as leaving_server
from .starting import warm_up_asgi
from .threads import Threads
from .watched import LOOKS_EVERY, Watched, Worker, tell_manager

WORKERS = {
    "threads": "gunicorn.workers.sync.SyncWorker",
    "sync": "gunicorn.workers.sync.SyncWorker",
    "gthread": "gunicorn.workers.gthread.ThreadWorker",
    "gevent": "gunicorn.workers.ggevent.GeventWorker",
    "tornado": "gunicorn.workers.gtornado.TornadoWorker",
    "asgi": "gunicorn.workers.gasgi.ASGIWorker",
    "uvicorn": "gunicorn.workers.base.Worker",
}
"""The class of gunicorn's that each kind of worker extends."""
PING_EVERY = 20.0
"""Seconds between two pings of a websocket, where the worker can send them; also how long the answer may take."""


class _Pool(Watched):
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


class _Greenlets(Watched):
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


class _Tornado(Worker):
    def _take_app(self) -> None:
        super()._take_app()
        self.wsgi = answered(self.wsgi, self.log)


class _Coroutines(Worker):
    async def _start(self, answer: Callable[..., Awaitable[None]], state: Any) -> None:
        """Do what comes before the first request; the app's lifespan has begun."""
        await warm_up_asgi(self, answer, state)
        self._join()


class _Asgi(_Coroutines):
    asgi: Any

    cfg: Any

    def _take_app(self) -> None:
        self.asgi = asgi(self.asgi, self.log, self.rules, self._start, silent=True)

    def _get_ready(self) -> None:
        # The app's lifespan does, in the event loop, unless the user has turned it off.
        if self.cfg.asgi_lifespan == "off":
            self._join()


class _Uvicorn(_Coroutines):
    """uvicorn under gunicorn, by uvicorn's public interface alone: apps bring all kinds of versions."""

    SIGNALS: Any
    cfg: Any
    sockets: Any
    timeout: Any
    ppid: int
    notify: Callable[[], None]
    handle_exit: Callable[[int, FrameType | None], None]
    handle_usr1: Callable[[int, FrameType | None], None]

    def _take_app(self) -> None:
        self._leaving = Leaving(self.rules, self._count)
        self.wsgi = asgi(self.wsgi, self.log, self.rules, self._start, leaving=self._leaving)

    def _count(self) -> None:
        """Count a request that was answered."""
        self.nr += 1
        if self.nr >= self.max_requests and not self._server.should_exit:
            self.log.info("Autorestarting worker after current request.")  # as gunicorn's own workers say it
            self._server.should_exit = True

    def init_signals(self) -> None:
        # As it is before gunicorn's own workers change it: the app's children then report how they ended.
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGUSR1, self.handle_usr1)
        signal.siginterrupt(signal.SIGUSR1, False)

    def run(self) -> None:
        tell_manager(b"READY=1\nSTATUS=application loaded")
        import uvicorn
        from gunicorn.arbiter import Arbiter

        logger = logging.getLogger("uvicorn.error")
        logger.handlers, logger.propagate = self.log.error_log.handlers, False
        logger.setLevel(max(self.log.error_log.level, logging.WARNING))

        async def beat() -> None:
            self.notify()
            if self.ppid != os.getppid():  # no process would end it any more
                self._server.should_exit = True

        limit = max(1, self.cfg.graceful_timeout - 2)  # then there is time for its lifespan to end
        wanted = {
            "app": self.wsgi,
            "interface": "asgi3",
            "lifespan": "auto",
            "log_config": None,
            "access_log": False,
            "proxy_headers": False,  # `asgi` has looked at them
            "server_header": False,  # nginx sends its own, and a date
            "date_header": False,
            "timeout_keep_alive": self.cfg.keepalive,
            "timeout_notify": self.timeout,
            "callback_notify": beat,
            "timeout_graceful_shutdown": limit,
            "backlog": self.cfg.backlog,
            "h11_max_incomplete_event_size": self.rules.head,
            "ws_ping_interval": PING_EVERY,
            "ws_ping_timeout": PING_EVERY,
        }
        known = inspect.signature(uvicorn.Config).parameters
        config = uvicorn.Config(**{name: value for name, value in wanted.items() if name in known})
        server = self._server = leaving_server(uvicorn.Server, config, limit, self._leaving, self.notify)
        # uvicorn passes a signal that has ended it to the previous handler: by then there is nothing left to do.
        signal.signal(signal.SIGTERM, self.handle_exit)
        signal.signal(signal.SIGINT, self.handle_exit)
        signal.signal(signal.SIGQUIT, server.handle_exit)
        # Not gunicorn's objects around the sockets: uvloop would close the descriptor of such a one twice.
        server.run(sockets=[listener.sock for listener in self.sockets])
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)


_KINDS: Mapping[str, type] = {
    "threads": Threads,
    "sync": _Alone,
    "gthread": _Pool,
    "gevent": _Greenlets,
    "tornado": _Tornado,
    "asgi": _Asgi,
    "uvicorn": _Uvicorn,
}


def worker(kind: str, rules: Rules, proved: str = "") -> str:
    """Make the class of the workers of `kind`.

    Args:
        kind: One of `WORKERS`.
        rules: What its workers need to know of the app.
        proved: The newest gunicorn with which `threads` may serve; under a newer one it is `gthread`.

    Returns:
        The class's name, since older gunicorns take nothing else.
    """
    if kind == "threads" and _numbers(gunicorn.__version__) > _numbers(proved):
        kind = "gthread"
    module, _, name = WORKERS[kind].rpartition(".")
    base = getattr(importlib.import_module(module), name)
    name = f"{kind}_worker"
    globals()[name] = type(name, (_KINDS[kind], base), {"rules": rules})
    return f"{__name__}.{name}"


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d{1,9}", version)[:3]]

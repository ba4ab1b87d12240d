"""What the kit adds to gunicorn's workers; `gunicorn.conf.py` beside it loads this file.

- An app sees its client: the address and the scheme that nginx tells, since nginx alone can reach the socket.
- An exception that made a 500 is in the log, with the request's id, whatever the framework and the worker.
- A request that makes no progress at all is found, and its worker retires; one that its client still reads is left alone.
- uvicorn serves as a worker of gunicorn.

None of it is a hook of gunicorn's, so that what users write in `gunicorn_extra` can neither replace nor disturb it.

Python 3.10 or later, with the standard library, the app's gunicorn and, for its worker, the app's uvicorn.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import errno
import fcntl
import functools
import importlib
import inspect
import logging
import os
import re
import select
import signal
import socket
import struct
import sys
import termios
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any

WORKERS = {
    "sync": "gunicorn.workers.sync.SyncWorker",
    "gthread": "gunicorn.workers.gthread.ThreadWorker",
    "gevent": "gunicorn.workers.ggevent.GeventWorker",
    "tornado": "gunicorn.workers.gtornado.TornadoWorker",
    "asgi": "gunicorn.workers.gasgi.ASGIWorker",
    "uvicorn": "gunicorn.workers.base.Worker",
}
"""The class of gunicorn's that each kind of worker extends."""
LOCAL = "127.0.0.1"
"""The client of a request that did not come through nginx: the health gate's."""
LOOKS_EVERY = 1.0
"""Seconds between two looks at the requests under way, at the most."""
LATE = b"HTTP/1.1 504 Gateway Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
PING_EVERY = 20.0
"""Seconds between two pings of a websocket, where the worker can send them; also how long the answer may take."""


@dataclass(frozen=True)
class Rules:
    """What a worker needs to know of its app."""

    request: float
    """Seconds that nginx waits for an answer."""
    stream: float
    """Seconds that an upgraded connection or an event stream may be silent."""
    mount: str
    """The path below which the app lives; empty for the root."""
    head: int
    """Bytes that a request's head may have; nginx lets no more through."""


# systemd counts an instance as started when the first worker has loaded the app; gunicorn itself would say so before it
# has forked one.
_manager = os.environ.pop("NOTIFY_SOCKET", None)


def _tell_manager(message: bytes) -> None:
    if _manager:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.connect("\0" + _manager[1:] if _manager[0] == "@" else _manager)
            channel.sendall(message)


# -- The log ----------------------------------------------------------------------------------------------------------

_current: contextvars.ContextVar[_Told | None] = contextvars.ContextVar("slipway_request", default=None)
_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class _Told:
    """What was logged of one request."""

    def __init__(self, identity: str) -> None:
        self.id = identity if _ID.fullmatch(identity) else "-"
        self.record: logging.LogRecord | None = None
        """The last one with an exception."""

    def answers(self, status: int, log: Any) -> None:
        """Put the exception that made an error of the server's into the log, unless the framework's own logging did."""
        if status >= 500 and self.record is not None and not _shown(self.record):
            log.error(self.record.getMessage(), exc_info=self.record.exc_info)
        self.record = None


def _shown(record: logging.LogRecord) -> bool:
    """Whether some handler writes the record where the instance's log is made: to one of its outputs, or to a file."""
    logger: logging.Logger | None = logging.getLogger(record.name)
    handlers = 0
    while logger is not None:
        for handler in logger.handlers:
            handlers += 1
            written = isinstance(handler, logging.StreamHandler) and record.levelno >= handler.level
            if written and handler.filter(record):
                return True
        logger = logger.parent if logger.propagate else None
    return not handlers  # Python's handler of last resort writes it


def _name_requests() -> None:
    """From now on, what is logged with an exception while a request is answered names the request."""
    make = logging.getLogRecordFactory()

    def named(*arguments: Any, **keywords: Any) -> logging.LogRecord:
        record = make(*arguments, **keywords)
        told = _current.get()
        if told is not None and record.exc_info and record.exc_info[0] is not None:
            if isinstance(record.msg, str):
                record.msg = f"{record.msg.rstrip()} [request {told.id}]"
            told.record = record
        return record

    logging.setLogRecordFactory(named)


# -- The client -------------------------------------------------------------------------------------------------------


def wsgi(app: Callable[..., Any], log: Any) -> Callable[..., Any]:
    """`app` with what it should see of its client."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        told = _Told(environ.get("HTTP_X_REQUEST_ID", ""))
        _current.set(told)
        environ["REMOTE_ADDR"] = environ.get("HTTP_X_FORWARDED_FOR") or LOCAL
        if (scheme := environ.get("HTTP_X_FORWARDED_PROTO")) in ("http", "https"):
            environ["wsgi.url_scheme"] = scheme  # tornado looks at none of nginx's headers

        def start(status: str, headers: Any, *exc_info: Any) -> Any:
            told.answers(int(status[:3]) if status[:3].isdecimal() else 0, log)
            return start_response(status, headers, *exc_info)

        try:
            return app(environ, start)
        except OSError as error:
            # gunicorn takes any of these for one of its connection's, and ends that without an answer.
            connection = environ.get("gunicorn.socket")
            ended = connection is not None and (connection.fileno() < 0 or _gone(connection))
            if ended or type(error).__module__.startswith("gunicorn."):
                raise
            log.exception("Error handling request %s", environ.get("PATH_INFO", ""))
            start("500 Internal Server Error", [("Content-Type", "text/plain")], sys.exc_info())
            return [b"Internal Server Error\n"]

    return answer


def answered(app: Callable[..., Any], log: Any) -> Callable[..., Any]:
    """`app`, which answers 500 instead of raising: tornado lets a request wait for ever when its app raises.

    tornado gathers an answer before it sends any of it. So does this, as an exception may come in the middle.
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
        told, patient = _see_client(scope, rules)
        _current.set(told)
        if scope["type"] == "websocket":
            await app(scope, receive, send)
            return
        status = complete = 0
        late = _end_after(rules.request) if patient else None

        async def sending(message: dict[str, Any]) -> None:
            nonlocal status, complete
            if message["type"] == "http.response.start":
                status = message["status"]
                told.answers(status, log)
                if late:
                    late.cancel()
            elif message["type"] == "http.response.body":
                complete = not message.get("more_body", False)
            await send(message)

        try:
            await app(scope, receive, sending)
        except asyncio.CancelledError as reason:
            if status or reason.args != (LATE,):
                raise
            # nginx waits for an event stream; this one did not begin in time.
            await send({"type": "http.response.start", "status": 504, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body"})
        except Exception as error:
            if silent and complete and status >= 500:
                log.error("Exception in ASGI application", exc_info=error)
            raise
        finally:
            if late:
                late.cancel()

    return answer


def _end_after(seconds: float) -> asyncio.TimerHandle | None:
    """Have the task that asks cancelled as late, unless it cancels that."""
    task = asyncio.current_task()
    return asyncio.get_running_loop().call_later(seconds, task.cancel, LATE) if task else None


def _see_client(scope: dict[str, Any], rules: Rules) -> tuple[_Told, bool]:
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
    return _Told(heads.get(b"x-request-id", "")), "text/event-stream" in heads.get(b"accept", "").lower()


# -- Requests under way -----------------------------------------------------------------------------------------------


def counted(connection: Any) -> Any:
    """The same connection, which from now on notes when bytes moved over it."""
    kind: Any = type(connection)
    return _counting(kind)(connection.family, connection.type, connection.proto, fileno=connection.detach())


@functools.cache
def _counting(base: Any) -> Any:
    """A kind of socket (gevent has its own) that notes when bytes moved over it, either way."""

    class Connection(base):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **keywords: Any) -> None:
            super().__init__(*arguments, **keywords)
            self.moved = time.monotonic()
            self.reading = 0
            self.begun = False
            self.stream = False
            """Whether the answer is an upgrade or a stream of events."""

        def _reads(self, read: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
            self.reading += 1
            try:
                return read(*arguments, **keywords)
            finally:
                self.reading -= 1
                self.moved = time.monotonic()

        def _sends(self, send: Callable[..., Any], data: Any, *arguments: Any, **keywords: Any) -> Any:
            if not self.begun:
                # gunicorn and the websocket libraries send a head in one piece.
                head = bytes(data[:65536]).partition(b"\r\n\r\n")[0].lower()
                self.begun = not head.startswith(b"http/1.1 100")
                self.stream = head[9:12] == b"101" or b"\r\ncontent-type: text/event-stream" in head
            try:
                return send(data, *arguments, **keywords)
            finally:
                self.moved = time.monotonic()

        def recv(self, *arguments: Any, **keywords: Any) -> Any:
            return self._reads(super().recv, *arguments, **keywords)

        def recv_into(self, *arguments: Any, **keywords: Any) -> Any:
            return self._reads(super().recv_into, *arguments, **keywords)

        def send(self, *arguments: Any, **keywords: Any) -> Any:
            return self._sends(super().send, *arguments, **keywords)

        def sendall(self, *arguments: Any, **keywords: Any) -> Any:
            return self._sends(super().sendall, *arguments, **keywords)

        def sendfile(self, *arguments: Any, **keywords: Any) -> Any:
            try:
                return super().sendfile(*arguments, **keywords)
            finally:
                self.moved = time.monotonic()

    return Connection


def _gone(connection: Any) -> bool:
    """Whether nginx has hung up: it never closes its half alone."""
    look = select.poll()
    look.register(connection.fileno(), select.POLLRDHUP)
    return bool(look.poll(0))


def _unread(connection: Any) -> int:
    """Bytes that were sent and that nginx has not taken yet (unix(7), SIOCOUTQ)."""
    return int(struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0])


def progresses(connection: Any, rules: Rules) -> bool:
    """Whether a request is not to be called hung.

    It is not while it is nginx's turn, which has limits of its own: the app has sent what nginx has not taken, since the
    client reads slowly, or it waits for more of the request. And not before it was silent for as long as nginx waits.
    """
    try:
        if connection.reading or _unread(connection):
            connection.moved = time.monotonic()
            return True
        waits = rules.request
        if connection.stream and not _gone(connection):
            waits += rules.stream  # nginx ends it after that, and the app may need a moment to see it
    except (OSError, ValueError):  # closed meanwhile: it is just ending
        return True
    return bool(time.monotonic() - connection.moved <= waits)


# -- The workers ------------------------------------------------------------------------------------------------------


class _Worker:
    """What all kinds have in common. Mixed in before gunicorn's class."""

    rules: Rules
    log: Any
    wsgi: Any

    def load_wsgi(self) -> None:
        _name_requests()
        super().load_wsgi()  # type: ignore[misc]
        self._take_app()

    def _take_app(self) -> None:
        self.wsgi = wsgi(self.wsgi, self.log)

    def run(self) -> None:
        _tell_manager(b"READY=1\nSTATUS=application loaded")
        super().run()  # type: ignore[misc]


class _Watched(_Worker):
    """Looks after its requests. gunicorn's `timeout` watches a worker's heartbeat, which goes on while its threads hang."""

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
        """Retire when a request hangs. nginx has told its client so (504); the hung threads end with the worker."""
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
            # The others may finish; what hangs now hangs for good. Two looks, since one that waited may be about to begin.
            looks = looks + 1 if hung and len(hung) == len(requests) else 0
            if looks == 2 or (end and time.monotonic() > end):
                os._exit(1)

    def _say_late(self, connection: Any) -> None:
        """Where nginx is patient, since an event stream was asked for, it has told nobody yet."""
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
        # Who waited too long for a thread has been told so, or has left: doing his work would make the others wait as long.
        if _gone(conn.sock):
            raise BrokenPipeError(errno.EPIPE, "nobody waits for the answer any more")
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
        # As it is before gunicorn's own workers change it: children of the app's are told how they ended.
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
            if self.ppid != os.getppid():  # nobody would end it any more
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
        # uvicorn gives a signal that has ended it to whoever had it before: by then there is nothing left to do.
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


# -- The user's part --------------------------------------------------------------------------------------------------


def merge(settings: dict[str, Any], path: str, owned: Mapping[str, str]) -> None:
    """Run the user's `gunicorn_extra`, and put the settings that it makes into `settings`.

    In a namespace of its own, in which it reads the kit's settings. Those that are the kit's to set (`owned`) are refused
    here too, since nobody can see beforehand what Python code sets.
    """
    from gunicorn.config import KNOWN_SETTINGS

    names = {setting.name for setting in KNOWN_SETTINGS}
    ours = {name: value for name, value in settings.items() if name in names}
    space = {"__name__": "gunicorn_extra", "__file__": path, **ours}
    with open(path, encoding="utf-8") as file:
        exec(compile(file.read(), path, "exec"), space)  # noqa: S102  it is configuration, as gunicorn's own file is
    for name in sorted(names & set(space)):
        if name in ours and space[name] is ours[name]:
            continue
        if name in owned:
            raise SystemExit(f"gunicorn_extra must not set {name}: {owned[name]}")
        settings[name] = space[name]

"""Looks at the connections over which requests come: do their bytes move?"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import re
import select
import socket
import struct
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    _Socket = socket.socket
else:
    _Socket = object

TOGETHER = 65536
"""Bytes of a body's first piece that are sent together with the head."""
_GUNICORNS = re.compile(rb"http/1\.1 200 [^\r]*\r\nserver: gunicorn\r\n")
"""How the head of an answer begins that gunicorn sends, and no app by itself."""
_LENGTH = re.compile(rb"\r\ncontent-length: [1-9]")
"""In the head of an answer that has a body of known length."""


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
    release: str = ""
    """The release's id, for nginx's log."""
    warm_up: tuple[str, ...] = ()
    """Paths, with the mount in front, that each worker requests of itself before it serves."""
    host: str = "localhost"
    """The name by which it does so."""
    scheme: str = "http"
    recycle: int = 0
    """Bytes of memory above which a worker is replaced; 0 for never."""
    limit: int = 0
    """Bytes of memory that the kernel lets all processes of the instance have; 0 for no limit."""
    current: str = ""
    """The link to the current release."""


def counted(connection: Any) -> Any:
    """The same connection, which from now on notes when bytes moved over it."""
    kind: Any = type(connection)
    return counting(kind)(connection.family, connection.type, connection.proto, fileno=connection.detach())


class _Counting(_Socket):
    """Mixed in before a kind of socket: notes when bytes moved over it, either way."""

    asked = False
    """Whether the head of a request has arrived."""
    reading = 0
    begun = False
    """Whether an answer has."""
    patience: float | None = None
    """Seconds that nginx waits for this answer, where they are not the app's."""
    stream = False
    """Whether the answer is an upgrade or a stream of events."""
    holds = False
    """Whether the head of an answer waits for the first bytes of its body. gunicorn sends them one right after the other. Together
    they cost the worker and nginx a system call less each."""
    _held: Any = b""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.moved = time.monotonic()

    def begin(self) -> None:
        """Note that a request is to be answered now."""
        self.moved, self.asked = time.monotonic(), True

    def _reads(self, read: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        self.flush()
        self.reading += 1
        try:
            return read(*arguments, **keywords)
        finally:
            self.reading -= 1
            self.moved = time.monotonic()

    def _look(self, data: Any) -> bool:
        """Look at the first bytes of an answer; whether they are a head that may wait for the body."""
        # gunicorn and the websocket libraries send a head in one piece.
        head = bytes(data[:65536]).partition(b"\r\n\r\n")[0].lower()
        self.begun = not head.startswith(b"http/1.1 100")
        self.stream = head[9:12] == b"101" or b"\r\ncontent-type: text/event-stream" in head
        is_head = len(data) == len(head) + 4 and _GUNICORNS.match(head) is not None
        return is_head and not self.stream and _LENGTH.search(head) is not None

    def _sends(self, send: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        try:
            return send(*arguments, **keywords)
        finally:
            self.moved = time.monotonic()

    def flush(self) -> None:
        """Send a head that still waits for its body."""
        held, self._held = self._held, b""
        if held:
            super().sendall(held)

    def recv(self, *arguments: Any, **keywords: Any) -> Any:
        return self._reads(super().recv, *arguments, **keywords)

    def recv_into(self, *arguments: Any, **keywords: Any) -> Any:
        return self._reads(super().recv_into, *arguments, **keywords)

    def send(self, data: Any, *arguments: Any, **keywords: Any) -> Any:
        self.flush()
        if not self.begun:
            self._look(data)
        return self._sends(super().send, data, *arguments, **keywords)

    def sendall(self, data: Any, *arguments: Any, **keywords: Any) -> Any:
        if not self.begun and self._look(data) and self.holds:
            self._held, self.moved = data, time.monotonic()
            return None
        if self._held and len(data) <= TOGETHER:
            data, self._held = b"".join((self._held, data)), b""
        self.flush()
        return self._sends(super().sendall, data, *arguments, **keywords)

    def sendfile(self, *arguments: Any, **keywords: Any) -> Any:
        self.flush()
        return self._sends(super().sendfile, *arguments, **keywords)

    def shutdown(self, how: int) -> None:
        self._flush_at_last()
        super().shutdown(how)

    def close(self) -> None:
        self._flush_at_last()
        super().close()

    def _flush_at_last(self) -> None:
        if self._held:
            with contextlib.suppress(OSError):
                self.flush()


@functools.cache
def counting(base: Any) -> Any:
    """A kind of socket (gevent has its own) that notes when bytes moved over it, either way."""
    return type("Connection", (_Counting, base), {})


def end_if_silent(connection: Any, seconds: float) -> None:
    """End a connection if no request has arrived for so long.

    One whose bytes wait to be read is the worker's own delay.
    """
    with contextlib.suppress(OSError, ValueError):  # closed meanwhile
        if time.monotonic() - connection.moved > seconds and not _polled(connection, select.POLLIN):
            connection.shutdown(socket.SHUT_RDWR)  # the thread that reads from it gets its end


def gone(connection: Any) -> bool:
    """Whether nginx has hung up: it never closes its half alone."""
    return _polled(connection, select.POLLRDHUP)


def _polled(connection: Any, events: int) -> bool:
    look = select.poll()
    look.register(connection.fileno(), events)
    return bool(look.poll(0))


def _unread(connection: Any) -> int:
    """Bytes that were sent and that nginx has not taken yet (unix(7), SIOCOUTQ)."""
    return int(struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0])


def progresses(connection: Any, rules: Rules) -> bool:
    """Whether a request is not to be called hung.

    A request does not hang while it waits for nginx, which has separate limits. nginx has not taken what the app has sent,
    since the client reads slowly, or has not sent the rest of the request. And a request does not hang before it was silent
    for as long as nginx waits.
    """
    try:
        if connection.reading or _unread(connection):
            connection.moved = time.monotonic()
            return True
        waits = rules.request if connection.patience is None else connection.patience
        if connection.stream and not gone(connection):
            waits += rules.stream  # nginx ends it after that, and the app may need a moment to see it
    except (OSError, ValueError):  # closed meanwhile: it is just ending
        return True
    return bool(time.monotonic() - connection.moved <= waits)

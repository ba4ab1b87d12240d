"""How many connections a unix socket has: those that no worker has accepted yet, and those being served.

Asked from the kernel itself (sock_diag(7)), as `ss -xl` does: iproute2 need not be there, and no process is started.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable

_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY = 4, 20  # linux/netlink.h, linux/sock_diag.h
_REQUEST_DUMP, _ERROR, _DONE = 0x301, 2, 3  # NLM_F_REQUEST | NLM_F_ROOT | NLM_F_MATCH, linux/netlink.h
_ESTABLISHED, _LISTEN = 1, 10  # TCP_ESTABLISHED, TCP_LISTEN, used for unix sockets too
_SHOW_NAME, _SHOW_RQLEN = 0x1, 0x10  # UDIAG_SHOW_*, linux/unix_diag.h
_NAME, _RQLEN = 0, 4  # UNIX_DIAG_*, linux/unix_diag.h
_HEADER, _REQUEST, _MESSAGE, _ATTRIBUTE = (struct.Struct(s) for s in ("=IHHII", "=BBHIIIII", "=BBBBIII", "=HH"))


def waiting(path: str) -> int | None:
    """Connections in the accept queue of the socket bound at `path`; None when no process listens there.

    Raises:
        OSError: the kernel does not tell (no sock_diag for unix sockets).
    """
    queues = _sockets(path, _LISTEN)
    return sum(queues) if queues else None


def served(path: str) -> int:
    """Connections to the socket bound at `path` that were accepted and are open: an accepted one carries its name.

    Raises:
        OSError: the kernel does not tell.
    """
    return len(_sockets(path, _ESTABLISHED))


def _sockets(path: str, state: int) -> list[int]:
    """The receive queue of every socket that is called `path` and in `state`."""
    request = _REQUEST.pack(socket.AF_UNIX, 0, 0, 1 << state, 0, _SHOW_NAME | _SHOW_RQLEN, 0xFFFFFFFF, 0xFFFFFFFF)
    header = _HEADER.pack(_HEADER.size + len(request), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0)
    wanted = os.fsencode(path)
    lengths: list[int] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as link:
        link.settimeout(5)
        link.send(header + request)
        while True:
            data = link.recv(256 * 1024)
            while data:
                length, kind = _HEADER.unpack_from(data)[:2]
                body, data = data[_HEADER.size : length], data[_align(length) :]
                if kind == _DONE:
                    return lengths
                if kind == _ERROR:
                    code = -struct.unpack_from("=i", body)[0]
                    raise OSError(code, os.strerror(code))
                values = _attributes(body[_MESSAGE.size :])
                if values.get(_NAME, b"").rstrip(b"\0") == wanted and _RQLEN in values:
                    lengths.append(int(struct.unpack_from("=I", values[_RQLEN])[0]))


def drained(path: str, limit: float) -> bool:
    """Wait until nothing waits on the socket, three looks in a row; False after `limit` seconds.

    Three, since a proxy may have looked up the path before the switch and connect to it right after.
    """
    return _until(lambda: not waiting(path), limit, 3, 0.02)


def idle(path: str, limit: float) -> bool:
    """Wait until no connection is left to a socket that is drained, two looks in a row; False after `limit` seconds.

    Two, since the kernel shows a connection in neither place while a worker is about to accept it.
    """
    return _until(lambda: not waiting(path) and not served(path), limit, 2, 0.05)


def _until(condition: Callable[[], bool], limit: float, looks: int, pause: float) -> bool:
    """Await the condition, `looks` times in a row, with so many seconds between them.

    Where the kernel does not tell, the limit is waited out, five seconds at most.
    """
    end, met = time.monotonic() + limit, 0
    while True:
        try:
            met = met + 1 if condition() else 0
        except OSError:
            time.sleep(min(limit, 5.0))
            return False
        if met == looks:
            return True
        if time.monotonic() > end:
            return False
        time.sleep(pause)


def _align(length: int) -> int:
    return (length + 3) & ~3


def _attributes(data: bytes) -> dict[int, bytes]:
    attributes = {}
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if length < _ATTRIBUTE.size:
            break
        attributes[kind] = data[_ATTRIBUTE.size : length]
        data = data[_align(length) :]
    return attributes

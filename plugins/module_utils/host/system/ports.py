"""Who listens on a TCP port of this host, by what the kernel tells in /proc: no program is asked, and no time is lost."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator

LISTENING = "0A"
"""A socket's state in /proc/net/tcp (TCP_LISTEN in the kernel's net/tcp_states.h)."""
SECONDS = 2.0
"""How long the processes are looked through for the one that has a socket open; ten thousand of them take a second."""


def other_listener(root: str, port: int, nginx: int | None) -> dict[str, object] | None:
    """Return which program listens on ``port``, apart from the process ``nginx`` and those it began; None when none does.

    ``program`` is its name, empty where it cannot be found: a process of another container, or not in time. ``pid`` is 0
    then. A socket on any address counts: nginx could not listen on all of them beside it.
    """
    sockets = listening(root, port)
    if nginx is not None:
        sockets -= open_sockets(root, nginx)
    if not sockets:
        return None
    end = time.monotonic() + SECONDS
    for pid in processes(root):
        if sockets & open_sockets(root, pid):
            return {"program": name_of(root, pid), "pid": pid}
        if time.monotonic() > end:
            break
    return {"program": "", "pid": 0}


def listening(root: str, port: int) -> set[str]:
    """Return the inodes of the sockets that listen on ``port``, IPv4 and IPv6."""
    sockets = set()
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError), open(os.path.join(root, "proc/net", name), encoding="ascii") as table:
            for line in table:
                fields = line.split()
                if len(fields) > 9 and fields[3] == LISTENING and fields[1].endswith(f":{port:04X}"):
                    sockets.add(fields[9])
    return sockets


def open_sockets(root: str, pid: int) -> set[str]:
    """Return the inodes of the sockets that a process has open; none when it is gone, or not ours to look at."""
    folder, sockets = os.path.join(root, "proc", str(pid), "fd"), set()
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            with contextlib.suppress(OSError):
                if match := re.fullmatch(r"socket:\[(\d+)\]", os.readlink(os.path.join(folder, name))):
                    sockets.add(match[1])
    return sockets


def processes(root: str) -> Iterator[int]:
    """Yield the processes' numbers, lowest first: who began a socket comes before those who have inherited it."""
    with contextlib.suppress(OSError):
        yield from sorted(int(name) for name in os.listdir(os.path.join(root, "proc")) if name.isdigit())


def name_of(root: str, pid: int) -> str:
    """Return a process's name, as ps(1) shows it, in plain characters."""
    try:
        with open(os.path.join(root, "proc", str(pid), "comm"), "rb") as handle:
            return re.sub(r"[^ -~]", "?", handle.read(64).decode("ascii", "replace").strip())
    except OSError:
        return ""

"""Reads what untrusted programs wrote in a process without rights, which answers with JSON.

Clients decide what is in nginx's log, and an app what is in its own. A fault in the code that reads them is then no fault in a process of root.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import resource
import select
import signal
import time
from collections.abc import Callable
from typing import Any

from ...contract.errors import HostError

USER = "nobody"
LIMIT = 4 << 20
"""Bytes of an answer."""
MEMORY = 512 << 20
"""Bytes that the process may use more than this one."""


def apart(work: Callable[[], Any], deadline: float) -> Any:
    """The result of `work` as plain data. It runs as another user, and may use the files that are open already.

    Raises:
        HostError: it failed, or took longer than `deadline` seconds.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            os.close(reading)
            _drop(deadline)
            data = json.dumps(work()).encode()
            while data:
                data = data[os.write(writing, data) :]
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    try:
        return _received(reading, time.monotonic() + deadline)
    finally:
        os.close(reading)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _drop(deadline: float) -> None:
    """Give up all rights, and limit what is left. Nothing can be imported afterwards: the kit's modules are root's."""
    with open("/proc/self/statm", "rb") as handle:
        taken = int(handle.read().split()[0]) * resource.getpagesize()
    if os.geteuid() == 0:
        account = pwd.getpwnam(USER)
        os.setgroups([])
        os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
        os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (int(deadline) + 1, int(deadline) + 2))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _received(pipe: int, until: float) -> Any:
    data = bytearray()
    while len(data) <= LIMIT:
        left = until - time.monotonic()
        if left <= 0 or not select.select([pipe], [], [], left)[0]:
            raise HostError("reading the logs took too long")
        piece = os.read(pipe, 65536)
        if not piece:
            try:
                return json.loads(data)
            except (ValueError, RecursionError, MemoryError):
                raise HostError("the logs could not be read") from None
        data += piece
    raise HostError("the logs hold more than can be shown")

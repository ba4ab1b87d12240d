"""What follows a command for nginx: whether it was carried out, and who may read new logs.

`nginx -s reload` succeeds as soon as the signal is sent.

A reload can fail: another program holds an address, or a file is missing for nginx. The master then says so only in its log,
and keeps running with its old configuration. A master that can reload begins new workers: the kit waits for that sign.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import stat
import time
from collections.abc import Iterator, Sequence

from ...contract.errors import HostError

PID_FILE = "/run/nginx.pid"
"""In the kit's nginx.conf, and in Debian's."""
ERROR_LOG = "/var/log/nginx/error.log"
SITE_LOGS = "/var/log/nginx/slipway-*.log"
"""Each site has two. nginx makes them for every user to read; after a rotation only root and the folder's group may."""
EMERGENCY = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[emerg\] (\d{1,10})#\d+: (.*)")
"""A line of that level in nginx's log: the process, and what it says."""
READ = 1 << 20
"""Characters of the log that are read at most. Clients can make it grow meanwhile."""
SECONDS = 10.0
"""How long the master may take to read its configuration. A thousand sites take one second, and an address that is held is
tried for two and a half."""


def workers_of(master: int) -> frozenset[int] | None:
    """The children of a process; None when it is gone."""
    try:
        with open(f"/proc/{master}/task/{master}/children", encoding="ascii") as handle:
            return frozenset(map(int, handle.read().split()))
    except OSError:
        return None


@contextlib.contextmanager
def carried_out(command: Sequence[str], settled: bool = False) -> Iterator[None]:
    """Around a command: when it is one for a running nginx, wait until nginx has new workers.

    With `settled`, also until no earlier worker accepts requests any more.

    Raises HostError, with what nginx says, when it keeps running with the old ones.
    """
    if not any(os.path.basename(word).split(".")[0] == "nginx" for word in command):
        yield
        return
    master = _master()
    before = workers_of(master) if master else None
    begin = _size(ERROR_LOG)
    yield
    _restrict_logs()
    if not master or not before:  # it did not run, or it has no workers to tell by
        return
    end, pause = time.monotonic() + SECONDS, 0.005
    while True:
        now = workers_of(master)
        if (now is None and _master() != master) or (now is not None and now - before):
            break
        messages = _emergencies(begin, master)
        # An address that is held is tried five times before nginx gives up: until then it may become free.
        final = [line for line in messages if "bind() to" not in line]
        if final or time.monotonic() > end:
            why = "".join(f"\n{line}" for line in messages) or f" within {SECONDS:g} s, and its log does not say why"
            raise HostError(f"nginx rejected the new configuration and still runs the old one{why}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)
    while settled and any(map(_accepts, before)) and time.monotonic() < end:
        time.sleep(0.01)


def _accepts(worker: int) -> bool:
    """Whether a worker still accepts requests. One that is to end says so in its name."""
    try:
        with open(f"/proc/{worker}/cmdline", "rb") as handle:
            name = handle.read()
    except OSError:
        return False
    return bool(name) and b"shutting down" not in name


def _restrict_logs() -> None:
    """Let only root and the folder's group read the logs of sites: queries and addresses of clients are in them."""
    for path in glob.glob(SITE_LOGS):
        with contextlib.suppress(OSError):  # it is rotated at this moment
            number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                about = os.fstat(number)
                if stat.S_ISREG(about.st_mode) and about.st_mode & 0o007:
                    os.fchown(number, -1, os.stat(os.path.dirname(path)).st_gid)
                    os.fchmod(number, 0o640)
            finally:
                os.close(number)


def _master() -> int | None:
    """The process that nginx's pid file names; None when it is gone."""
    try:
        with open(PID_FILE, encoding="ascii") as handle:
            pid = int(handle.read().strip())
    except (OSError, ValueError):
        return None
    return pid if workers_of(pid) is not None else None


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


def _emergencies(begin: int, master: int) -> list[str]:
    """The different lines that nginx's master has logged as emergencies since then, without time and process.

    The workers' lines of the same log quote clients, who can write anything into a request.
    """
    try:
        with open(ERROR_LOG, encoding="utf-8", errors="replace", newline="\n") as handle:
            handle.seek(begin)
            lines = handle.read(READ).split("\n")
    except OSError:
        return []
    matches = (EMERGENCY.match(line) for line in lines)
    return list(dict.fromkeys(f"[emerg] {match[2]}" for match in matches if match and int(match[1]) == master))

"""Runs a command and ends everything that it started, on hosts without systemd. It is a separate process.

What loses its parent becomes the child of the nearest "subreaper" above it (prctl(2)), and that is this process. So no
process that the command starts gets away, however often it forks.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
from typing import NoReturn

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
LISTED = "/proc/self/task/{}/children"
"""The kernel's list, where it is built to keep one (CONFIG_PROC_CHILDREN)."""
SPIN = 0.5
"""Seconds of looking without a pause: what forks faster than one looks would get away from one that rests."""
PAUSE = 0.01
DEADLINE = 10.0
"""Seconds within which what was killed is gone, unless the kernel holds it."""
FAILED = 70
"""Exit status when this process itself cannot do its work (EX_SOFTWARE of sysexits.h)."""


def main() -> NoReturn:
    """`CONTROL COMMAND…`: run the command until it ends, or until no process holds the other end of the pipe CONTROL.

    SIGTERM is for the command and its group: it asks them to end.
    """
    control, command = int(sys.argv[1]), sys.argv[2:]
    os.set_inheritable(control, False)
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        print("this kernel knows no subreaper: what the command starts could not be ended", file=sys.stderr)
        sys.exit(FAILED)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: None)
    signal.set_wakeup_fd(wake)
    try:
        child = os.posix_spawnp(
            command[0], command, os.environ, setsid=True, setsigdef=[signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD]
        )
    except OSError as error:
        print(f"cannot execute {command[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(FAILED)
    status: int | None = None
    while status is None:
        ready, _, _ = select.select([woken, control], [], [])
        if woken in ready:
            arrived = os.read(woken, 4096)
            status = reap().get(child)
            if signal.SIGTERM in arrived and status is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child, signal.SIGTERM)
        if control in ready:
            break
    ended = end()
    status = ended.get(child, 0) if status is None else status
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def reap() -> dict[int, int]:
    """Take note of the children that have ended: their statuses by pid."""
    statuses = {}
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            statuses[pid] = status
    return statuses


def end() -> dict[int, int]:
    """Kill until there is no child any more, and so nothing below one: orphans become children. As `reap` otherwise."""
    statuses: dict[int, int] = {}
    begun = time.monotonic()
    while True:
        statuses |= reap()
        pids = children()
        if not pids and not _any():
            return statuses
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        since = time.monotonic() - begun
        if since > DEADLINE:
            print(f"{len(pids)} processes did not end, such as {pids[:1]}", file=sys.stderr)
            os._exit(FAILED)
        if since > SPIN:
            time.sleep(PAUSE)


def _any() -> bool:
    """Whether there is a child: the kernel's own answer, which misses none that is just being born."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def children() -> list[int]:
    """The children of this process, by the kernel's list, or by looking at every process where it keeps none."""
    try:
        with open(LISTED.format(os.getpid()), encoding="ascii") as handle:
            return [int(pid) for pid in handle.read().split()]
    except FileNotFoundError:
        return [int(name) for name in os.listdir("/proc") if name.isdigit() and _parent(name) == os.getpid()]


def _parent(pid: str) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as handle:
            return int(handle.read().rpartition(b")")[2].split()[1])
    except OSError:
        return 0


if __name__ == "__main__":
    main()

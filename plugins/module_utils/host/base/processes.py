"""The processes of a user: found in /proc, and ended."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import re
import signal
import socket
import sys
import time
from collections.abc import Callable, Collection, Iterator

from ...contract.errors import HostError
from ...contract.words import counted

NS_GET_USERNS = 0xB701
NS_GET_OWNER_UID = 0xB704
"""Requests of ioctl_ns(2): the user namespace that a namespace belongs to, and the user who made that."""
PAUSE = 0.05
"""Seconds between two looks."""
COMMAND = re.compile(rb"/slipway-[a-z0-9-]+-run-[0-9a-f]{12}\.service")
"""The control group of a one-off command. No user of the host but root can move a process into one."""
REAPER = b"host.base.reaper import main"
"""In the command of the process that watches over commands where systemd does not run."""
WATCHED = 0.06
"""Seconds in which no process may appear: one that forks and exits again and again is in no list for long enough to be read."""


def command(pid: int) -> str:
    """What a process runs, for a message, on one line; its short name where it shows no arguments."""
    for name in ("cmdline", "comm"):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/{name}", "rb") as handle:
                # A process writes its own arguments: at most 200 bytes of them, and nothing that a terminal obeys.
                text = handle.read(200).replace(b"\0", b" ").decode("utf-8", "replace")
            shown = "".join(letter if letter.isprintable() else "?" for letter in text.strip())
            if shown:
                return shown
    return "?"


def owner(pid: int) -> str:
    """The name of the user that a process runs as; its number where it has no name."""
    user_ids = uids(pid)
    if not user_ids:
        return "?"
    try:
        return pwd.getpwuid(user_ids[1]).pw_name
    except KeyError:
        return str(user_ids[1])


def uids(pid: int) -> tuple[int, ...]:
    """The real, effective, saved and file system uid of a process; empty when it is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/status", "rb") as handle:
            fields = dict(line.split(b":", 1) for line in handle.read().splitlines() if b":" in line)
    except OSError:
        return ()
    if fields.get(b"State", b"").split()[:1] in ([b"Z"], [b"X"]):
        return ()
    return tuple(map(int, fields.get(b"Uid", b"").split()))


def _uid(user: str) -> int | None:
    """The number of a user; None where there is none of that name."""
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None


def end_everything(user: str, deadline: float = 15.0) -> None:
    """End every process of a user at once, and return when none is left; nothing where there is no such user.

    A container may run processes under the same number for another user: they are left alone.

    Raises:
        HostError: after `deadline` seconds, with what is still there.
    """
    uid = _uid(user)
    if uid is None:
        return
    if uid in (0, os.getuid()):
        raise HostError(f"the processes of {user} are not an app's: none was ended")
    until, killed = time.monotonic() + deadline, False
    while True:
        remaining, others = _of(uid)
        if not remaining and (killed or others):
            return
        if time.monotonic() > until:
            shown = ", ".join(f"{pid} ({command(pid)})" for pid in remaining[:5])
            raise HostError(
                f"{counted(len(remaining), 'process', 'processes')} of {user} did not end within {deadline:.0f} s: "
                f"{shown}. What hangs in the kernel ends with its disk or a restart of the host"
            )
        if others:
            for pid in remaining:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        else:
            # Also when the list was empty: a process that forks and exits again and again may be in none.
            _kill_as(uid)
            killed = True
        if remaining:
            time.sleep(PAUSE)


def end_orphans(user: str, mains: Callable[[], Collection[int]], deadline: float = 15.0) -> None:
    """End what runs as a user and does not descend from its programs, and return when nothing of it is left.

    What has left its process group and lost its parent outlives the stop of its program where no control group holds it.

    Args:
        user: whose processes.
        mains: asks for the programs' processes; empty where one has none at this moment, in which nothing is ended.
        deadline: seconds.

    Raises:
        HostError: after `deadline` seconds, with what is still there.
    """
    uid = _uid(user)
    if uid is None or uid in (0, os.getuid()):
        return  # not an app's: root and the kit's user may have anything running
    until = time.monotonic() + deadline
    while True:
        # In this order: a program that has restarted meanwhile is in the list only if it is the one named.
        running = _of(uid)[0]
        programs = mains()
        descent = {pid: _descends(pid, programs) for pid in running} if programs else {}
        orphans = [pid for pid, descends in descent.items() if descends is False and not _commanded(pid)]
        if programs and not orphans:
            orphans = _appearing(uid, programs)
            if not orphans:
                return
        if time.monotonic() > until:
            if not orphans:
                return  # the program crashes again and again; the next run looks again
            shown = ", ".join(f"{pid} ({command(pid)})" for pid in orphans[:5])
            raise HostError(
                f"what earlier instances of {user} left running did not end within {deadline:.0f} s: {shown}. End it by hand"
            )
        # A process that forks without end is halted first, so that it cannot be faster.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in orphans:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        time.sleep(PAUSE)


def _appearing(uid: int, programs: Collection[int]) -> list[int]:
    """The first process of the user that appears within WATCHED seconds and does not descend from the programs."""
    until, known = time.monotonic() + WATCHED, set(pids())
    while time.monotonic() < until:
        current = set(pids())
        for pid in current - known:
            if uid in uids(pid) and _belongs(pid, uid) and _descends(pid, programs) is False and not _commanded(pid):
                return [pid]
        known = current
        time.sleep(0.001)
    return []


def _descends(pid: int, programs: Collection[int]) -> bool | None:
    """Whether a process is one of the programs or comes from one; None for one that is gone."""
    while pid not in (0, 1):
        if pid in programs:
            return True
        try:
            pid = parent(pid)
        except OSError:
            return None
    return False


def parent(pid: int) -> int:
    """The parent of a process. Raises OSError when it is gone."""
    with open(f"/proc/{pid}/stat", "rb") as handle:
        return int(handle.read().rpartition(b")")[2].split()[1])


def started(pid: int) -> int | None:
    """When a process started, in ticks since the boot (proc(5), field 22); None where it has ended. Numbers are used again."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as handle:
            fields = handle.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def _commanded(pid: int) -> bool:
    """Whether a process belongs to a one-off command: to its unit, or to the process that watches over it as root."""
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/cgroup", "rb") as handle:
            if COMMAND.search(handle.read()):
                return True
        while pid not in (0, 1):
            pid = parent(pid)
            with open(f"/proc/{pid}/cmdline", "rb") as handle:
                if REAPER in handle.read(8192) and uids(pid)[:1] == (0,):
                    return True
    return False


def _kill_as(uid: int) -> None:
    """Kill all that this user may kill, in one go of the kernel's: what forks faster than one can look does not escape."""
    child = os.fork()
    if not child:
        try:
            os.setresuid(uid, uid, uid)
            os.kill(-1, signal.SIGKILL)
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def _of(uid: int) -> tuple[list[int], list[int]]:
    """The processes that run under a number: (the host's user's, those of containers)."""
    of_host: list[int] = []
    others: list[int] = []
    for pid in pids():
        if uid in uids(pid):
            (of_host if _belongs(pid, uid) else others).append(pid)
    return of_host, others


def pids() -> Iterator[int]:
    """The numbers of all processes; none where there is no /proc, as on some controllers."""
    with contextlib.suppress(FileNotFoundError):
        yield from (int(name) for name in os.listdir("/proc") if name.isdigit())


def _belongs(pid: int, uid: int) -> bool:
    """Whether a process is in our namespace of processes, or in one that this user made for itself."""
    path = f"/proc/{pid}/ns/pid"
    try:
        if os.readlink(path) == os.readlink("/proc/self/ns/pid"):
            return True
        with open(path, "rb") as handle:
            space = fcntl.ioctl(handle, NS_GET_USERNS)
        try:
            number = fcntl.ioctl(space, NS_GET_OWNER_UID, bytes(4))
        finally:
            os.close(space)
    except OSError:
        return True  # it is ending, and shows nothing any more
    return int.from_bytes(number, sys.byteorder) == uid


def listens(path: str) -> bool:
    """Whether a process listens on the unix socket at `path`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(2)
        try:
            client.connect(path)
        except OSError:
            return False
        return True

"""Locks that one waits for a limited time, and that name who has them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Iterator

from ...contract.errors import HostError
from . import processes

PATIENCE = 60.0
"""Seconds that one waits for the same holder: what these locks guard takes well under a second, unless it is a step."""
STEP = 900.0
"""Seconds in all for a running step of a deploy: the longest, a build, has that long."""
FOREIGN = 1.0
"""Seconds after which one looks whether a process without a right to the lock holds it."""
AT_WORK = ("/slipway/modules/", "AnsiballZ_")
"""In the command of a running step: where hosts keep the kit's modules, and how Ansible calls one that it sent."""


class Held(HostError):
    """A lock was not given back in time; the text names the holder."""


def prepare(path: str) -> None:
    """Let the folder above a path be there, for root alone: who can read a lock's file can hold it, and all others wait."""
    folder = os.path.dirname(path)
    os.makedirs(folder, 0o700, exist_ok=True)
    if stat.S_IMODE(os.stat(folder).st_mode) != 0o700:  # hosts that were set up before
        os.chmod(folder, 0o700)


@contextlib.contextmanager
def hold(path: str, patience: float = PATIENCE, step: float = STEP) -> Iterator[int]:
    """Hold the lock on a file, which is made where it is missing, for its owner alone; gives its descriptor.

    The kernel frees a lock with the last process that has it.

    Args:
        path: the file.
        patience: seconds that one waits for the same holder.
        step: seconds in all while the holder is a running step.

    Raises:
        Held: naming who has it.
    """
    descriptor = _locked(path, patience, step)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _locked(path: str, patience: float, step: float) -> int:
    begun = since = time.monotonic()
    last: list[int] = []
    asked, pause = 0.0, 0.01
    while True:
        descriptor = _open(path)
        try:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(descriptor, path):
                    return descriptor
                os.close(descriptor)  # another one was put in its place meanwhile
                continue
            now = time.monotonic()
            if now - max(begun, asked) > min(FOREIGN, patience):  # looking at all processes is not for free
                asked = now
                contenders = holders(descriptor)
                if _may_go(contenders):
                    os.unlink(path)  # only they have the lock, and they cannot open the next file
                elif contenders != last:
                    last, since = contenders, now
                elif now - since > patience and (not _works(contenders) or now - begun > step):
                    raise Held(
                        f"{path} is locked by {in_words(contenders)} for {now - begun:.0f} s; end that, or wait for it, and try again"
                    )
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        time.sleep(pause)
        pause = min(pause * 1.5, 0.25)


def is_held(path: str) -> bool:
    """Whether a process with a right to the lock holds it at this moment."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return not _may_go(holders(descriptor))
    finally:
        os.close(descriptor)
    return False


def _may_go(pids: list[int]) -> bool:
    """Whether the lock is held only by processes that opened its file when every user could."""
    return bool(pids) and all(map(_is_foreign, pids))


def _open(path: str) -> int:
    """The file, which only its owner may open: who can read a file can lock it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    if stat.S_IMODE(os.fstat(descriptor).st_mode) != 0o600:
        os.fchmod(descriptor, 0o600)
    return descriptor


def _is_at(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def holders(descriptor: int) -> list[int]:
    """The processes that have a lock on an open file, also those that only inherited it; ourselves left out.

    /proc/locks would name the one that took it, which may be gone.
    """
    wanted = os.fstat(descriptor)
    locking = []
    for pid in processes.pids():
        if pid != os.getpid() and any(_locks(pid, number, wanted) for number in _descriptors(pid)):
            locking.append(pid)
    return locking


def _descriptors(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return []


def _locks(pid: int, number: str, wanted: os.stat_result) -> bool:
    try:
        if not os.path.samestat(os.stat(f"/proc/{pid}/fd/{number}"), wanted):
            return False
        with open(f"/proc/{pid}/fdinfo/{number}", encoding="ascii", errors="replace") as handle:
            return any(line.startswith("lock:") for line in handle)
    except OSError:
        return False


def _is_foreign(pid: int) -> bool:
    """Whether a process is neither root's nor ours."""
    owners = processes.uids(pid)
    return bool(owners) and not {0, os.getuid()} & set(owners)


def _works(pids: list[int]) -> bool:
    return any(mark in processes.command(pid) for pid in pids for mark in AT_WORK)


def in_words(pids: list[int]) -> str:
    """Processes in words."""
    if not pids:
        return "a process that cannot be seen from here"
    return ", ".join(f"process {pid} of {processes.owner(pid)} ({processes.command(pid)})" for pid in pids[:3])

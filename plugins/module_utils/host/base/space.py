"""What a message says about a file system that is full or cannot be written: which one it is, and what to do.

The system's own words name a path, if anything; programs that we run name nothing. So every message is completed in one
place, where modules answer.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Sequence

from ...contract import names

PLACES = ("/run", "/tmp", names.STATE, names.LOGS, names.APPS, names.TOOLS, "/etc", "/var/tmp", "/")  # noqa: S108  # nosec B108 # nothing is written there
"""Where the kit and what it runs write."""
TIGHT = 1024**2
FEW = 50
"""Free bytes and inodes below which a file system is called full: less than what a release needs. What failed has taken back
what it had begun, so that a little is free again."""
SPACE, INODES = "space", "inodes"
KINDS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE)
WORDS = {os.strerror(number): number for number in KINDS}
RAISED = re.compile(
    r"\[Errno \d+\] (?P<words>"
    + "|".join(map(re.escape, WORDS))
    + r")(?:: (?P<path>'[^'\n]*'|\"[^\"\n]*\"))?(?: -> '[^'\n]*')?"
)
"""How Python writes such an error: `[Errno 28] No space left on device: '/srv/shop/x'`."""


def at_fault(text: str, log: Sequence[str] = ()) -> bool:
    """Whether such an error made something fail: then it is the host's fault, and the release is not marked bad."""
    return any(words in line for line in (text, *log) for words in WORDS)


def explained(text: str, log: Sequence[str] = (), near: str = "") -> str:
    """A message in which each such error names its file system; any other message stays as it is.

    `log` are lines that go with the message: where only they tell of such an error, the message tells of it, too. `near` is
    a path where the work was done, for an error that names none.
    """
    number = next((number for words, number in WORDS.items() if any(words in line for line in (text, *log))), None)
    if number is None:
        return text
    if RAISED.search(text):
        return RAISED.sub(lambda one: _sentence(WORDS[one["words"]], (one["path"] or "")[1:-1], near), text)
    about = "; ".join(_about(number, mount) for mount in _suspects(number, near))
    return f"{text.rstrip('. ')}: {about}" if about else text


def _sentence(number: int, path: str, near: str) -> str:
    words = os.strerror(number)
    if number in (errno.EMFILE, errno.ENFILE):
        return f"{words}: raise the limit of open files (ulimit -n, fs.file-max), and try again"
    mounts = [mount_of(path)] if path else _suspects(number, near)
    about = "; ".join(_about(number, mount) for mount in mounts)
    return ": ".join(filter(None, (words, f"{path} cannot be written" if path else "", about)))


def _about(number: int, mount: str) -> str:
    """What is wrong with a file system, and what to do."""
    if number == errno.EROFS:
        return f"{mount} is mounted read-only; find out why (dmesg), make it writable (mount -o remount,rw {mount}), and try again"
    if number == errno.EDQUOT:
        return f"the quota on {mount} is used up; raise it or remove something, and try again"
    if number in (errno.EMFILE, errno.ENFILE):
        return "raise the limit of open files (ulimit -n, fs.file-max), and try again"
    info = os.statvfs(mount)
    size, free = (_bytes(count * info.f_frsize) for count in (info.f_blocks, info.f_bavail))
    lacks = _lacks(mount)
    if lacks == INODES:
        return f"{mount} has {info.f_favail} of its {info.f_files} inodes left; remove files there, and try again"
    if lacks == SPACE:
        return f"{mount} is full ({size}); free some space there, and try again"
    return f"{mount} was full ({size}, of which {free} are free again); free some space there, and try again"


def _suspects(number: int, near: str) -> list[str]:
    """The file systems that are in the state which an error without a path tells of, or else the one of `near`."""
    mounts = dict.fromkeys(mount_of(path) for path in (*filter(None, [near]), *PLACES))
    if number == errno.EROFS:
        suspects = [mount for mount in mounts if os.statvfs(mount).f_flag & os.ST_RDONLY]
    elif number in (errno.ENOSPC, errno.EDQUOT):
        suspects = [mount for mount in mounts if _lacks(mount)]
    else:
        return ["/"]
    return suspects or [mount_of(near)] if near else suspects


def _lacks(mount: str) -> str:
    info = os.statvfs(mount)
    if info.f_files and info.f_favail < FEW:
        return INODES
    return SPACE if info.f_blocks and info.f_bavail * info.f_frsize < TIGHT else ""


def mount_of(path: str) -> str:
    """Where the file system is mounted that holds a path, or would hold it."""
    return next(place for place in _above(os.path.realpath(path)) if os.path.ismount(place))


def _above(path: str) -> Iterator[str]:
    yield path
    while path != "/":
        path = os.path.dirname(path)
        yield path


def _bytes(number: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.0f} {unit}"
        number /= 1024
    return f"{number:.1f} GiB"

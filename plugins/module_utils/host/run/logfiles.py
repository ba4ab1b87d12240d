"""The files of an app's logs: what rotation has made of each, and how far each was read.

A log is known by its path, and each of its files by its inode and by what was read of it. A new file may get the inode of one that
rotation has removed.
"""

from __future__ import annotations

import contextlib
import difflib
import glob
import hashlib
import os
import re
import stat
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...contract import names
from ...contract.errors import HostError
from ...contract.manifest import release_path
from ..system import releases

NGINX, NGINX_ERRORS = "nginx", "nginx error"
"""The sources of nginx's access and error logs."""
LONGEST = 64 << 10
"""Characters of an entry."""
QUIET = 1.0
"""Seconds after which an entry at the end of a log is complete."""
MARK = 1024
"""Bytes at the beginning and at the end of what was read by which a file is known again."""
ROTATED = re.compile(r"(?:\.\d{1,3}|-\d{8}-\d{9,12})(?:\.gz)?")
"""What rotation adds to a name: a number, or logrotate the date and the second."""
Cursors = dict[str, dict[str, tuple[int, str]]]
"""How far each file of a log was read: path of the log, inode of the file, offset. A mark of what is before the offset follows."""
LOGS, FILES = 200, 8
"""Logs of an app, and files of each that are away, whose cursors are kept."""


@dataclass(frozen=True)
class Log:
    """One log: a file, and what rotation has made of it."""

    source: str
    """What writes it: a program of the app, or nginx."""
    release_id: str
    """Empty for a log that outlives releases: nginx's, and those of timers."""
    path: str
    since: float
    """A time before its first line."""
    mount: str = ""
    """Where only a part of the lines is about the app: the begin of their paths."""

    @property
    def of_nginx(self) -> bool:
        """Whether nginx writes it."""
        return self.source in (NGINX, NGINX_ERRORS)


@dataclass
class Part:
    """One file of a log that is to be read."""

    log: Log
    path: str
    """The name of the file when it was opened."""
    number: int
    """The file's descriptor."""
    inode: int
    begin: int
    size: int
    changed: float
    packed: bool

    @property
    def moved(self) -> bool:
        """Whether rotation has moved it."""
        return self.path != self.log.path

    @property
    def cut(self) -> bool:
        """Whether it may end in the middle of a line: supervisor moves a large log after any byte."""
        return re.fullmatch(r"\.\d{1,3}", self.path[len(self.log.path) :]) is not None


def logs(root: str, sites: Sequence[Mapping[str, Any]]) -> list[Log]:
    """Every log of an app, also those that stay of removed bad releases.

    `sites` are nginx's, each with the path of its `access` and `errors` log and the app's `mount`.
    """
    every: list[Log] = []
    timers: dict[str, Log] = {}
    folder = os.path.join(root, "releases")
    for release_id in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        manifest = releases.manifest_or_none(root, release_id) if names.RELEASE.fullmatch(release_id) else None
        if manifest:
            with contextlib.suppress(FileNotFoundError):  # it is removed at this moment
                since = os.stat(f"{folder}/{release_id}/{names.MANIFEST}").st_mtime
                every += [Log(program.name, release_id, program.log, since) for program in manifest.programs]
                timers |= {one.log: Log(f"timer.{one.name}", "", one.log, 0.0) for one in manifest.timers}
    every += timers.values()
    every += _of_removed(root, {os.path.dirname(log.path) for log in every if log.release_id})
    for site in sites:
        every.append(Log(NGINX, "", site["access"], 0.0, site["mount"]))
        every.append(Log(NGINX_ERRORS, "", site["errors"], 0.0, site["mount"]))
    return every


def _of_removed(root: str, folders: Collection[str]) -> Iterator[Log]:
    """The logs that `retire` keeps of removed bad releases, in the folders of the app's logs."""
    removed = [name for name in releases.bad(root) if not os.path.isdir(release_path(root, name))]
    for folder in folders if removed else ():
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            match = names.RELEASE_LOG.fullmatch(name)
            if match and match[1] in removed:
                yield Log((match[2] or ".web")[1:], match[1], os.path.join(folder, name), 0.0)


def of_program(every: Sequence[Log], program: str) -> list[Log]:
    """The logs of one program: `web`, a process (all of them, or `worker.2`), a timer or `nginx`; all logs without one.

    Raises:
        HostError: there is no such program.
    """
    if not program:
        return list(every)

    def called(log: Log) -> set[str]:
        name = re.sub(r"\.\d+$", "", log.source).removesuffix(" error")
        return {log.source, name, name.removeprefix("timer.")}

    chosen = [log for log in every if program in called(log)]
    if not chosen:
        known = sorted({log.source for log in every})
        near = difflib.get_close_matches(program, sorted({name for log in every for name in called(log)}), n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
        raise HostError(f"no program {program} of the app has a log on this host; {hint}")
    return chosen


def _files(log: Log) -> Iterator[str]:
    """The paths of a log's files, the newest first.

    Rotation, which may happen meanwhile, gives a file a higher number: so none is missed, but one may come twice.
    """
    yield log.path
    known: set[str] = set()
    while True:
        listed = set(glob.glob(glob.escape(log.path) + "[.-]*")) - known
        suffixes = sorted(path[len(log.path) :] for path in listed)
        rotated = [suffix for suffix in suffixes if ROTATED.fullmatch(suffix)]
        if not rotated:
            return
        # Names with a date stay until the file is compressed, and numbers grow.
        rotated.sort(key=lambda suffix: (suffix.startswith("."), len(suffix.removesuffix(".gz"))))
        yield from (log.path + suffix for suffix in rotated)
        known |= listed


def parts(log: Log, since: float, cursors: Cursors | None) -> list[Part]:
    """The files of a log, opened, the oldest first; compressed ones only if they are to be read.

    Where cursors are given, a file is read from its own on, whatever it is called now, and an unknown one from its beginning.
    """
    opened: list[Part] = []
    places = None if cursors is None else cursors.get(log.path, {})
    for path in _files(log):
        packed = path.endswith(".gz")
        if packed and places is not None:
            continue
        try:
            number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            continue
        about = os.fstat(number)
        old = about.st_mtime < since
        if not stat.S_ISREG(about.st_mode) or any(about.st_ino == part.inode for part in opened) or (packed and old):
            os.close(number)
            continue
        begin = _begin(number, about, places) if places is not None else about.st_size if old else 0
        opened.append(Part(log, path, number, about.st_ino, begin, about.st_size, about.st_mtime, packed))
    return sorted(opened, key=lambda part: (not part.moved, part.changed))


def _begin(number: int, about: os.stat_result, places: Mapping[str, tuple[int, str]]) -> int:
    """How far a file was read; 0 for a file that is not the one that was read, but has its inode."""
    end, mark = places.get(str(about.st_ino), (0, ""))
    return end if end <= about.st_size and mark == marked(number, end) else 0


def remembered(seen: Cursors, before: Cursors) -> Cursors:
    """The cursors for the next call: those of this one, and of files that were not met this time.

    A file may be away for a moment: while its release is removed, or while rotation renames it. It would be read again from its
    beginning.
    """
    kept: Cursors = {}
    for path in [*seen, *(other for other in before if other not in seen)][:LOGS]:
        away = {inode: place for inode, place in before.get(path, {}).items() if inode not in seen.get(path, {})}
        kept[path] = {**dict(list(away.items())[-FILES:]), **seen.get(path, {})}
    return kept


def marked(number: int, end: int) -> str:
    """What tells a file from another one with its inode: a hash of what was read of it, at its beginning and its end."""
    if not end:
        return ""
    read = os.pread(number, min(MARK, end), 0) + os.pread(number, min(MARK, end), max(0, end - MARK))
    return hashlib.sha256(read).hexdigest()[:16]


def grown(every: Sequence[Log], cursors: Cursors) -> bool:
    """Whether a log has whole entries that were not read."""
    for log in every:
        places = cursors.get(log.path, {})
        try:
            about = os.stat(log.path, follow_symlinks=False)
        except OSError:
            continue
        place = places.get(str(about.st_ino))
        begin = place[0] if place else 0
        if place is None or about.st_size < begin:
            if about.st_size:
                return True
        elif about.st_size > begin and (about.st_mtime < time.time() - QUIET or about.st_size > begin + LONGEST):
            return True
    return False

"""Compressed copies of static files, made once when a release is built: nginx sends them instead of compressing each answer."""

from __future__ import annotations

import gzip
import os
import stat

SUFFIXES = (".css", ".html", ".js", ".json", ".mjs", ".svg", ".txt", ".webmanifest", ".xml")
"""The files of which nginx compresses the answer by itself."""
LEAST, MOST = 1024, 4 * 1024**2
"""Bytes of a file for which it is worth it: a smaller one fits into a packet. Larger ones, nginx compresses itself."""
TOTAL = 16 * 1024**2
"""Bytes of new files that a build reads: half a second of a processor, while the app is loaded."""
LEVEL = 6


def compress(top: str, earlier: str = "") -> None:
    """Write `<file>.gz` next to each file below `top` that gets smaller, unless the app has one.

    Args:
        top: The tree of a release's static files, which only root writes.
        earlier: That of an earlier release. A file that is the same one there gets the same copy.
    """
    left = TOTAL
    for place, folders, names in os.walk(top):
        folders.sort()
        present = {*names, *folders}
        for name in sorted(names):
            path = os.path.join(place, name)
            status = os.lstat(path)
            if not _worthwhile(name, status) or f"{name}.gz" in present:
                continue
            if earlier and _taken_over(path, status, os.path.join(earlier, os.path.relpath(path, top))):
                continue
            if status.st_size <= left:
                left -= status.st_size
                _compress(path, status)


def _worthwhile(name: str, status: os.stat_result) -> bool:
    return name.endswith(SUFFIXES) and stat.S_ISREG(status.st_mode) and LEAST <= status.st_size <= MOST


def _taken_over(path: str, status: os.stat_result, before: str) -> bool:
    """Link the copy of the same file in the earlier release, if there is one."""
    try:
        if os.path.samestat(os.lstat(before), status) and stat.S_ISREG(os.lstat(f"{before}.gz").st_mode):
            os.link(f"{before}.gz", f"{path}.gz", follow_symlinks=False)
            return True
    except (FileNotFoundError, NotADirectoryError):
        pass
    return False


def _compress(path: str, status: os.stat_result) -> None:
    """Write the compressed copy of one file, with its owner, mode and time: they decide who may read it and when it changed."""
    with open(path, "rb") as source:
        data = source.read(MOST)
    packed = gzip.compress(data, LEVEL, mtime=0)
    if len(packed) >= len(data):
        return
    descriptor = os.open(f"{path}.gz", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(packed)
        out.flush()
        os.fchown(descriptor, status.st_uid, status.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
        os.utime(descriptor, ns=(status.st_atime_ns, status.st_mtime_ns))

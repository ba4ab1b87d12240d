"""Watches the disks that a build fills."""

from __future__ import annotations

import os
from collections.abc import Callable

from .takeover import SIZE

SPARE_DISK, SPARE_FILES, SPARE_SHARE = 256 * 1024**2, 20_000, 0.02
"""What a build leaves free for the host: so many bytes and files, or this part of a small disk."""


def watch(*paths: str) -> Callable[[], str]:
    """Return a function that says why a build has to end, or nothing: it took too much of the disks with these paths."""
    looks = [_watch(path) for path in paths]
    return lambda: next(filter(None, (look() for look in looks)), "")


def _watch(path: str) -> Callable[[], str]:
    disk = os.statvfs(path)
    before = disk.f_bavail * disk.f_frsize
    spare = min(SPARE_DISK, int(disk.f_blocks * disk.f_frsize * SPARE_SHARE))
    spare_files = min(SPARE_FILES, int(disk.f_files * SPARE_SHARE))  # none where a disk has no such limit

    def look() -> str:
        disk = os.statvfs(path)
        left = disk.f_bavail * disk.f_frsize
        if left < spare:
            return f"the disk with {path} is full except for {left // 1024**2} MiB; make room on it"
        if disk.f_favail < spare_files:
            return f"the disk with {path} has room for {disk.f_favail} more files only (df -i); remove some from it"
        if before - left > SIZE:
            return f"it took more than {SIZE // 1024**3} GiB of the disk with {path}; see what its packages write"
        return ""

    return look

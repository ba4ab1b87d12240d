"""Reads the files of an inventory: regular files alone, without waiting, and up to a limit.

A pipe without a writer would hold the run without end, and a device has no end.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path

PROJECT = "ansible.cfg"
"""What marks the top of a project."""

AUTHORITIES = 1024 * 1024
"""Bytes of a file with certificate authorities; Debian's with all public ones has 220,000."""


def data(path: str | Path, limit: int) -> bytes:
    """The content of a file, of a larger one the first `limit` bytes and one more. A link is followed.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as handle:
        if not stat.S_ISREG(os.fstat(handle.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        return handle.read(limit + 1)


def text(path: str | Path, limit: int) -> str:
    """The text of a file.

    Raises:
        OSError: as of `data`, or it is larger than the limit.
        UnicodeError: it is no UTF-8.
    """
    content = data(path, limit)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it has more than {limit // 1024} KiB", str(path))
    return content.decode()


def fingerprint(path: str | Path) -> str:
    """Which certificate authorities a file has, for a message; empty where it cannot be read, which its reader reports."""
    try:
        content = data(path, AUTHORITIES)
    except OSError:
        return ""
    return f"a file with SHA-256 {hashlib.sha256(content).hexdigest()[:16]}…"


def published(path: Path, folder: Path, base: Path, limit: int) -> bytes:
    """The content of a file in a folder whose files every client gets: a link may not lead out of the project.

    Args:
        path: the file.
        folder: the folder that the user names.
        base: the inventory's folder.
        limit: as of `data`.

    Raises:
        OSError: as of `data`, or a link leads to another place.
    """
    real = path.resolve()
    if not any(real.is_relative_to(top.resolve()) for top in (folder, base, _project(base))):
        raise OSError(errno.EPERM, f"it is a link to {real}, outside the project; copy the file")
    return data(real, limit)


def _project(base: Path) -> Path:
    """The nearest folder above the inventory that has Ansible's settings; the inventory's own where none has."""
    return next((one for one in (base, *base.parents) if (one / PROJECT).is_file()), base)

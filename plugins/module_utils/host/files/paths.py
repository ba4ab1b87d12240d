"""What is at a path, how it is replaced in one step, and how it becomes again what it was."""

from __future__ import annotations

import os
import stat
from typing import Any

from ...contract.errors import HostError
from ..base import atomic
from ..base.atomic import sync_directory

PUT_BACK = "The files of this step were put back as they were."


class Refused(HostError):
    """The set cannot be placed; the text names the entry and the reason."""


class RolledBack(Refused):
    """The set was begun, and everything was put back as it was."""


def snapshot(path: str) -> dict[str, Any] | None:
    """Describe what is at ``path`` so that it can be made again; None when there is nothing."""
    try:
        info = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    known: dict[str, Any] = {"uid": info.st_uid, "gid": info.st_gid, "mode": stat.S_IMODE(info.st_mode)}
    if stat.S_ISLNK(info.st_mode):
        return {**known, "type": "link", "target": os.readlink(path)}
    if stat.S_ISDIR(info.st_mode):
        return {**known, "type": "directory"}
    if not stat.S_ISREG(info.st_mode):
        raise Refused(f"{path} is a device, pipe or socket, and those are left alone")
    with open(path, "rb") as handle:
        return {**known, "type": "file", "data": handle.read()}


def write(path: str, data: bytes, uid: int, gid: int, mode: int) -> None:
    """Put ``data`` at ``path``, as `atomic.write` does."""
    atomic.write(path, data, mode, (uid, gid))


def link(path: str, target: str) -> None:
    """Let ``path`` be a symbolic link to ``target``, in one rename."""
    temporary = os.path.join(os.path.dirname(path), atomic.PART + os.urandom(4).hex())
    os.symlink(target, temporary)
    try:
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    sync_directory(os.path.dirname(path))


def put_back(path: str, before: dict[str, Any] | None, aside: str | None) -> bool:
    """Make ``path`` what it was; say whether that took a change. May be repeated: it looks at the present state."""
    if aside is not None and os.path.lexists(aside):
        os.rename(aside, path)
        sync_directory(os.path.dirname(path))
        return True
    now = snapshot(path)
    if now == before:
        return False
    if before is None:
        if now is not None and now["type"] == "directory":
            try:
                os.rmdir(path)
            except OSError:
                return False  # others have put something into it since
        else:
            os.unlink(path)
        sync_directory(os.path.dirname(path))
    elif before["type"] == "link":
        link(path, before["target"])
    elif before["type"] == "file":
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write(path, before["data"], before["uid"], before["gid"], before["mode"])
    else:
        os.makedirs(path, exist_ok=True)
        os.chown(path, before["uid"], before["gid"])
        os.chmod(path, before["mode"])
    return True

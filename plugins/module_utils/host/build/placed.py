"""Places the inventory's files in a release's code, as the controller has rendered them.

Folders are entered one by one and never through a link: a build may have left one in a folder's place.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import os
from collections.abc import Mapping

from ..base import trees

MODE = 0o640
"""They may hold secrets."""


class PlaceError(Exception):
    """Something is in the way of a file; the message says what."""


def place(code: str, contents: Mapping[str, str], owner: int, group: int) -> None:
    """Write each file (its path in the code, and its contents as base64), and replace an existing one.

    The old file stays unchanged for other releases that have it as a hard link.

    Raises:
        PlaceError: a folder is at a file's path, or a file or a link at that of its folder.
    """
    for name, text in contents.items():
        *above, last = name.split("/")
        folder = os.open(code, trees.FOLDER | os.O_NOFOLLOW)
        try:
            for part in above:
                folder = _entered(folder, part, owner)
            _write(folder, last, base64.b64decode(text), owner, group)
        except OSError as error:
            if error.errno not in (errno.EISDIR, errno.ENOTDIR, errno.ELOOP):
                raise
            what = "a folder" if error.errno == errno.EISDIR else "a file or a link in the place of a folder"
            raise PlaceError(f"`files` cannot place {name}: there is {what}; choose another place for it") from None
        finally:
            os.close(folder)


def _entered(folder: int, name: str, owner: int) -> int:
    """The folder `name` in `folder`, which is closed; made when it is missing."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o755, dir_fd=folder)
        os.chown(name, owner, -1, dir_fd=folder, follow_symlinks=False)
    inner = os.open(name, trees.FOLDER | os.O_NOFOLLOW, dir_fd=folder)
    os.close(folder)
    return inner


def _write(folder: int, name: str, data: bytes, owner: int, group: int) -> None:
    draft = f".{name[:200]}.slipway-new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(draft, dir_fd=folder)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(draft, flags, 0o600, dir_fd=folder), "wb") as out:
        out.write(data)
        os.fchown(out.fileno(), owner, group)
        os.fchmod(out.fileno(), MODE)
    try:
        os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        os.unlink(draft, dir_fd=folder)
        raise

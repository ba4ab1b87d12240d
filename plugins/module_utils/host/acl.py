"""Lets one more user into a folder, by an access list, without a group that would let that user in elsewhere as well.

The list is written as the kernel keeps it (linux/posix_acl_xattr.h), since hosts need no setfacl.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import struct

NAME = "system.posix_acl_access"
VERSION = 2
USER_OBJ, USER, GROUP_OBJ, MASK, OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
"""Whom an entry is about: the owner, a user, the group, what a user or the group gets at the most, everybody else."""
NOBODY = 0xFFFFFFFF
"""The number in an entry that is about no user of its own."""
ENTER = 0o5


class NoAccessLists(Exception):
    """The file system keeps none; the text says which and what to do."""


def packed(mode: int, user: int) -> bytes:
    """The list that says what a mode says, and that `user` may list and enter the folder."""
    group = mode >> 3 & 7
    entries = [
        (USER_OBJ, mode >> 6 & 7, NOBODY),
        (USER, ENTER, user),
        (GROUP_OBJ, group, NOBODY),
        (MASK, group | ENTER, NOBODY),
        (OTHER, mode & 7, NOBODY),
    ]
    return struct.pack("<I", VERSION) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def let_in(folder: str, user: int) -> None:
    """Let a user list and enter a folder of root's. Raises NoAccessLists."""
    try:
        os.setxattr(folder, NAME, packed(stat.S_IMODE(os.stat(folder).st_mode), user))
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.EPERM):
            raise
        raise NoAccessLists(
            f"the file system with {folder} has no access lists, by which `build` gets to the virtualenv; mount it with the option "
            "acl, or build on the controller, by `source.build`"
        ) from None


def shut_out(folder: str, mode: int) -> None:
    """Take the list away again; the folder has `mode` then."""
    with contextlib.suppress(FileNotFoundError):
        try:
            os.removexattr(folder, NAME)
        except OSError as error:
            if error.errno not in (errno.ENODATA, errno.ENOTSUP):
                raise
        os.chmod(folder, mode)

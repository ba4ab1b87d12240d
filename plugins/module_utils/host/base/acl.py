"""Access lists of files (POSIX ACL, acl(5)): one more user or group may read a folder, whatever an app's umask is.

As a program, run as the app's user, it opens folders below `shared/` to nginx's group. The kernel keeps a list as an extended
attribute, which the owner of a file may set. So root need not touch what an app owns.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import struct
import sys
from collections.abc import Iterator, Mapping
from typing import Any

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
"""The list of a file or folder; and the one that what is made in a folder begins with."""
OWNER, USER, OWN_GROUP, GROUP, MASK, OTHERS = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
"""Kinds of entries, in the order that the kernel wants (linux/posix_acl.h)."""
READ, ENTER = 4, 1
NOBODY = 0xFFFFFFFF
"""The number in entries that name no user or group."""
VERSION = 2  # POSIX_ACL_XATTR_VERSION
HEAD, ENTRY = struct.Struct("<I"), struct.Struct("<HHI")


class NoAccessLists(Exception):
    """The file system keeps none; the text says which and what to do."""


List = dict[tuple[int, int], int]
"""(Kind, number) to permissions."""


def parse(data: bytes) -> List:
    """A list as the kernel writes it."""
    return {(kind, number): allowed for kind, allowed, number in ENTRY.iter_unpack(data[HEAD.size :])}


def pack(entries: Mapping[tuple[int, int], int]) -> bytes:
    """A list as the kernel reads it."""
    return HEAD.pack(VERSION) + b"".join(
        ENTRY.pack(kind, allowed, number) for (kind, number), allowed in sorted(entries.items())
    )


def of_mode(mode: int) -> List:
    """What the mode of a file says, as a list."""
    return {(OWNER, NOBODY): mode >> 6 & 7, (OWN_GROUP, NOBODY): mode >> 3 & 7, (OTHERS, NOBODY): mode & 7}


def read(path: str, name: str = ACCESS) -> List:
    """The access list of a file, or what its mode says; of a folder also its default list, empty where there is none."""
    try:
        return parse(os.getxattr(path, name, follow_symlinks=False))
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise
        return of_mode(os.lstat(path).st_mode) if name == ACCESS else {}


def with_entry(entries: Mapping[tuple[int, int], int], kind: int, number: int, allowed: int, widen: bool) -> List:
    """The list with one entry more, or with more in it.

    `widen`: the entry counts whatever the mode's group bits are, which limit all entries but the owner's. Else these stay.
    """
    wanted = {**entries, (kind, number): entries.get((kind, number), 0) | allowed}
    limit = entries.get((MASK, NOBODY), entries[(OWN_GROUP, NOBODY)])
    wanted[(MASK, NOBODY)] = limit | wanted[(kind, number)] if widen else limit
    return wanted


def allow(path: str, kind: int, number: int, allowed: int, widen: bool = True) -> None:
    """Let a user or a group do more with a file or folder."""
    entries = read(path)
    wanted = with_entry(entries, kind, number, allowed, widen)
    if wanted != entries:
        os.setxattr(path, ACCESS, pack(wanted), follow_symlinks=False)


def bequeath(path: str, kind: int, number: int, allowed: int) -> None:
    """Give a user or group rights on all that is made in a folder from now on, as far as its mode's group bits allow."""
    entries = read(path, DEFAULT)
    wanted = with_entry(entries or read(path), kind, number, allowed, widen=True)
    if wanted != entries:
        os.setxattr(path, DEFAULT, pack(wanted), follow_symlinks=False)


def let_in(folder: str, user: int) -> None:
    """Let a user list and enter a folder of root. Raises NoAccessLists."""
    try:
        os.setxattr(folder, ACCESS, pack(with_entry(read(folder), USER, user, READ | ENTER, widen=True)))
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.EPERM):
            raise
        raise NoAccessLists(
            f"the file system with {folder} has no access lists, by which `build` gets to the virtualenv. Mount it with the "
            "option acl, or build on the controller with `source.build`"
        ) from None


def shut_out(folder: str, mode: int) -> None:
    """Take the list away again; the folder has `mode` then."""
    with contextlib.suppress(FileNotFoundError):
        try:
            os.removexattr(folder, ACCESS)
        except OSError as error:
            if error.errno not in (errno.ENODATA, errno.ENOTSUP):
                raise
        os.chmod(folder, mode)


# ------------------------------------------------------------------------------------------------------- as a program
def below(top: str) -> Iterator[os.DirEntry[str]]:
    """Files and folders below a folder, through no link; what cannot be read is left out."""
    todo = [top]
    while todo:
        try:
            with os.scandir(todo.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
                    if entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False):
                        yield entry
        except OSError:
            continue


def share(shared: str, folder: str, group: int) -> dict[str, Any]:
    """Open a folder below `shared` to a group, for reading, with all that is in it and will be made in it.

    The group may pass the folders on the way, and no more. Existing files are gone through once: the folder's own list is
    written last, and says that it was done.

    Returns:
        `fault`: why it cannot be; `foreign`: how many things there belong to others; `plain`: whether the file system
        keeps no lists.
    """
    path = shared
    try:
        allow(path, GROUP, group, ENTER)
        for part in folder.split("/"):
            path = f"{path}/{part}"
            if os.path.islink(path):
                return {"fault": f"{path} is a link, and nginx follows none there; mount the other disk at {path}"}
            os.makedirs(path, 0o750, exist_ok=True)
            if path != f"{shared}/{folder}":
                allow(path, GROUP, group, ENTER)
    except OSError as error:
        return {"fault": f"{path} cannot be opened to nginx: {error.strerror}"}
    try:
        granted = read(path).get((GROUP, group), 0) == READ | ENTER
        bequeath(path, GROUP, group, READ | ENTER)
        foreign = 0 if granted else sum(not _open(entry, group) for entry in below(path))
        allow(path, GROUP, group, READ | ENTER)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return {"plain": True}
        return {"fault": f"{path} cannot be opened to nginx: {error.strerror}"}
    return {"foreign": foreign}


def _open(entry: os.DirEntry[str], group: int) -> bool:
    """Let a group read a file or folder as far as the file's own group may; False where another user owns it."""
    try:
        folder = entry.is_dir(follow_symlinks=False)
        allow(entry.path, GROUP, group, READ | ENTER if folder else READ, widen=False)
        if folder:
            bequeath(entry.path, GROUP, group, READ | ENTER)
    except PermissionError:
        return False
    except FileNotFoundError:
        pass  # the app keeps running meanwhile
    return True


def main() -> None:
    """Open the folders that standard input names; answer with one line of JSON for each."""
    job = json.load(sys.stdin)
    os.umask(0o027)
    for folder in job["folders"]:
        print(json.dumps(share(job["shared"], folder, job["group"])))


if __name__ == "__main__":
    main()

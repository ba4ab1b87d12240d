"""Walks through folders that another user may write: by descriptors, one level at a time, never through a link.

However deep a folder is, a level needs one descriptor and one name: there is no recursion, and no path that grows too long.
A program that moves folders away meanwhile only makes the walk begin again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
AGAIN = 20
"""How often something is tried again that another program undoes meanwhile: so often does not happen by chance."""
SHOWN = 160
"""Letters of a path in a message: more than any path that the kit makes."""
NAMED = 3
"""Paths that a message names of those that could not be removed."""


@dataclass(frozen=True)
class Removal:
    """The result of removing a tree."""

    existed: bool
    """Whether there was anything."""
    remains: list[str] = field(default_factory=list)
    """What could not be removed, each with the reason; of many the first ones, and how many more there are."""
    unseen: list[str] = field(default_factory=list)
    """Where something may be left that was not looked at, each with the reason."""


class Moved(Exception):
    """A folder was moved away while the walk was in it."""


class _Walk:
    """Where a walk is: a descriptor of the folder, and the names and identities of those that lead to it."""

    def __init__(self, path: str) -> None:
        """Begin in the folder above `path`, which must be root's."""
        parent, self.top = os.path.split(path)
        self.parent = parent
        self.here = os.open(parent, FOLDER)
        self.names: list[str] = []
        self._inodes: list[tuple[int, int]] = []
        self._mounts = _mounts(path)
        self._mount = 0

    def close(self) -> None:
        """End it."""
        os.close(self.here)

    def place(self, name: str) -> str:
        """The path of a name in this folder."""
        return os.path.join(self.parent, *self.names, name)

    def enter(self, name: str) -> None:
        """Go down. Raises OSError; EXDEV where another file system is mounted."""
        inner = os.open(name, FOLDER | os.O_NOFOLLOW, dir_fd=self.here)
        if self._mounts:
            mount = _mount(inner)
            if not self.names:
                self._mount = mount
            elif mount != self._mount:
                os.close(inner)
                raise OSError(errno.EXDEV, "a file system is mounted there; unmount it first")
        self._inodes.append(_inode(self.here))
        self.names.append(name)
        os.close(self.here)
        self.here = inner

    def leave(self) -> str:
        """Go up, and return the name of the folder that was left. Raises Moved."""
        above = os.open("..", FOLDER, dir_fd=self.here)
        if _inode(above) != self._inodes.pop():
            os.close(above)
            raise Moved
        os.close(self.here)
        self.here = above
        return self.names.pop()


def remove(path: str) -> Removal:
    """Remove a folder and all in it, or the link or file at its path.

    Links are removed, never followed; a file system that is mounted inside stays as it is. What cannot be removed is named,
    and the rest goes.
    """
    try:
        info = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return Removal(False)
    for _ in range(AGAIN):
        remains: dict[str, str] = {}
        with contextlib.suppress(Moved, FileNotFoundError):
            walk = _Walk(path)
            try:
                if not stat.S_ISDIR(info.st_mode):
                    _unlink(walk, walk.top, remains)
                else:
                    _remove(walk, walk.top, remains)
            finally:
                walk.close()
            return Removal(True, _messages(remains))
    return Removal(
        True, [f"{shown(path)}: folders in it are moved all the time; end the processes that do, and try again"]
    )


def remove_of(uid: int, path: str, most: int) -> Removal:
    """Remove what a user owns below a folder, which itself stays as everything of others does.

    Args:
        uid: the user's number.
        path: the folder, in a folder of root.
        most: how many entries are looked at; those right in the folder come first.
    """
    remains: dict[str, str] = {}
    unseen = [f"{shown(path)}: folders in it are moved all the time"]
    for _ in range(AGAIN):
        with contextlib.suppress(Moved, FileNotFoundError):
            walk = _Walk(path)
            try:
                left = _weed(walk, uid, most, remains)
            finally:
                walk.close()
            unseen = [f"{shown(path)} has more than {most} entries"] if left < 0 else []
            break
    exists = os.path.isdir(path)
    return Removal(exists, _messages(remains), unseen if exists else [])


def _weed(walk: _Walk, uid: int, most: int, remains: dict[str, str]) -> int:
    """Remove what a user owns below the walk's top folder; return how many more entries could be looked at, below 0 if not all were."""
    folders = [[walk.top]]  # in each folder on the way, those of others that are still to be looked at
    while folders:
        if not folders[-1]:
            folders.pop()
            if folders:
                walk.leave()
            continue
        try:
            walk.enter(folders[-1].pop())
        except OSError:  # a link, or gone
            continue
        ours, others = [], []
        with contextlib.suppress(OSError), os.scandir(walk.here) as entries:
            for entry in entries:
                most -= 1
                if most < 0:
                    break
                with contextlib.suppress(FileNotFoundError):
                    info = entry.stat(follow_symlinks=False)
                    is_folder = stat.S_ISDIR(info.st_mode)
                    if info.st_uid == uid:
                        ours.append((entry.name, is_folder))
                    elif is_folder and (info.st_uid or info.st_mode & 0o077):  # else no user may enter
                        others.append(entry.name)
        for name, is_folder in ours:
            if is_folder:
                _remove(walk, name, remains)
            else:
                _unlink(walk, name, remains)
        folders.append(others)
    return most


def _remove(walk: _Walk, name: str, remains: dict[str, str]) -> None:
    """Remove a folder in that where the walk is. `remains` gets what stays, by path."""
    folders = [[name]]  # in each folder on the way, those that are still to be removed
    kept = [False]  # for each, whether something in it remains, so that it cannot be removed either
    again = 0
    while folders[0]:
        if folders[-1]:
            _descend(walk, folders, kept, remains)
            continue
        name = walk.leave()
        folders.pop()
        if kept.pop():
            kept[-1] = True
            folders[-1].pop()
            continue
        try:
            os.rmdir(name, dir_fd=walk.here)
        except FileNotFoundError:
            pass  # systemd removes run folders at the same time
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.ENOTDIR) and again < AGAIN:
                again += 1  # something was put there meanwhile
                continue
            remains[walk.place(name)] = _why(error)
            kept[-1] = True
        folders[-1].pop()


def _descend(walk: _Walk, folders: list[list[str]], kept: list[bool], remains: dict[str, str]) -> None:
    """Enter the next folder that is still to be removed, and remove its files."""
    name = folders[-1][-1]
    try:
        walk.enter(name)
    except OSError as error:
        folders[-1].pop()
        if error.errno in (errno.ENOTDIR, errno.ELOOP):  # put in the folder's place meanwhile
            kept[-1] |= not _unlink(walk, name, remains)
        elif error.errno != errno.ENOENT:
            remains[walk.place(name)] = _why(error)
            kept[-1] = True
        return
    folders.append([])
    kept.append(False)
    for name, is_folder in _entries(walk.here):
        if is_folder:
            folders[-1].append(name)
        else:
            kept[-1] |= not _unlink(walk, name, remains)


def _unlink(walk: _Walk, name: str, remains: dict[str, str]) -> bool:
    """Remove a file or link; say whether it is gone."""
    try:
        os.unlink(name, dir_fd=walk.here)
    except FileNotFoundError:
        pass
    except OSError as error:
        remains[walk.place(name)] = _why(error)
        return False
    return True


def size(path: str) -> int:
    """Bytes of the files below a folder, without what is mounted there; 0 when it is gone."""
    try:
        walk = _Walk(path)
    except FileNotFoundError:
        return 0
    total, folders = 0, [[walk.top]]
    try:
        while folders[0]:
            if not folders[-1]:
                folders.pop()
                folders[-1].pop()
                walk.leave()
                continue
            try:
                walk.enter(folders[-1][-1])
            except OSError:  # pruned meanwhile
                folders[-1].pop()
                continue
            folders.append([])
            for name, is_folder in _entries(walk.here):
                if is_folder:
                    folders[-1].append(name)
                else:
                    with contextlib.suppress(FileNotFoundError):
                        total += os.stat(name, dir_fd=walk.here, follow_symlinks=False).st_size
    except (Moved, FileNotFoundError):
        pass  # what was counted until then
    finally:
        walk.close()
    return total


def _entries(folder: int) -> Iterator[tuple[str, bool]]:
    """The names in a folder, and whether each is a folder itself; none where it cannot be read."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            yield entry.name, entry.is_dir(follow_symlinks=False)


def _inode(folder: int) -> tuple[int, int]:
    info = os.fstat(folder)
    return info.st_dev, info.st_ino


def _mounts(path: str) -> bool:
    """Whether anything is mounted below a path. Few hosts have that, and only then each folder is asked."""
    below = os.path.realpath(path) + "/"
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as handle:
            points = [line.split()[4] for line in handle]
    except OSError:
        return False
    return any(point.replace("\\040", " ").startswith(below) for point in points)


def _mount(folder: int) -> int:
    """The number of the mount that a descriptor leads to."""
    with open(f"/proc/self/fdinfo/{folder}", encoding="ascii") as handle:
        return next(int(line.split()[1]) for line in handle if line.startswith("mnt_id:"))


def _why(error: OSError) -> str:
    text = error.strerror or type(error).__name__
    return f"{text}; is it immutable (lsattr)?" if error.errno == errno.EPERM else text


def _messages(remains: dict[str, str]) -> list[str]:
    messages = [f"{shown(path)} could not be removed: {why}" for path, why in list(remains.items())[:NAMED]]
    more = len(remains) - len(messages)
    return [*messages, f"{more} more could not be removed either"] if more else messages


def shown(path: str) -> str:
    """A path for a message: printable, and not longer than a reader bears."""
    text = "".join(letter if letter.isprintable() else "?" for letter in path)
    return text if len(text) <= SHOWN else f"{text[: SHOWN // 2]}…{text[-SHOWN // 2 :]}"

"""Reads a folder that its owner may change meanwhile: from descriptor to descriptor, and through no link.

`open` follows links in every part of a path but the last, whatever its flags. So each part is opened by itself.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType

from .errors import SourceError, printable

DEPTH = 100
"""Folders within folders. Each takes a descriptor while it is read, of which a process has 1024."""

LINK_HOPS = 40
"""Links that Linux follows in one path (path_resolution(7))."""

READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a fifo put in a file's place must not hang us
_FOLDER = READ | os.O_DIRECTORY
_PASS = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""For folders on the way, which may be enterable but not readable."""


def changed(path: bytes) -> SourceError:
    """Return the error for a source that changed while it was read."""
    return SourceError(
        f"{printable(path)} changed while the source was being read; run again when nothing writes to the folder."
    )


def is_link(error: OSError) -> bool:
    """Whether opening failed because of a link, or of a parent that is not a folder."""
    return error.errno in (errno.ELOOP, errno.ENOTDIR)


def _root(path: Path) -> int:
    """Open the folder at an absolute path.

    Links of root or this user are followed. Another user could redirect a link before it is read.
    """
    todo = os.fsencode(path).split(b"/")[::-1]
    at = os.open("/", _PASS)
    links = 0
    try:
        while todo:
            part = todo.pop()
            if part in (b"", b"."):
                continue
            try:
                inner = os.open(part, _PASS, dir_fd=at)
            except OSError as error:
                status = os.stat(part, dir_fd=at, follow_symlinks=False)
                if not stat.S_ISLNK(status.st_mode):
                    raise
                target = os.readlink(part, dir_fd=at)
                again = os.stat(part, dir_fd=at, follow_symlinks=False)
                links += 1
                if (again.st_ino, again.st_ctime_ns) != (status.st_ino, status.st_ctime_ns) or links > LINK_HOPS:
                    raise changed(part) from error
                if status.st_uid not in (0, os.geteuid()):
                    raise SourceError(
                        f"{printable(str(path))}: {printable(part)} is a link that user {status.st_uid} made, who may turn it "
                        "elsewhere; name the folder that it leads to."
                    ) from error
                todo += target.split(b"/")[::-1]
                if not target.startswith(b"/"):
                    continue
                inner = os.open("/", _PASS)
            os.close(at)
            at = inner
        return os.open(".", _FOLDER, dir_fd=at)
    finally:
        os.close(at)


class Folder:
    """An open folder. Paths are relative to it, in bytes, with ``/`` between their parts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._chain = [(b"", _root(path))]
        """The folder, and those below it on the way to what was asked for last."""

    def __enter__(self) -> Folder:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        while self._chain:
            os.close(self._chain.pop()[1])

    def _parent(self, path: bytes) -> tuple[int, bytes]:
        """The descriptor of the folder that holds ``path``, and the last part of it. Raises OSError."""
        *folders, last = path.split(b"/")
        if len(folders) > DEPTH or {b"", b".", b".."} & {*folders, last}:
            raise FileNotFoundError(errno.ENOENT, "no path inside the source", path)  # as a git index may name it
        return self._descriptor(folders), last

    def _descriptor(self, folders: Sequence[bytes]) -> int:
        """The descriptor of the folder at ``folders``; it stays open until another one is asked for. Raises OSError."""
        same = 0
        for (name, _open), wanted in zip(self._chain[1:], folders, strict=False):
            if name != wanted:
                break
            same += 1
        while len(self._chain) > same + 1:
            os.close(self._chain.pop()[1])
        for part in folders[same:]:
            self._chain.append((part, os.open(part, _FOLDER, dir_fd=self._chain[-1][1])))
        return self._chain[-1][1]

    def status(self, path: bytes) -> os.stat_result:
        """What is at ``path``; of a link itself. Raises OSError."""
        at, last = self._parent(path)
        return os.stat(last, dir_fd=at, follow_symlinks=False)

    def target(self, path: bytes) -> bytes:
        """Where the link at ``path`` points. Raises OSError."""
        at, last = self._parent(path)
        return os.readlink(last, dir_fd=at)

    def open(self, path: bytes) -> int:
        """A descriptor to read the regular file at ``path`` by. Raises OSError, SourceError for anything else."""
        at, last = self._parent(path)
        descriptor = os.open(last, READ, dir_fd=at)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise changed(path)
        return descriptor

    def is_folder(self, path: bytes) -> bool:
        """Whether there is a folder, and not a link to one."""
        try:
            return stat.S_ISDIR(self.status(path).st_mode)
        except OSError:
            return False

    def is_link(self, path: bytes) -> bool:
        """Whether there is a link."""
        try:
            return stat.S_ISLNK(self.status(path).st_mode)
        except OSError:
            return False

    def has(self, path: bytes) -> bool:
        """Whether there is anything at ``path``."""
        try:
            self.status(path)
        except OSError:
            return False
        return True

    def read(self, path: bytes, most: int) -> bytes | None:
        """The content of a small file; None when there is none, or it is larger than ``most`` bytes."""
        try:
            with os.fdopen(self.open(path), "rb") as file:
                content = file.read(most + 1)
        except (OSError, SourceError):
            return None
        return content if len(content) <= most else None

    def walk(self, enter: Callable[[bytes], bool], most: int, below: bytes = b"") -> Iterator[tuple[bytes, bool]]:
        """List every file and link.

        Args:
            enter: Decides for each folder whether to list it.
            most: The most entries.
            below: Where to begin, with a slash at its end.

        Yields:
            Each path, and whether it is a link.

        Raises:
            SourceError: There are too many entries or levels, or a folder cannot be read.
        """
        for count, entry in enumerate(self._walk(below, enter, most), 1):
            if count > most:
                raise SourceError(f"{printable(str(self.path))}: there are more than {most} files; ship less.")
            yield entry

    def _walk(self, below: bytes, enter: Callable[[bytes], bool], most: int) -> Iterator[tuple[bytes, bool]]:
        if below.count(b"/") > DEPTH:
            raise SourceError(
                f"{printable(str(self.path))}: {printable(below[:60])}… is nested more than {DEPTH} folders deep; ship less."
            )
        folders = []
        try:
            at = os.dup(self._descriptor(below.split(b"/")[:-1]))
            try:
                with os.scandir(at) as entries:
                    for count, one in enumerate(entries):
                        if count > most:
                            break  # the caller refuses it
                        path = below + os.fsencode(one.name)
                        if one.is_dir(follow_symlinks=False):
                            folders.append(path)
                        else:
                            yield path, one.is_symlink()
            finally:
                os.close(at)
        except OSError as error:
            if is_link(error):
                raise changed(below.rstrip(b"/")) from error
            where = os.path.join(os.fsencode(self.path), below).rstrip(b"/")
            raise SourceError(
                f"The folder {printable(where)} cannot be read ({error.strerror}); make it readable."
            ) from error
        for path in folders:
            if enter(path):
                yield from self._walk(path + b"/", enter, most)

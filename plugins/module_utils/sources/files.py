"""A set of files with one hash, and the tar archive that carries it to the hosts."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import os
import stat
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from . import lfs
from .descriptors import LINK_HOPS, Folder, changed, is_link
from .errors import SourceError, printable

FILE, EXECUTABLE, LINK = b"f", b"x", b"l"

GZIP_LEVEL = 3
"""Source code shrinks to about a third at this level, at several times the speed of the default."""

MAX_BYTES = 4 << 30
"""Bytes that a source may hold, and that a download may have: more is a mistake or an attack."""

MAX_MEMBERS = 200_000
"""Files that a source may hold: a Django project with every dependency inside has some 50,000."""

MAX_READ = 16 << 20
"""Bytes of a file that is read as a whole, such as a lock: one with 1000 packages has 2 MB."""


@dataclass(frozen=True)
class Entry:
    """One file or symbolic link. ``path`` is relative, ``/`` between its parts, in the bytes of the file system."""

    path: bytes
    kind: bytes
    """FILE, EXECUTABLE or LINK."""
    digest: bytes
    """SHA-256 of the content; empty for a link."""
    size: int = 0
    target: bytes = b""
    """Where a link points."""
    content: bytes | None = None
    """The content of a generated file; None when it is read from the folder."""
    pointer: bool = False
    """Whether it only stands for content that is in Git LFS."""


class _Hashing:
    """A file that is read through, and keeps the hash of what it gave."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self.file.read(size)
        self.hash.update(data)
        return data


@dataclass(frozen=True)
class Files:
    """Files, sorted by path, that stay in ``root`` until they are written to an archive; empty folders do not count."""

    entries: tuple[Entry, ...]
    root: Path | None
    """The folder that holds them; None when all are generated."""

    @cached_property
    def files(self) -> list[str]:
        """The relative paths, sorted by their bytes; bytes that are no UTF-8 appear as surrogates (os.fsdecode)."""
        return [entry.path.decode("utf-8", "surrogateescape") for entry in self.entries]

    @cached_property
    def by_path(self) -> Mapping[bytes, Entry]:
        """The entries by their path."""
        return {entry.path: entry for entry in self.entries}

    @cached_property
    def links(self) -> Mapping[bytes, bytes]:
        """The targets of the links by their path."""
        return {entry.path: entry.target for entry in self.entries if entry.kind == LINK}

    @cached_property
    def hash(self) -> str:
        """SHA-256 (hex) of paths, kinds, contents and link targets; not of times, owners or other mode bits."""
        total = hashlib.sha256(b"slipway files 1\n")
        for entry in self.entries:
            detail = entry.target if entry.kind == LINK else entry.digest
            # Lengths first, so that no two sets of files can give the same bytes.
            total.update(b"%s %d %d\n%s%s" % (entry.kind, len(entry.path), len(detail), entry.path, detail))
        return total.hexdigest()

    def find(self, path: str | bytes) -> Entry | None:
        """The file at ``path``, through links inside the tree, or None."""
        name = os.fsencode(path)
        resolved = resolve(self.links, name)
        entry = None if resolved is None else self.by_path.get(resolved)
        return None if entry is None or entry.kind == LINK else entry

    def read(self, path: str | bytes) -> bytes | None:
        """The content of the file at ``path``, through links inside the tree; None when there is none.

        Raises SourceError when the file has changed since it was listed, or is larger than MAX_READ.
        """
        entry = self.find(path)
        if entry is None:
            return None
        if entry.size > MAX_READ:
            raise SourceError(
                f"{printable(entry.path)} has {entry.size >> 20} MiB, and at most {MAX_READ >> 20} are read; make it smaller."
            )
        with contextlib.ExitStack() as stack, self._open(entry, self._folder(stack)) as file:
            data = file.read(entry.size + 1)
        if hashlib.sha256(data).digest() != entry.digest:
            raise changed(entry.path)
        return data

    def write_tar(self, destination: Path) -> None:
        """Write the files to a gzipped tar at ``destination``, which appears whole or not at all.

        The same files give the same bytes: sorted, times 0, root:root, modes 0644, 0755 for programs and folders.
        Raises SourceError when a file changed since it was listed, since the archive would not be what its hash says.
        """
        descriptor, temporary = tempfile.mkstemp(prefix=f".{destination.name}.", dir=destination.parent)
        try:
            with (
                contextlib.ExitStack() as stack,
                os.fdopen(descriptor, "wb") as raw,
                gzip.GzipFile(filename="", mode="wb", compresslevel=GZIP_LEVEL, fileobj=raw, mtime=0) as packed,
                # The GNU format keeps names as the bytes they are; pax would have to call them text.
                tarfile.open(
                    fileobj=packed, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8", errors="surrogateescape"
                ) as tar,
            ):
                source = self._folder(stack)
                folders: set[bytes] = set()
                for entry in self.entries:
                    for folder in parents(entry.path):
                        if folder not in folders:
                            folders.add(folder)
                            tar.addfile(_member(folder, tarfile.DIRTYPE, 0o755))
                    self._add(tar, entry, source)
            Path(temporary).rename(destination)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def _add(self, tar: tarfile.TarFile, entry: Entry, source: Folder | None) -> None:
        if entry.kind == LINK:
            member = _member(entry.path, tarfile.SYMTYPE, 0o777)
            member.linkname = entry.target.decode("utf-8", "surrogateescape")
            tar.addfile(member)
            return
        member = _member(entry.path, tarfile.REGTYPE, 0o755 if entry.kind == EXECUTABLE else 0o644)
        member.size = entry.size
        with self._open(entry, source) as file:
            hashing = _Hashing(file)
            try:
                tar.addfile(member, hashing)
            except OSError as error:
                raise changed(entry.path) from error
            if hashing.hash.digest() != entry.digest or file.read(1):
                raise changed(entry.path)

    def _folder(self, stack: contextlib.ExitStack) -> Folder | None:
        """The folder that holds the files, open for as long as ``stack`` is; None when all are generated."""
        return None if self.root is None else stack.enter_context(Folder(self.root))

    def _open(self, entry: Entry, source: Folder | None) -> BinaryIO:
        if entry.content is not None or source is None:
            return io.BytesIO(entry.content or b"")  # a generated file; only those have no folder
        try:
            return os.fdopen(source.open(entry.path), "rb")
        except OSError as error:
            raise changed(entry.path) from error


def _member(path: bytes, kind: bytes, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(path.decode("utf-8", "surrogateescape"))
    member.type, member.mode, member.mtime = kind, mode, 0
    member.uname = member.gname = "root"
    return member


def parents(path: bytes) -> Iterator[bytes]:
    """The folders above ``path``, outermost first: ``a/b/c`` gives ``a`` and ``a/b``."""
    position = path.find(b"/")
    while position != -1:
        yield path[:position]
        position = path.find(b"/", position + 1)


def resolve(links: Mapping[bytes, bytes], path: bytes) -> bytes | None:
    """Where ``path`` leads through ``links`` (path to target), or None if that is outside the tree.

    Works on names alone: a part that does not exist counts as a folder. A loop leads nowhere, so it stays inside.
    """
    if path.startswith(b"/"):
        return None
    todo = path.split(b"/")[::-1]
    at: list[bytes] = []
    hops = 0
    while todo:
        part = todo.pop()
        if part in (b"", b"."):
            continue
        if part == b"..":
            if not at:
                return None
            at.pop()
            continue
        at.append(part)
        target = links.get(b"/".join(at))
        if target is None:
            continue
        hops += 1
        if hops > LINK_HOPS:
            return b"/".join(at)
        if target.startswith(b"/"):
            return None
        at.pop()
        todo.extend(target.split(b"/")[::-1])
    return b"/".join(at)


def generated(name: str, content: bytes) -> Files:
    """One generated file."""
    return Files(
        (Entry(os.fsencode(name), FILE, hashlib.sha256(content).digest(), len(content), content=content),), None
    )


def listing(root: Path, names: Iterable[bytes], where: str) -> tuple[Files, list[str]]:
    """List ``names`` below ``root``; returns the files and the warnings about what cannot be shipped.

    ``where`` names the source in messages. Names that do not exist are skipped. Raises SourceError for a file that
    cannot be read, for a link that leads outside, and when nothing is left.
    """
    entries: list[Entry] = []
    warnings: list[str] = []
    left = MAX_BYTES
    with Folder(root) as folder:
        for name in sorted(set(names)):
            try:
                status = folder.status(name)
                if stat.S_ISLNK(status.st_mode):
                    entries.append(Entry(name, LINK, b"", target=folder.target(name)))
                elif stat.S_ISREG(status.st_mode):
                    entries.append(_file(folder, name, left))
                    left -= entries[-1].size
                elif not stat.S_ISDIR(status.st_mode):
                    warnings.append(
                        f"{where}: {printable(name)} is neither a file, a folder nor a link; it is left out."
                    )
            except FileNotFoundError:
                continue
            except OSError as error:
                if is_link(error):  # it was neither a link nor below one when it was found
                    raise changed(name) from error
                raise SourceError(
                    f"{where}: {printable(name)} cannot be read ({error.strerror}); make it readable, or remove it."
                ) from error
            if left < 0 or len(entries) > MAX_MEMBERS:
                raise SourceError(
                    f"{where}: there are more than {MAX_MEMBERS} files or {MAX_BYTES >> 30} GiB to ship; ship less."
                )
    files = Files(tuple(entries), root)
    for path, target in files.links.items():
        if resolve(files.links, path) is None:
            raise SourceError(
                f"{where}: {printable(path)} is a link to {printable(target)}, which is outside of the source. "
                "A release has only its own files: copy them into the source, or make the link relative."
            )
    if not entries:
        raise SourceError(f"{where}: there are no files to ship; check the path, and what .gitignore leaves.")
    return files, warnings


def _file(folder: Folder, name: bytes, most: int) -> Entry:
    """Hash a file; stop reading a file that is larger than ``most``."""
    with os.fdopen(folder.open(name), "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        digest = hashlib.sha256()
        size, pointer = 0, False
        while size <= most and (chunk := file.read(1 << 20)):
            digest.update(chunk)
            pointer = size == 0 and lfs.is_pointer(chunk)
            size += len(chunk)
    return Entry(name, EXECUTABLE if mode & stat.S_IXUSR else FILE, digest.digest(), size, pointer=pointer)


def located(base: Path, path: str) -> Path:
    """Resolve a path relative to ``base``, with ``~`` for a home folder.

    Raises:
        SourceError: No user has that home folder.
    """
    try:
        # As text, since users see the path, and `..` after a link does not mean what they expect.
        return Path(os.path.normpath(base / Path(path).expanduser()))
    except RuntimeError as error:
        raise SourceError(
            f"{printable(path)} is in the home folder of a user who does not exist; correct it."
        ) from error


def walk(root: Path) -> list[bytes]:
    """Every file and link below ``root``, relative to it; links to folders are not followed."""
    with Folder(root) as folder:
        return [path for path, _link in folder.walk(lambda _path: True, MAX_MEMBERS)]

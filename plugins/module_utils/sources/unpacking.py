"""Unpacks a tar or zip file that is not trusted: its sizes, names, links and depth have limits."""

from __future__ import annotations

import bz2
import functools
import lzma
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from .descriptors import DEPTH
from .errors import SourceError, printable
from .files import MAX_BYTES, MAX_MEMBERS, parents

RATIO, FREE = 200, 64 << 20
"""How many times larger than its file an archive may be unpacked, once that is more than FREE bytes. Source code shrinks to a
quarter, and nothing but a bomb to less than a hundredth."""

HEADERS = 128 << 10
"""Bytes that describe one member of a tar: its name, its link and its attributes in all formats have some 2 kB."""

DIRECTORY = 32 << 20
"""Bytes of the list of members at the end of a zip, of which Python keeps all: one of 200,000 files has 30 MB."""

SHARED = 32
"""Attributes that a tar may give to all its members; git gives one."""

PATH = 4096
"""Bytes of a name or of a link's target (PATH_MAX)."""

NAMES = 64 << 20
"""Bytes of all names together, those of the folders between included."""

XZ_MEMORY = 128 << 20
"""Bytes that unpacking may need by the format's own account; `xz -9` asks for 65 MB."""

STREAMS = 50_000
"""Compressed streams, one after the other, of which a file may be made. Each takes some 30 µs, even one without content. Who
packs on several cores makes one of each 900 kB at the least."""

CHUNK = 1 << 20

_PIECE = 1 << 15
"""Bytes of a compressed file that are read at once: what follows a stream in its piece is copied."""


@dataclass(frozen=True)
class _Member:
    """What an archive says about one file or link; ``open`` reads its content."""

    kind: str
    """``file``, ``link`` or ``hard``."""
    executable: bool
    size: int
    target: bytes
    open: Callable[[], IO[bytes]]


def unpack(file: BinaryIO, folder: Path, shown: str) -> None:
    """Unpack the tar or zip ``file`` into the empty ``folder``, without its single top folder.

    Everything is judged before anything is written, and links are made last, so no member is written through one.
    Raises SourceError for absolute names, ``..``, devices, contradictions, links that lead outside, and broken files.
    """
    packed = file.seek(0, os.SEEK_END)
    file.seek(0)
    try:
        if file.read(4) in (b"PK\x03\x04", b"PK\x05\x06"):
            metered = _Metered(file, shown, DIRECTORY)
            with zipfile.ZipFile(cast("IO[bytes]", metered)) as archive:
                members = _members(_zipped(archive, metered, shown), packed, shown)
                metered.left = None
                _write(members, folder, shown)
        else:
            with tempfile.TemporaryFile(dir=folder.parent) as plain:
                metered = _Metered(_plain(file, plain, packed, shown), shown, HEADERS)
                with tarfile.open(
                    fileobj=cast("IO[bytes]", metered), mode="r:", encoding="utf-8", errors="surrogateescape"
                ) as tar:
                    members = _members(_tarred(tar, metered, shown), packed, shown)
                    metered.left = None
                    _write(members, folder, shown)
    except RecursionError as error:
        raise SourceError(
            f"The archive {shown} is refused: its headers are nested too deeply; make it again."
        ) from error
    except (
        *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError),
        *(NotImplementedError, OSError, ValueError),
    ) as error:
        reason = printable((str(error) or type(error).__name__).splitlines()[0].rstrip(":"))
        raise SourceError(
            f"The archive {shown} cannot be unpacked ({reason}); make or fetch it again as tar, tar.gz, tar.xz or zip."
        ) from error


class _Metered:
    """A file that gives no more than ``left`` bytes until the reader sets that again.

    The length in a header is not trusted.
    """

    def __init__(self, file: BinaryIO, shown: str, left: int) -> None:
        self.file = file
        self.shown = shown
        self.left: int | None = left
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        if self.left is None:
            return self.file.read(size)
        data = self.file.read(size if 0 <= size <= self.left else self.left + 1)
        self.left -= len(data)
        if self.left < 0:
            raise SourceError(
                f"The archive {self.shown} is refused: its headers are longer than any that a name or a file needs; make it "
                "again."
            )
        return data


def _plain(file: BinaryIO, plain: BinaryIO, packed: int, shown: str) -> BinaryIO:
    """The tar itself: ``file``, or what it unpacks to in ``plain``."""
    file.seek(0)
    start = file.read(6)
    file.seek(0)
    decoder: Callable[[], Any]
    if start.startswith(b"\x1f\x8b"):
        decoder = _Gzip
    elif start.startswith(b"BZh"):
        decoder = bz2.BZ2Decompressor
    elif start.startswith(b"\xfd7zXZ\0"):
        decoder = functools.partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, memlimit=XZ_MEMORY)
    else:
        return file
    size = 0
    for chunk in _streams(file, decoder, shown):
        size += len(chunk)
        _bearable(size, packed, shown)
        plain.write(chunk)
    plain.seek(0)
    return plain


class _Gzip:
    """Unpacks one member of a gzip file, with the methods of bz2's and lzma's decoders."""

    def __init__(self) -> None:
        self._decoder = zlib.decompressobj(zlib.MAX_WBITS | 16)

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def needs_input(self) -> bool:
        return not self._decoder.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data

    def decompress(self, data: bytes, size: int) -> bytes:
        return self._decoder.decompress(self._decoder.unconsumed_tail + data, size)


def _streams(file: BinaryIO, new: Callable[[], Any], shown: str) -> Iterator[bytes]:
    """Unpack the streams of a compressed file, in chunks; ``new`` makes a decoder for each.

    Python's own classes for such files take as much memory as an xz requests, and as many streams as it has.
    """
    data = file.read(_PIECE)
    count = 0
    while data:
        count += 1
        if count > STREAMS:
            raise SourceError(
                f"The archive {shown} is refused: it is made of more than {STREAMS} compressed streams; make it again, with one."
            )
        decoder = new()
        while not decoder.eof:
            if decoder.needs_input and not data:
                raise EOFError("it ends too early")
            yield decoder.decompress(data, CHUNK)
            data = file.read(_PIECE) if decoder.needs_input and not decoder.eof else b""
        data = decoder.unused_data.lstrip(b"\0")  # zeros may follow a stream, as many as a tape's block
        while not data and (piece := file.read(_PIECE)):
            data = piece.lstrip(b"\0")


def _bearable(size: int, packed: int, shown: str) -> None:
    """Raise SourceError when ``size`` bytes are too many to come out of ``packed`` ones."""
    if size > MAX_BYTES:
        raise _too_much(shown)
    if size > max(FREE, RATIO * packed):
        raise SourceError(
            f"The archive {shown} is refused: it is more than {RATIO} times larger unpacked, as no source code is; ship less."
        )


def _too_much(shown: str) -> SourceError:
    return SourceError(f"The archive {shown} holds more than {MAX_MEMBERS} files or {MAX_BYTES >> 30} GiB; ship less.")


def _tarred(tar: tarfile.TarFile, metered: _Metered, shown: str) -> Iterator[tuple[bytes, _Member | None]]:
    for info in tar:
        metered.left = HEADERS  # for the next one
        info.pax_headers = {}  # a copy for each of what all have
        if len(tar.pax_headers) > SHARED:
            raise SourceError(
                f"The archive {shown} is refused: it gives its members more than {SHARED} attributes; make it without them."
            )
        name = info.name.encode("utf-8", "surrogateescape")
        target = info.linkname.encode("utf-8", "surrogateescape")

        def content(info: tarfile.TarInfo = info) -> IO[bytes]:
            return cast("IO[bytes]", tar.extractfile(info))  # None only for what is no regular file

        if info.isdir():
            yield name, None
        elif info.isreg():
            yield name, _Member("file", bool(info.mode & 0o100), info.size, b"", content)
        elif info.issym():
            yield name, _Member("link", False, 0, target, content)
        elif info.islnk():
            yield name, _Member("hard", False, 0, target, content)
        else:
            raise _refused(shown, name, "is a device or another special file")


def _zipped(packed: zipfile.ZipFile, metered: _Metered, shown: str) -> Iterator[tuple[bytes, _Member | None]]:
    for info in packed.infolist():
        metered.left = HEADERS
        name = info.filename.encode("utf-8", "surrogateescape")
        mode = info.external_attr >> 16 if info.create_system == 3 else 0  # 3 = Unix; others leave no mode
        if b"\\" in name:
            raise _refused(shown, name, "has a backslash in its name")
        if info.flag_bits & 1:
            raise _refused(shown, name, "is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2):
            raise _refused(
                shown, name, "is packed in another way than deflate"
            )  # LZMA takes the memory that it asks for

        def content(info: zipfile.ZipInfo = info) -> IO[bytes]:
            return packed.open(info)

        if name.endswith(b"/"):  # is_dir() fails without a name
            yield name, None
        elif stat.S_ISLNK(mode):
            if info.file_size > PATH:
                raise _refused(shown, name, "is a link with a target that is too long")
            yield name, _Member("link", False, 0, packed.read(info), content)
        elif stat.S_IFMT(mode) in (0, stat.S_IFREG):
            yield name, _Member("file", bool(mode & 0o100), info.file_size, b"", content)
        else:
            raise _refused(shown, name, "is a device or another special file")


def _refused(shown: str, name: bytes, why: str) -> SourceError:
    return SourceError(f"The archive {shown} is refused: its member {printable(name)} {why}; make it without that.")


def _clean(name: bytes, shown: str) -> bytes:
    """A member's name without ``.`` parts and doubled slashes; raises SourceError when it leads elsewhere, or too deep."""
    if len(name) > PATH:
        raise _refused(shown, name[:60] + b"...", f"has a name of more than {PATH} bytes")
    if name.count(b"/") > DEPTH:
        raise _refused(shown, name[:60] + b"...", f"is nested more than {DEPTH} folders deep")
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    if name.startswith(b"/"):
        raise _refused(shown, name, "has an absolute name")
    if b".." in parts:
        raise _refused(shown, name, "has `..` in its name")
    if b"\0" in name:
        raise _refused(shown, name, "has a zero byte in its name")
    return b"/".join(parts)


def _members(entries: Iterator[tuple[bytes, _Member | None]], packed: int, shown: str) -> dict[bytes, _Member]:
    """The files and links by their cleaned names, without a single top folder."""
    members: dict[bytes, _Member] = {}
    folders: set[bytes] = set()
    size = count = named = 0
    for raw, member in entries:
        name = _clean(raw, shown)
        count += 1
        size += member.size if member else 0
        if count > MAX_MEMBERS:
            raise _too_much(shown)
        _bearable(size, packed, shown)
        parts = name.split(b"/")
        # Another repository's history, and what macOS adds to its zip files.
        if b".git" in parts or parts[0] == b"__MACOSX" or parts[-1] == b".DS_Store":
            continue
        new = {*parents(name), *([name] if member is None else [])} - folders
        folders |= new
        named += len(name) + sum(map(len, new))
        if named > NAMES:
            raise SourceError(f"The archive {shown} is refused: its names take more than {NAMES >> 20} MiB; ship less.")
        if member is None:
            continue
        if len(member.target) > PATH:
            raise _refused(shown, raw, "is a link with a target that is too long")
        if name in members or not name:
            raise _refused(shown, raw, "is there twice" if name else "has no name")
        if member.kind == "hard":
            member = _original(member, members, raw, shown)
            size += member.size
            _bearable(size, packed, shown)
        members[name] = member
    for name in members:
        if name in folders:
            raise _refused(shown, name, "is both a file and a folder")
    tops = {name.partition(b"/")[0] for name in [*members, *folders] if name}
    if len(tops) == 1 and members and not tops & members.keys():
        members = {name.partition(b"/")[2]: member for name, member in members.items()}
    return members


def _original(link: _Member, members: dict[bytes, _Member], raw: bytes, shown: str) -> _Member:
    """The file that a hard link is another name of."""
    original = members.get(_clean(link.target, shown))
    if original is None:
        raise _refused(shown, raw, f"is a link to {printable(link.target)}, which is not there before it")
    return original


def _write(members: dict[bytes, _Member], folder: Path, shown: str) -> None:
    top = os.fsencode(folder)
    for name, member in members.items():
        path = os.path.join(top, name)
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        if member.kind == "file":
            with (
                member.open() as source,
                open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as destination,
            ):
                shutil.copyfileobj(source, destination)
                os.fchmod(destination.fileno(), 0o700 if member.executable else 0o600)
    for name, member in members.items():
        if member.kind == "link":
            if not member.target or b"\0" in member.target:
                raise _refused(shown, name, "is a link to nowhere")
            os.symlink(member.target, os.path.join(top, name))

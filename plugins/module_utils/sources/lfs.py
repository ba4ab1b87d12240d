"""Fetches content from Git LFS.

A file of a few lines points to content that is kept elsewhere. The content is fetched, or the source is refused. A separate
repository fetches it, which has only the objects of the source: no filter, and no `.lfsconfig`, which could name any server.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .descriptors import READ
from .errors import SourceError, printable
from .gitcommand import NETWORK, git

LARGEST = 1024
"""Bytes of a pointer, by the specification: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md"""

_POINTER = re.compile(
    rb"version https?://[a-z0-9.-]+/spec/v[0-9]+\n(?:ext-[0-9]-[^\n]*\n)*oid sha256:([0-9a-f]{64})\nsize ([0-9]{1,18})\n?"
)
NAMED = 5
"""Most files that a message names."""


@dataclass(frozen=True)
class Pointer:
    """A file and the content to which it points."""

    path: Path
    oid: str
    size: int


def is_pointer(data: bytes) -> bool:
    """Whether this is the whole content of a pointer."""
    return len(data) <= LARGEST and _POINTER.fullmatch(data) is not None


def summary(names: Iterable[bytes]) -> str:
    """Name the first few files, and the number of the others."""
    every = sorted(names)
    more = f" and {len(every) - NAMED} more" if len(every) > NAMED else ""
    return ", ".join(map(printable, every[:NAMED])) + more


def pointers(folder: Path) -> Iterator[Pointer]:
    """List the pointers in a checkout, also in its submodules."""
    for at, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != ".git"]
        for name in names:
            path = Path(at, name)
            status = path.lstat()
            if not path.is_symlink() and 100 < status.st_size <= LARGEST:
                match = _POINTER.fullmatch(path.read_bytes())
                if match:
                    yield Pointer(path, match[1].decode(), int(match[2]))


def fill(
    folder: Path, url: str, local: bool, store: Callable[[str], Path], shown: str, log: Callable[[str], None]
) -> None:
    """Replace every pointer in a checkout, which still has its repositories, by its content.

    Args:
        folder: The checkout.
        url: The address of its repository.
        local: Whether the repository is on this machine.
        store: Returns the cache's folder for the content from an address.
        shown: The source's name in messages.
        log: Reports progress.

    Raises:
        SourceError: The content is not available; the message names the files.
    """
    by_repository: dict[Path, list[Pointer]] = {}
    for pointer in pointers(folder):
        top = next(above for above in pointer.path.parents if (above / ".git").exists())
        by_repository.setdefault(top, []).append(pointer)
    for top, wanted in by_repository.items():
        address, near = url, local
        if top != folder:
            address = git(top, "config", "--get", "remote.origin.url").output.decode("utf-8", "surrogateescape").strip()
            near = address.startswith(("/", "file://"))
        objects, why = (_local(address), "") if near else _fetched(top, address, store(address), shown, log)
        lacking = [pointer for pointer in wanted if not _place(pointer, objects)]
        if lacking:
            names = summary(os.fsencode(pointer.path.relative_to(folder)) for pointer in lacking)
            other = (
                "; its .lfsconfig is ignored, since it could name any server: set lfs.url in your own git configuration"
                if (top / ".lfsconfig").exists()
                else ""
            )
            remedy = f"push it with `git lfs push --all`{other}" if not why else f"{why}{other}"
            raise SourceError(f"{shown}: the content of {names} is in Git LFS and not available: {remedy}.")


def _local(address: str) -> list[Path]:
    """Return where a repository on this machine keeps its content, if that is inside of it."""
    path = Path(address.removeprefix("file://")).resolve()
    places = [path / ".git/lfs/objects", path / "lfs/objects"]
    return [place for place in places if path in place.resolve().parents]


def _fetched(top: Path, address: str, store: Path, shown: str, log: Callable[[str], None]) -> tuple[list[Path], str]:
    """Fetch the content of a checkout's commit.

    Returns:
        Its folders, and why it was not fetched, if so.
    """
    if not shutil.which("git-lfs"):
        return [], "install git-lfs on the controller (Debian: apt-get install git-lfs)"
    log(f"fetching the Git LFS content of {shown}")
    objects = git(top, "rev-parse", "--path-format=absolute", "--git-path", "objects").output.decode().strip()
    commit = git(top, "rev-parse", "HEAD").output.decode().strip()
    git(store, "init", "--quiet", "--bare", "--template=", ".")
    # A branch that does not exist: git-lfs reads the .lfsconfig of a bare repository's HEAD.
    (store / "HEAD").write_text("ref: refs/heads/none-of-the-source-s\n")
    (store / "objects/info").mkdir(parents=True, exist_ok=True)
    # The checkout borrows its objects from the mirror; git-lfs does not follow that link itself.
    others = Path(objects, "info/alternates")
    more = others.read_text() if others.exists() else ""
    (store / "objects/info/alternates").write_text(f"{objects}\n{more}")
    result = git(store, "-c", f"remote.origin.url={address}", "lfs", "fetch", "origin", commit, timeout=NETWORK)
    return [store / "lfs/objects"], "" if result.ok else result.reason


def _place(pointer: Pointer, folders: Iterable[Path]) -> bool:
    """Replace a pointer by its content; False if no folder has that, complete and correct."""
    for folder in folders:
        source = folder / pointer.oid[:2] / pointer.oid[2:4] / pointer.oid
        target = pointer.path.with_name(f"{pointer.path.name[:200]}.slipway-lfs")
        digest, size = hashlib.sha256(), 0
        try:
            with os.fdopen(os.open(source, READ), "rb") as content, target.open("xb") as out:
                while chunk := content.read(1 << 20):
                    digest.update(chunk)
                    size += len(chunk)
                    out.write(chunk)
        except OSError:
            target.unlink(missing_ok=True)
            continue
        if (digest.hexdigest(), size) == (pointer.oid, pointer.size):
            shutil.copymode(pointer.path, target)
            target.rename(pointer.path)
            return True
        target.unlink()
    return False

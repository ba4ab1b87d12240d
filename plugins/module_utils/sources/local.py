"""Checks a git repository on this machine: git may read only files in the folder that the user named.

A repository can point git to other places: to borrowed objects, to the repository of another work tree, and by links. git runs
as the controller's user, and could publish files that the owner of the source cannot read.
"""

from __future__ import annotations

import os
import re
import urllib.parse
from pathlib import Path

from .descriptors import Folder
from .errors import SourceError, printable
from .worktree import SMALL

OBJECTS = 2_000_000
"""Most files of a repository to check, a loose object each; git packs them from 6,700 on."""

CHAIN = 5
"""Most repositories that borrow from one another; git has the same limit."""

_BORROWS = "make a full clone without `--shared` or `--reference`, and name that"
_ELSEWHERE = "name the repository that it belongs to, or make a clone of it"
"""The remedy for a `.git` that is a link or names a folder, as in an extra work tree or a submodule."""


def path(url: str) -> Path:
    """Return the folder of a local address: a path, or a `file` URL."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.lower() != "file":
        return Path(url)
    return Path("/", urllib.parse.unquote(rest))


def repository(named: Path, within: Path) -> Path:
    """Find the repository at a path, a bare one or that of a work tree.

    Raises:
        SourceError: git would read files outside of ``within`` for it.
    """
    limit = within.resolve()
    top = _inside(named, named, limit)
    git_folder = top / ".git"
    remedy = _ELSEWHERE if git_folder.is_file() or git_folder.is_symlink() else _BORROWS
    if git_folder.is_file():
        with Folder(top) as folder:
            link = re.fullmatch(rb"gitdir: ([^\0\n]+)\n*", folder.read(b".git", SMALL) or b"")
        git_folder = top / os.fsdecode(link[1]) if link else git_folder
    elif not os.path.lexists(git_folder):
        git_folder = top
    git_folder = _inside(git_folder, named, limit, remedy)
    if not git_folder.is_dir():
        return git_folder  # git reports what is wrong
    with Folder(git_folder) as folder:
        shares = folder.has(b"commondir")
        other = folder.read(b"commondir", SMALL)
    if shares:
        if other is None or b"\0" in other:
            raise _outside(named, git_folder / "commondir", limit, _ELSEWHERE)
        _objects(
            _inside(git_folder / os.fsdecode(other.rstrip(b"\n")), named, limit, _ELSEWHERE) / "objects",
            named,
            limit,
            0,
        )
    _objects(git_folder / "objects", named, limit, 0)
    return git_folder


def _objects(at: Path, named: Path, limit: Path, depth: int) -> None:
    """Check that a folder of objects does not lead out of ``limit``, by a link or by borrowing.

    Raises:
        SourceError: It does.
    """
    at = _inside(at, named, limit)
    if not at.is_dir():
        return
    if depth > CHAIN:
        raise SourceError(
            f"The git repository {printable(str(named))} is refused: more than {CHAIN} repositories borrow objects from "
            f"one another; {_BORROWS}."
        )
    with Folder(at) as folder:
        for path, link in folder.walk(lambda _path: True, OBJECTS):
            if link:
                _inside(at / os.fsdecode(path), named, limit)
        listed = {name: folder.read(name, SMALL) for name in (b"info/alternates", b"info/http-alternates")}
        unread = [name for name, content in listed.items() if content is None and folder.has(name)]
    if unread:
        raise _outside(named, at / os.fsdecode(unread[0]), limit)
    if (listed[b"info/http-alternates"] or b"").strip():
        raise _outside(named, at / "info/http-alternates", limit)
    for line in (listed[b"info/alternates"] or b"").split(b"\n"):
        if not line or line.startswith(b"#"):
            continue
        if line.startswith(b'"') or b"\0" in line:  # git has an escape for names with a line break
            raise _outside(named, at / os.fsdecode(line.replace(b"\0", b"")), limit)
        # As text: git, too, resolves `..` without regard to links here.
        _objects(Path(os.path.normpath(at / os.fsdecode(line))), named, limit, depth + 1)


def _inside(place: Path, named: Path, limit: Path, remedy: str = _BORROWS) -> Path:
    """Resolve the links of a path.

    Raises:
        SourceError: It is outside of ``limit``; the message has the remedy.
    """
    try:
        real = place.resolve()
    except RuntimeError:  # links that lead to one another
        real = Path("/")
    if real != limit and limit not in real.parents:
        raise _outside(named, place, limit, remedy)
    return real


def _outside(named: Path, place: Path, limit: Path, remedy: str = _BORROWS) -> SourceError:
    return SourceError(
        f"The git repository {printable(str(named))} is refused: git would read {printable(os.path.normpath(place))} for it, "
        f"which is not inside {printable(str(limit))}; {remedy}."
    )

"""A git repository on this machine: what git would read of it has to lie in the folder that the user named.

A repository can send git elsewhere: to objects that it borrows, to the repository of another work tree, and by links. git
reads with our rights, and would publish what the owner of the source cannot read.
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
"""Files of a repository that are looked at, a loose object each; git packs them from 6,700 on."""

CHAIN = 5
"""Repositories that borrow from one another; git stops there, too."""

_BORROWS = "make a full clone without `--shared` or `--reference`, and name that"
_ELSEWHERE = "name the repository that it belongs to, or make a clone of it"
"""What to do about a `.git` that is a link or names a folder, as in an extra work tree or a submodule."""


def path(url: str) -> Path:
    """The folder that a local address names: a path, or a URL with `file`."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.lower() != "file":
        return Path(url)
    return Path("/", urllib.parse.unquote(rest))


def repository(named: Path, within: Path) -> Path:
    """The repository that is at ``named``, a bare one or that of a work tree.

    Raises SourceError when git would read anything outside of ``within`` for it.
    """
    limit = within.resolve()
    top = _inside(named, named, limit)
    own = top / ".git"
    remedy = _ELSEWHERE if own.is_file() or own.is_symlink() else _BORROWS
    if own.is_file():
        with Folder(top) as folder:
            link = re.fullmatch(rb"gitdir: ([^\0\n]+)\n*", folder.read(b".git", SMALL) or b"")
        own = top / os.fsdecode(link[1]) if link else own
    elif not os.path.lexists(own):
        own = top
    own = _inside(own, named, limit, remedy)
    if not own.is_dir():
        return own  # git says what is wrong
    with Folder(own) as folder:
        shares = folder.has(b"commondir")
        other = folder.read(b"commondir", SMALL)
    if shares:
        if other is None or b"\0" in other:
            raise _outside(named, own / "commondir", limit, _ELSEWHERE)
        _objects(_inside(own / os.fsdecode(other.rstrip(b"\n")), named, limit, _ELSEWHERE) / "objects", named, limit, 0)
    _objects(own / "objects", named, limit, 0)
    return own


def _objects(at: Path, named: Path, limit: Path, depth: int) -> None:
    """Raise SourceError when the folder of objects ``at`` leads out of ``limit``, by a link or by what it borrows."""
    at = _inside(at, named, limit)
    if not at.is_dir():
        return
    if depth > CHAIN:
        raise SourceError(
            f"The git repository {printable(str(named))} is refused: more than {CHAIN} repositories borrow objects from "
            f"one another; {_BORROWS}."
        )
    with Folder(at) as folder:
        for found, link in folder.walk(lambda _path: True, OBJECTS):
            if link:
                _inside(at / os.fsdecode(found), named, limit)
        listed = {name: folder.read(name, SMALL) for name in (b"info/alternates", b"info/http-alternates")}
        unread = [name for name, content in listed.items() if content is None and folder.has(name)]
    if unread:
        raise _outside(named, at / os.fsdecode(unread[0]), limit)
    if (listed[b"info/http-alternates"] or b"").strip():
        raise _outside(named, at / "info/http-alternates", limit)
    for line in (listed[b"info/alternates"] or b"").split(b"\n"):
        if not line or line.startswith(b"#"):
            continue
        if line.startswith(b'"') or b"\0" in line:  # git has an escape for names that hold a line's end
            raise _outside(named, at / os.fsdecode(line.replace(b"\0", b"")), limit)
        # As text, which is how git takes `..` here.
        _objects(Path(os.path.normpath(at / os.fsdecode(line))), named, limit, depth + 1)


def _inside(place: Path, named: Path, limit: Path, remedy: str = _BORROWS) -> Path:
    """``place`` without links; raises SourceError, with the remedy, when that is outside of ``limit``."""
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

"""Fetches dependencies from git repositories and ships them with the code, so that hosts need no access to them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from . import repository
from .cache import Cache, key
from .descriptors import Folder
from .errors import SourceError, masked, printable
from .files import LINK, Files

LOCAL = "file://"
"""The start of an address of a repository on this machine."""
PLACE = ".slipway"
"""Their folder in the code."""
MOST = 64 << 20
"""Most bytes of a repository, which is held in memory. A library has a few MiB."""

_GIT = re.compile(
    r"""(?:(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*+(?P<extras>\[[^\[\]]*+\])?+\s*+@\s*+)?
    git\+(?P<url>(?:ssh|https?|git|file)://(?:[^\s/@#;]+@)?[^\s@#;]*)(?:@(?P<ref>[^\s#;]+))?
    (?:\#(?P<fragment>[^\s;]*))?(?P<rest>\s*+(?:[;-].*)?)""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Wanted:
    """A repository that a requirement names."""

    url: str
    ref: str
    """Empty for the default branch."""

    @property
    def folder(self) -> str:
        """Its folder in the code."""
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", posixpath.basename(self.url).removesuffix(".git")).strip("-.")
        return f"{PLACE}/{stem or 'repository'}-{key(self.url, self.ref)[:8]}"


def taken(line: str, base: str) -> tuple[str, Wanted] | None:
    """Split a requirement into a local one, with a path relative to ``base``, and the repository."""
    match = _GIT.fullmatch(line.strip())
    if match is None:
        return None
    wanted = Wanted(match["url"], match["ref"] or "")
    settings = dict(part.partition("=")[::2] for part in (match["fragment"] or "").split("&"))
    place = posixpath.normpath(posixpath.join(wanted.folder, settings.get("subdirectory", "")))
    if not place.startswith(f"{wanted.folder}"):
        return None
    path = posixpath.relpath(place, base or ".")
    path = path if path.startswith("../") else f"./{path}"
    egg = re.fullmatch(r"([A-Za-z0-9._-]+)(\[[^\[\]]*\])?", settings.get("egg", ""))
    name, extras = (match["name"], match["extras"]) if match["name"] else (egg[1], egg[2]) if egg else ("", "")
    # A hash is that of a file, and a folder has none.
    rest = re.sub(r"(?<!\s)\s+--hash[=\s]\S+", "", match["rest"]).strip()
    return " ".join(filter(None, (f"{name}{extras or ''} @ {path}" if name else path, rest))), wanted


def shipped(
    files: Files, wanted: tuple[Wanted, ...], base: Path, cache: Cache, log: Callable[[str], None], theirs: bool
) -> tuple[Files, list[str]]:
    """Add the repositories to the files.

    Args:
        files: The source.
        wanted: The repositories.
        base: The folder from which relative addresses count.
        cache: The controller's cache.
        log: Reports progress.
        theirs: Whether a file of the source names them. It is untrusted, and may not name repositories of this machine.

    Returns:
        The files, and the commits.

    Raises:
        SourceError: A repository cannot be read.
    """
    entries = list(files.entries)
    commits = []
    for one in dict.fromkeys(wanted):
        if theirs and one.url.startswith(LOCAL):
            raise SourceError(
                f"{printable(masked(one.url))} is on this machine and not part of the source; copy it into the source, or list "
                "it in the key `requirements`."
            )
        tree, _warnings, commit = repository.tree(one.url, one.ref or "HEAD", base, cache, log)
        commits.append(commit)
        if sum(entry.size for entry in tree.entries) > MOST or tree.root is None:
            raise SourceError(
                f"{printable(masked(one.url))} has more than {MOST >> 20} MiB, too much for a dependency; publish it as a package."
            )
        with Folder(tree.root) as folder:
            for entry in tree.entries:
                content = None if entry.kind == LINK else folder.read(entry.path, MOST)
                path = one.folder.encode() + b"/" + entry.path
                entries.append(replace(entry, path=path, content=content))
    return replace(files, entries=tuple(sorted(entries, key=lambda entry: entry.path))), commits

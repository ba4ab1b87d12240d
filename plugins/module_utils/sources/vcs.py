"""Dependencies that are in git repositories: fetched here, and shipped beside the code, so that hosts need no access to them."""

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
"""How addresses of repositories on this machine begin."""
PLACE = ".slipway"
"""The folder of the code in which they are."""
MOST = 64 << 20
"""Bytes of one: it is held in memory, and a library has a few."""

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
        """Where in the code it is."""
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", posixpath.basename(self.url).removesuffix(".git")).strip("-.")
        return f"{PLACE}/{stem or 'repository'}-{key(self.url, self.ref)[:8]}"


def taken(line: str, base: str) -> tuple[str, Wanted] | None:
    """A requirement without its repository, as it reads in a file whose paths count from ``base``; and the repository."""
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
    # A hash is of a file, which there is none of.
    rest = re.sub(r"\s+--hash[=\s]\S+", "", match["rest"]).strip()
    return " ".join(filter(None, (f"{name}{extras or ''} @ {path}" if name else path, rest))), wanted


def shipped(
    files: Files, wanted: tuple[Wanted, ...], base: Path, cache: Cache, log: Callable[[str], None], theirs: bool
) -> tuple[Files, list[str]]:
    """``files`` with the repositories in them; and the commits. Raises SourceError for one that cannot be read.

    ``theirs``: a file of the source names them. It may come from a stranger, whom repositories of this machine do not concern.
    """
    entries = list(files.entries)
    commits = []
    for one in dict.fromkeys(wanted):
        if theirs and one.url.startswith(LOCAL):
            raise SourceError(
                f"{printable(masked(one.url))} is on this machine and not part of the source; copy it into the source, or list "
                "it in the key `requirements`."
            )
        found, _warnings, commit = repository.tree(one.url, one.ref or "HEAD", base, cache, log)
        commits.append(commit)
        if sum(entry.size for entry in found.entries) > MOST or found.root is None:
            raise SourceError(
                f"{printable(masked(one.url))} has more than {MOST >> 20} MiB, too much for a dependency; publish it as a package."
            )
        with Folder(found.root) as folder:
            for entry in found.entries:
                content = None if entry.kind == LINK else folder.read(entry.path, MOST)
                path = one.folder.encode() + b"/" + entry.path
                entries.append(replace(entry, path=path, content=content))
    return replace(files, entries=tuple(sorted(entries, key=lambda entry: entry.path))), commits

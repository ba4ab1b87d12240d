"""What is really installed in a virtualenv, by the metadata of its distributions.

Nothing of it is run: the metadata are files. Packages wrote them, so no more of them is read than a name and a version
need, and what is neither is left out.
"""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Iterator
from typing import Any

from ...contract.errors import HostError
from ...contract.manifest import app_name, release_path
from . import releases

ENTRIES = 10_000
"""Of a virtualenv's folders of packages, and of any list that a module answers; the largest virtualenvs have some hundred."""
LETTERS = 256 * 1024
"""Of all names and versions together. An answer has a limit, too, and carries those of all apps of a host."""
HEADERS = 16 * 1024
"""Bytes of a metadata file: name and version stand first (core metadata specifications)."""
NAME = re.compile(r"^Name: *([A-Za-z0-9][A-Za-z0-9._-]{0,199})\s*$", re.MULTILINE)
VERSION = re.compile(r"^Version: *([A-Za-z0-9][A-Za-z0-9.!+_-]{0,199})\s*$", re.MULTILINE)


class TooMany(HostError):
    """A virtualenv in which there is more than any app needs."""


def installed(root: str) -> dict[str, Any] | None:
    """The current release of an app and its distributions; None without such a release.

    What keeps one app's from being read is its `error`: the other apps of the host are none the worse for it.
    """
    app, release_id = app_name(root), releases.current(root)
    if release_id is None:
        return None
    answer: dict[str, Any] = {"app": app, "release": release_id, "packages": []}
    try:
        packages = distributions(os.path.join(release_path(root, release_id), "venv"))
    except (HostError, OSError) as error:
        return {**answer, "error": str(error)}
    return {**answer, "packages": [{"name": name, "version": version} for name, version in packages]}


def distributions(venv: str) -> list[tuple[str, str]]:
    """The name and the version of every distribution in a virtualenv.

    Raises:
        TooMany: there is more than is read. A part would hide the rest from the reader.
    """
    pairs: set[tuple[str, str]] = set()
    seen = letters = 0
    for site in glob.glob(f"{glob.escape(venv)}/lib/python*/site-packages"):
        with os.scandir(site) as entries:
            for entry in entries:
                seen += 1
                if entry.name.endswith((".dist-info", ".egg-info")):
                    new = {pair for pair in map(_named, _metadata(entry)) if pair} - pairs
                    letters += sum(len(name) + len(version) for name, version in new)
                    pairs |= new
                if seen > ENTRIES or letters > LETTERS:
                    limit = f"{ENTRIES:,} files and folders" if seen > ENTRIES else f"{LETTERS:,} letters of names"
                    raise TooMany(
                        f"there are more than {limit} in the virtualenv's site-packages: find the package that puts them there, "
                        "and leave it out"
                    )
    return sorted(pairs)


def _metadata(entry: os.DirEntry[str]) -> Iterator[str]:
    """The places where a distribution's metadata are: in its folder, or, as old tools did it, in one file."""
    if entry.is_dir(follow_symlinks=False):
        yield os.path.join(entry.path, "METADATA" if entry.name.endswith(".dist-info") else "PKG-INFO")
    else:
        yield entry.path


def _named(path: str) -> tuple[str, str] | None:
    """The name and version in a metadata file; None where they cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb") as handle:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            text = handle.read(HEADERS).decode("utf-8", "replace")
    except OSError:
        return None
    name, version = NAME.search(text), VERSION.search(text)
    return (name[1], version[1]) if name and version else None

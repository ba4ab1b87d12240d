"""What is really installed in a virtualenv, by the metadata of its distributions.

Nothing of it is run: the metadata are files. Packages wrote them, so no more of them is read than a name and a version
need, and what is neither is left out.
"""

from __future__ import annotations

import glob
import itertools
import os
import re
import stat
from collections.abc import Iterator
from typing import Any

from . import releases
from .manifest import app_name, release_path

ENTRIES = 50_000
"""Of a folder of packages; the largest virtualenvs have some hundred."""
HEADERS = 16 * 1024
"""Bytes of a metadata file: name and version stand first (core metadata specifications)."""
NAME = re.compile(r"^Name: *([A-Za-z0-9][A-Za-z0-9._-]{0,199})\s*$", re.MULTILINE)
VERSION = re.compile(r"^Version: *([A-Za-z0-9][A-Za-z0-9.!+_-]{0,199})\s*$", re.MULTILINE)


def installed(root: str) -> dict[str, Any] | None:
    """The current release of an app and its distributions; None without such a release."""
    app, release = app_name(root), releases.current(root)
    if release is None:
        return None
    found = distributions(os.path.join(release_path(root, release), "venv"))
    packages = [{"name": name, "version": version} for name, version in found]
    return {"app": app, "release": release, "packages": packages}


def distributions(venv: str) -> list[tuple[str, str]]:
    """The name and the version of every distribution in a virtualenv."""
    found = set()
    for site in glob.glob(f"{glob.escape(venv)}/lib/python*/site-packages"):
        with os.scandir(site) as entries:
            for entry in itertools.islice(entries, ENTRIES):
                if entry.name.endswith((".dist-info", ".egg-info")):
                    found |= {pair for pair in map(_named, _metadata(entry)) if pair}
    return sorted(found)


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

"""The kinds of sources, each with the function that fetches it.

A new kind is a module with such a function, and a line in `KINDS`. The model knows the keys of each kind
(model/source_kinds.py). A test ensures that both have the same kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import archive, folder, package, repository
from .cache import Cache
from .files import Files, located


@dataclass(frozen=True)
class Wanted:
    """A source to fetch."""

    source: Mapping[str, Any]
    """The user's `source`."""
    value: str
    """The value of the key that names the kind."""
    version: str | None
    """The user's `version`."""
    requirements: str | Sequence[str] | None
    """The app's own choice of dependencies."""
    base: Path
    """The folder that relative paths start from."""
    cache: Path
    """The folder that is kept between runs."""
    store: Cache
    """The same for the current run."""
    log: Callable[[str], None]
    """Reports what takes long before it begins."""


@dataclass(frozen=True)
class Fetched:
    """The files of a source."""

    files: Files
    warnings: list[str]
    version: str
    """The name of the version, for the release id."""
    requirements: str | Sequence[str] | None
    """What is left of the app's own choice of dependencies; None where the files contain it."""
    revision: str | None = None
    """The commit."""
    left_out: folder.LeftOut = field(default_factory=folder.LeftOut)
    """What git ignores, so that it is not shipped."""
    has_code: bool = True
    """Whether the files are the app's source."""


def _folder(wanted: Wanted) -> Fetched:
    root = located(wanted.base, wanted.value)
    files, warnings, left_out = folder.tree(root, wanted.cache, wanted.source.get("include", ()))
    return Fetched(files, warnings, wanted.version or "local", wanted.requirements, left_out=left_out)


def _repository(wanted: Wanted) -> Fetched:
    ref = repository.check_ref(wanted.version)
    files, warnings, revision = repository.tree(wanted.value, ref, wanted.base, wanted.store, wanted.log)
    return Fetched(files, warnings, repository.label(ref), wanted.requirements, revision)


def _archive(wanted: Wanted) -> Fetched:
    sha256 = wanted.source.get("sha256")
    files, warnings = archive.tree(wanted.value, sha256, wanted.base, wanted.store, wanted.log)
    return Fetched(files, warnings, wanted.version or archive.label(wanted.value), wanted.requirements)


def _package(wanted: Wanted) -> Fetched:
    files, warnings, pinned = package.tree(wanted.value, wanted.requirements)
    return Fetched(files, warnings, wanted.version or pinned, None, has_code=False)


KINDS: Mapping[str, Callable[[Wanted], Fetched]] = {
    "path": _folder,
    "git": _repository,
    "archive": _archive,
    "package": _package,
}
"""Every kind, by the key that names it; a source names exactly one. Raise SourceError where it cannot be fetched."""

CHECKS: Mapping[str, Callable[[str, Path], object]] = {
    "path": lambda value, base: folder.check(located(base, value)),
    "git": repository.address,
    "archive": archive.check,
}
"""Kinds of which it is known without fetching that they are not on this machine: then they raise SourceError."""

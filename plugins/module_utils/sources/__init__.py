"""Turns the ``source`` of an app into a code tree that is ready to ship. Runs on the controller only.

`fetch` reads a folder, a git repository, an archive or the name of a package. It returns a `Tree`: the files, one hash over
them, their dependencies, and a method that writes them to an archive. It may run in many processes at once, which share a
cache for slow results.

The content of a source is untrusted. None of it runs here except in `source.build`, no link in it leads outside of it, and git may use only protocols
that run nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..model.commands import parse
from ..model.spelling import as_yaml
from . import building, folder, ignored, kinds, lfs, metadata, vcs
from .cache import Cache, current_run
from .declared import Dependencies
from .dependencies import detect
from .errors import SourceError, masked, printable
from .files import Entry, Files, located
from .kinds import KINDS

__all__ = ["KINDS", "Dependencies", "Entry", "Files", "SourceError", "Tree", "check", "fetch", "version_label"]

LABEL = 40
"""Most characters of a version in a release id, which is part of unit names and socket paths with limits."""


@dataclass(frozen=True)
class Tree(Files):
    """A source, ready to ship."""

    version: str
    """The label in the release id, ``[A-Za-z0-9._-]{1,40}``."""
    lock: Dependencies
    """The dependencies to install."""
    warnings: list[str]
    """Warnings for the user, a sentence each."""
    revision: str | None
    """The commit, for a git source."""
    left_out: folder.LeftOut = field(default_factory=folder.LeftOut)
    """The files of a folder that git ignores, and that are therefore not shipped."""

    def lacking(self, entry: Mapping[str, Any], below: str) -> list[str]:
        """Warn about left-out files that an app's entry seems to need; ``below`` is the app's folder."""
        return ignored.warnings(self, self.left_out.paths, self.left_out.code, entry, below)


def check(source: Mapping[str, Any], base: Path) -> None:
    """Raise SourceError if a validated ``source`` names what is not on this machine. Nothing is fetched.

    Args:
        source: The app's `source`.
        base: The folder from which relative paths count.
    """
    for kind, look in kinds.CHECKS.items():
        if kind in source:
            look(source[kind], base)


def missing(source: Mapping[str, Any], base: Path, chosen: Any) -> str | None:
    """Why a file that an app names is not in its source, as the end of a sentence; None where only a fetch would tell.

    Args:
        source: The app's `source`.
        base: The folder from which relative paths count.
        chosen: The value of `requirements` or `constraints`.
    """
    if "path" not in source or "build" in source or not isinstance(chosen, str):
        return None
    top, below = located(base, source["path"]), str(source.get("folder", "")).strip("/")
    if any((top / folder / chosen).exists() for folder in (below, "")):
        return None
    return f"is {printable(chosen)}, which is not in {printable(source['path'])}; correct it"


def fetch(
    source: Mapping[str, Any],
    *,
    requirements: str | Sequence[str] | None,
    constraints: str | Sequence[str] | None = None,
    base: Path,
    cache: Path,
    log: Callable[[str], None],
    run: str | None = None,
) -> Tree:
    """Fetch a validated ``source``.

    Args:
        source: The app's `source`.
        requirements: The app's choice of dependencies: a file of the source, a list, or None to look for a lock file.
        constraints: A file or a list that limits their versions.
        base: The folder from which relative paths count.
        cache: A folder that is kept between runs.
        log: Gets a line before a slow step.
        run: An id of the run; detected in Ansible's worker processes. Within a run, a branch or a URL is fetched once, so
            that all hosts get the same.

    Raises:
        SourceError: The source cannot be shipped.
    """
    chosen = [kind for kind in KINDS if kind in source]
    if len(chosen) != 1:
        raise SourceError(
            f"`source` must name exactly one of {', '.join(KINDS)}; it names {', '.join(chosen) or 'none'}."
        )
    kind = chosen[0]
    value = source[kind]
    version = source.get("version")
    for name, text in ((kind, value), ("version", version)):
        if not ((isinstance(text, str) and text) or (text is None and name == "version")):
            raise SourceError(f"`source.{name}` must be a text, not {as_yaml(text)}; put it in quotes.")
        if isinstance(text, str) and re.search(r"[\x00-\x1f\x7f]", text):
            raise SourceError(
                f"`source.{name}` must be one line without control characters, not {as_yaml(text)}; correct it."
            )
    store = Cache(cache, run if run is not None else current_run())
    where = printable(masked(value))
    try:
        fetched = KINDS[kind](kinds.Wanted(source, value, version, requirements, base, cache, store, log))
        files, warnings, requirements = fetched.files, fetched.warnings, fetched.requirements
        _whole(files, kind, where)
        below = str(source.get("folder", "")).strip("/")
        if commands := source.get("build"):
            files, more = building.built(files, parse(commands), below, store, log)
            warnings = [*warnings, *more]
        if below and not any(path.startswith(f"{below}/") for path in files.files):
            raise SourceError(f"{where}: `folder` {printable(below)} is not in it, or is empty; correct it.")
        lock, more = detect(files, requirements, where, below, constraints)
        if lock.repositories:
            try:
                files, commits = vcs.shipped(files, lock.repositories, base, store, log, bool(lock.path))
            except SourceError as error:
                named = printable(lock.path) if lock.path else "`requirements`"
                raise SourceError(f"{where}: {named} asks for a repository. {error}") from error
            total = hashlib.sha256(" ".join([lock.hash, *commits]).encode()).hexdigest()
            lock = replace(lock, hash=total, local=True)  # to be built from a copy, as what is the app's own
        tag = metadata.scm_version(str(source.get("version", "")), fetched.revision)
        scm = metadata.scm_settings(files, tag) if lock.local else {}
        if scm:
            lock = replace(lock, scm=scm, hash=hashlib.sha256(f"{lock.hash} {tag}".encode()).hexdigest())
        project_files = metadata.of_project(files, below, tag) if fetched.has_code else []
        if project_files:
            files = replace(
                files, entries=tuple(sorted([*files.entries, *project_files], key=lambda entry: entry.path))
            )
    except OSError as error:
        at = f" at {printable(os.fsdecode(error.filename))}" if error.filename else ""
        raise SourceError(
            f"{where}: {error.strerror or error}{at}; check that the source is readable and the cache {cache} has space."
        ) from error
    label = version_label(fetched.version)
    return Tree(files.entries, files.root, label, lock, [*warnings, *more], fetched.revision, fetched.left_out)


def version_label(text: str) -> str:
    """Convert a text to a part of release ids, unit names and paths: ``[A-Za-z0-9._-]{1,40}``, a letter or digit first."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:LABEL].rstrip("-._") or "unnamed"


_SUBMODULE = re.compile(rb"(?m)^[ \t]*path[ \t]*=[ \t]*(\S.*)$")


def _whole(files: Files, kind: str, where: str) -> None:
    """Check that no content is missing: Git LFS pointers, or empty folders of submodules.

    Raises:
        SourceError: Content is missing.
    """
    lacking = [entry.path for entry in files.entries if entry.pointer]
    if lacking:
        remedy = "run `git lfs pull` in it" if kind == "path" else "create it with the content, or deploy by `git`"
        raise SourceError(f"{where}: the content of {lfs.summary(lacking)} is in Git LFS and not here: {remedy}.")
    if kind == "git":
        return  # git has fetched them
    for entry in files.entries:
        if entry.path.rpartition(b"/")[2] != b".gitmodules":
            continue
        below = entry.path.removesuffix(b".gitmodules")
        places = [
            below + path.strip(b" \t\r").strip(b'"') for path in _SUBMODULE.findall(files.read(entry.path) or b"")
        ]
        empty = [place for place in places if not any(one.path.startswith(place + b"/") for one in files.entries)]
        if empty:
            remedy = (
                "run `git submodule update --init` in it" if kind == "path" else "make it with them, or deploy by `git`"
            )
            raise SourceError(f"{where}: nothing is there of the submodule {lfs.summary(empty)}: {remedy}.")

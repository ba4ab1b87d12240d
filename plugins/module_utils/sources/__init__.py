"""Turns the ``source`` of an app into a code tree that is ready to ship. Runs on the controller only.

`fetch` reads a folder, a git repository, an archive or the name of a package, and gives a `Tree`: its files, one hash
over them, the dependencies it asks for, and a method that writes them to an archive. It may run in many processes at
once; what is slow is kept in a cache that they share.

What a source contains is a stranger's. None of it is executed here, no link in it leads outside of it, and git may use
only protocols that run nothing.
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
from . import building, folder, ignored, kinds, lfs, metadata, vcs
from .cache import Cache, current_run
from .dependencies import Dependencies, detect
from .errors import SourceError, masked, printable
from .files import Entry, Files
from .kinds import KINDS

__all__ = ["KINDS", "Dependencies", "Entry", "Files", "SourceError", "Tree", "fetch", "version_label"]

LABEL = 40
"""Characters of a version in a release's id: unit names and socket paths hold it and have limits."""


@dataclass(frozen=True)
class Tree(Files):
    """A source, ready to ship."""

    version: str
    """What the release is called, ``[A-Za-z0-9._-]{1,40}``."""
    lock: Dependencies
    """What to install beside the code."""
    warnings: list[str]
    """What the user should know, a sentence each."""
    revision: str | None
    """The commit, for a git source."""
    left_out: folder.LeftOut = field(default_factory=folder.LeftOut)
    """What git ignores of a folder, and what is not shipped therefore."""

    def lacking(self, entry: Mapping[str, Any], below: str) -> list[str]:
        """What of it an app's entry seems to need, a sentence each; ``below`` is the app's own folder."""
        return ignored.warnings(self, self.left_out.paths, self.left_out.code, entry, below)


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

    ``requirements`` is the app's own choice of dependencies: a file of the source, a list, or None to look for a lock
    file; ``constraints``, a file or a list, limit its versions. ``base`` is the folder that relative paths start from, ``cache`` one that is kept between runs, ``log`` is told
    before what takes long. Within one ``run`` (any text; found out by itself in Ansible's worker processes) a branch or
    a URL is asked for once, so that all hosts get the same. Raises SourceError.
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
            raise SourceError(f"`source.{name}` must be a text, not {text!r}; put it in quotes.")
        if isinstance(text, str) and re.search(r"[\x00-\x1f\x7f]", text):
            raise SourceError(f"`source.{name}` must be one line without control characters, not {text!r}; correct it.")
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
        own = metadata.own(files, below, tag) if fetched.has_code else []
        if own:
            files = replace(files, entries=tuple(sorted([*files.entries, *own], key=lambda entry: entry.path)))
    except OSError as error:
        at = f" at {printable(os.fsdecode(error.filename))}" if error.filename else ""
        raise SourceError(
            f"{where}: {error.strerror or error}{at}; see that the source can be read and the cache {cache} has room."
        ) from error
    label = version_label(fetched.version)
    return Tree(files.entries, files.root, label, lock, [*warnings, *more], fetched.revision, fetched.left_out)


def version_label(text: str) -> str:
    """``text`` as a part of release ids, unit names and paths: ``[A-Za-z0-9._-]{1,40}``, a letter or digit first."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:LABEL].rstrip("-._") or "unnamed"


_SUBMODULE = re.compile(rb"(?m)^[ \t]*path[ \t]*=[ \t]*(.+?)[ \t\r]*$")


def _whole(files: Files, kind: str, where: str) -> None:
    """Raise SourceError when files only stand for what is not there: Git LFS pointers, or empty places of submodules."""
    lacking = [entry.path for entry in files.entries if entry.pointer]
    if lacking:
        remedy = "run `git lfs pull` in it" if kind == "path" else "make it with the content, or deploy by `git`"
        raise SourceError(f"{where}: the content of {lfs.told(lacking)} is in Git LFS and not here: {remedy}.")
    if kind == "git":
        return  # it has fetched them
    for entry in files.entries:
        if entry.path.rpartition(b"/")[2] != b".gitmodules":
            continue
        below = entry.path.removesuffix(b".gitmodules")
        places = [below + path.strip(b'"') for path in _SUBMODULE.findall(files.read(entry.path) or b"")]
        empty = [place for place in places if not any(one.path.startswith(place + b"/") for one in files.entries)]
        if empty:
            remedy = (
                "run `git submodule update --init` in it" if kind == "path" else "make it with them, or deploy by `git`"
            )
            raise SourceError(f"{where}: nothing is there of the submodule {lfs.told(empty)}: {remedy}.")

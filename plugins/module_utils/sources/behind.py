"""Whether a lock is older than the pyproject.toml beside it: a dependency was added or changed, and not locked.

A host installs what the lock has, so the app would lack it. Tools ask for that themselves only where people run them.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from .declared import Dependencies, table, tables, toml
from .errors import printable
from .files import Files
from .locks import normal

TOOLS = {"uv.lock": "uv lock", "poetry.lock": "poetry lock", "pdm.lock": "pdm lock"}
"""Locks that name every package, and what makes them again."""
MOST = 3
"""Dependencies that a message names at most."""


def warnings(files: Files, dependencies: Dependencies, where: str) -> list[str]:
    """Say what of `project.dependencies` the lock does not have; nothing where it has all.

    A dependency with a marker is not looked at, since a lock may be for other platforms. Neither is a project whose settings for uv
    replace dependencies, nor a member of a workspace.

    Args:
        files: The source.
        dependencies: What was found in it.
        where: The source's name in messages.

    Raises:
        SourceError: pyproject.toml is broken.
    """
    folder, name = posixpath.split(dependencies.path or "")
    project = posixpath.join(folder, "pyproject.toml")
    if name not in TOOLS or dependencies.member or files.find(project) is None:
        return []
    document = toml(files, project, where)
    settings = table(document, "tool", "uv")
    if "override-dependencies" in settings or "exclude-dependencies" in settings:
        return []
    versions = _versions(toml(files, dependencies.path or "", where))
    lines = table(document, "project").get("dependencies")
    behind = [text for line in (lines if isinstance(lines, list) else []) if (text := _behind(line, versions))]
    if not behind:
        return []
    more = f" and {len(behind) - MOST} more" if len(behind) > MOST else ""
    return [
        f"{where}: {printable(dependencies.path or '')} is older than pyproject.toml and is what gets installed: "
        f"{printable(', '.join(behind[:MOST]))}{more}; run: {TOOLS[name]}"
    ]


def _versions(lock: Mapping[str, Any]) -> dict[str, list[str]]:
    """The packages of a lock, with their versions: one may have several, for different platforms."""
    versions: dict[str, list[str]] = {}
    for package in tables(lock, "package"):
        versions.setdefault(normal(package.get("name", "")), []).append(str(package.get("version", "")))
    return versions


def _behind(line: object, versions: Mapping[str, list[str]]) -> str:
    """What a lock does not have of a dependency; empty where it has it."""
    try:
        wanted = Requirement(str(line))
    except InvalidRequirement:
        return ""  # the tool itself reports it
    if wanted.marker:
        return ""
    locked = versions.get(normal(wanted.name))
    if locked is None:
        return f"it lacks {wanted.name}"
    try:
        suits = any(not one or wanted.specifier.contains(one, prereleases=True) for one in locked)
    except ValueError:  # no version that Python's tools know
        return ""
    return "" if suits else f"it has {wanted.name} {locked[0]}, not {wanted.name}{wanted.specifier}"

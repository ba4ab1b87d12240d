"""Which dependencies a source asks for, and one hash over everything that decides what gets installed."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from . import behind, locks, vcs
from .declared import Dependencies, hash_of, inside, read, settings, table, tables, toml
from .errors import SourceError, printable
from .files import Files
from .requirements import Requirements, local_path, pinned

LOCKS = (
    *("uv.lock", "pylock.toml", "requirements.txt", "poetry.lock", "pdm.lock", "Pipfile.lock", "pyproject.toml"),
    *("requirements/production.txt", "requirements/prod.txt", "requirements/base.txt"),
)
"""Where dependencies are looked for, the first there is wins: exact and hashed before open ones."""

EXPORTED = ("poetry.lock", "pdm.lock", "Pipfile.lock")
"""Locks of other tools, which are installed as the requirements that they come to."""

_ELSEWHERE = {
    "setup.py": "uv pip compile setup.py --generate-hashes -o requirements.txt",
    "setup.cfg": "uv pip compile setup.cfg --generate-hashes -o requirements.txt",
    "requirements.in": "uv pip compile requirements.in --generate-hashes -o requirements.txt",
    "Pipfile": "pipenv lock",
}
"""Files of other tools, and the command that turns them into one that is read here."""


def detect(
    files: Files,
    requirements: str | Sequence[str] | None,
    where: str,
    folder: str = "",
    constraints: str | Sequence[str] | None = None,
) -> tuple[Dependencies, list[str]]:
    """Find the dependencies of ``files``; returns them and the warnings.

    Args:
        files: The source.
        requirements: The user's choice: a file in the tree, a list (perhaps empty), or None to look for LOCKS.
        where: The source's name in messages.
        folder: The app's folder, which comes first.
        constraints: Limits on versions without a lock: a file or a list.

    Raises:
        SourceError: A file is missing, broken or leads outside.
    """
    dependencies, warnings = _detect(files, requirements, where, folder)
    return (_limited(files, dependencies, constraints, where, folder) if constraints else dependencies), warnings


def _detect(
    files: Files, requirements: str | Sequence[str] | None, where: str, folder: str
) -> tuple[Dependencies, list[str]]:
    if requirements is not None and not isinstance(requirements, str):
        return _list(files, [*requirements], where, folder), []
    if requirements is not None:
        path, base = _chosen(files, requirements, "requirements", where, folder)
        return _with_warnings(files, _file(files, path, where, base), where)
    for base in dict.fromkeys((folder, "")):
        member = _member(files, base, where)
        if member:
            return member, []
        for name in LOCKS:
            path = posixpath.join(base, name)
            if files.find(path) is None:
                continue
            if name == "pyproject.toml" and not _names_dependencies(files, path, where):
                continue  # settings of tools, or metadata alone
            return _with_warnings(files, _file(files, path, where, base), where)
    places = [posixpath.join(base, name) for base in dict.fromkeys((folder, "")) for name in _ELSEWHERE]
    others = [(path, _ELSEWHERE[posixpath.basename(path)]) for path in places if files.find(path) is not None]
    poetry = posixpath.join(folder, "pyproject.toml")
    if files.find(poetry) and table(toml(files, poetry, where), "tool", "poetry", "dependencies"):
        others.insert(0, (f"{poetry} (of Poetry)", "poetry lock"))
    warnings = [
        f"{where}: {printable(name)} is not read, so nothing is installed from it; write what it asks for with: {command}"
        for name, command in others[:1]
    ]
    if not warnings and (likely := _likely(files)):
        warnings = [
            f"{where}: nothing is installed, since no file with dependencies was found; if it is "
            f"{printable(likely)}, say so: `requirements: {printable(likely)}`"
        ]
    return Dependencies("none", None, hash_of("none", {}), hashed=True, local=False), warnings


def _with_warnings(files: Files, dependencies: Dependencies, where: str) -> tuple[Dependencies, list[str]]:
    return dependencies, behind.warnings(files, dependencies, where)


def _names_dependencies(files: Files, path: str, where: str) -> bool:
    """Whether a pyproject.toml says what to install."""
    project = toml(files, path, where).get("project")
    if not isinstance(project, dict):
        return False
    if "dependencies" in project or "dependencies" in (project.get("dynamic") or ()):
        return True
    return not any(files.find(posixpath.join(posixpath.dirname(path), name)) for name in LOCKS if "/" in name)


def _likely(files: Files) -> str | None:
    """Find the least deep file with the name of a dependency file."""
    names = re.compile(
        r"(.+/)?(requirements[\w.-]*\.txt|requirements/[\w.-]+\.txt|uv\.lock|poetry\.lock|pdm\.lock|Pipfile\.lock)"
    )
    paths = [path for path in files.files if names.fullmatch(path)]
    return min(paths, key=lambda path: (path.count("/"), path), default=None)


def _chosen(files: Files, path: str, key: str, where: str, folder: str) -> tuple[str, str]:
    """Find the file of the user's key, and its base folder: the app's folder, else the whole source."""
    path = posixpath.normpath(path)
    if path.startswith(("/", "../")) or path in (".", ".."):
        raise SourceError(f"{where}: `{key}` {printable(path)} is not inside the source; correct it.")
    for base in dict.fromkeys((folder, "")):
        if files.find(posixpath.join(base, path)) is not None:
            return posixpath.join(base, path), base
    raise SourceError(
        f"{where}: `{key}` {printable(path)} is not among the files that are shipped; "
        "correct it, or see whether git ignores the file."
    )


def _limited(
    files: Files, dependencies: Dependencies, constraints: str | Sequence[str], where: str, folder: str
) -> Dependencies:
    """Add constraints to dependencies."""
    if dependencies.kind in ("uv.lock", "pylock.toml", *EXPORTED):
        raise SourceError(
            f"{where}: `constraints` can change nothing beside {printable(dependencies.path or '')}, which names every version; "
            "remove it, and lock again."
        )
    parsed = Requirements(files, where, "")
    if isinstance(constraints, str):
        path, _base = _chosen(files, constraints, "constraints", where, folder)
        parsed.file(path, constraints=True, by="`constraints`")
        kept: tuple[str, ...] = (path,)
    else:
        parsed.text("\n".join(constraints).encode(), "", constraints=True, by="`constraints`")
        kept = ("", *constraints)
    total = hash_of(
        dependencies.kind, {**parsed.contents, "": dependencies.hash.encode(), "constraints": "\n".join(kept).encode()}
    )
    return replace(dependencies, hash=total, constraints=kept)


def _file(files: Files, path: str, where: str, base: str) -> Dependencies:
    name = posixpath.basename(path)
    if name == "uv.lock":
        return _uv_lock(files, path, where)
    if re.fullmatch(r"pylock(\.[^.]+)?\.toml", name):
        return _pylock(files, path, where)
    if name == "pyproject.toml":
        return _pyproject(files, path, where)
    if name in EXPORTED:
        return _exported(files, path, where)
    if name.endswith(".toml") or name.endswith(".lock"):
        raise SourceError(f"{where}: {printable(path)} is in a format that is not read; use one of {', '.join(LOCKS)}.")
    parsed = Requirements(files, where, base)
    parsed.file(path, constraints=False, by="`requirements`")
    return parsed.result(Dependencies("requirements.txt", path, "", hashed=parsed.hashed, local=parsed.local))


def _exported(files: Files, path: str, where: str) -> Dependencies:
    """Convert another tool's lock to requirements."""
    folder, name = posixpath.split(path)
    project = posixpath.join(folder, "pyproject.toml")
    document = toml(files, project, where) if files.find(project) else {}
    try:
        if name == "Pipfile.lock":
            exported = locks.pipenv(_json(files, path, where))
        else:
            exported = (locks.poetry if name == "poetry.lock" else locks.pdm)(toml(files, path, where), document)
    except locks.LockError as error:
        raise SourceError(f"{where}: {printable(path)} cannot be used: {printable(str(error))}.") from error
    except (ValueError, RecursionError) as error:  # a number too long for Python, a marker too deep
        raise SourceError(
            f"{where}: {printable(path)} cannot be used: its tool would not write such a file; make it again."
        ) from error
    for place in exported.local:
        inside(place, folder, path, where)
    return _written(files, path, exported)


def _json(files: Files, path: str, where: str) -> dict[str, Any]:
    try:
        document = json.loads(read(files, path))
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{where}: {printable(path)} is no valid JSON; make it again: pipenv lock.") from error
    return document if isinstance(document, dict) else {}


def _written(files: Files, path: str, exported: locks.Exported) -> Dependencies:
    """Build the dependencies of a lock that was converted to requirements."""
    folder, name = posixpath.split(path)
    lines, repositories = [], []
    for line in exported.lines:
        taken = vcs.taken(line, folder)
        lines.append(taken[0] if taken else line)
        repositories += [taken[1]] if taken else []
    text = "".join(f"{line}\n" for line in lines)
    return Dependencies(
        name,
        path,
        hash_of(name, {path: text.encode()}, files.hash if exported.local else ""),
        exported.hashed,
        bool(exported.local),
        folder=folder,
        text=text,
        complete=True,
        repositories=tuple(repositories),
        versions=exported.versions,
    )


def _member(files: Files, folder: str, where: str) -> Dependencies | None:
    """Find the lock of the workspace to which a project without its own lock belongs."""
    project = posixpath.join(folder, "pyproject.toml")
    if not folder or files.find(project) is None or files.find(posixpath.join(folder, "uv.lock")) is not None:
        return None
    name = locks.normal(table(toml(files, project, where), "project").get("name", ""))
    above = folder
    while above:
        above = posixpath.dirname(above)
        lock = posixpath.join(above, "uv.lock")
        if files.find(lock) is None:
            continue
        for package in tables(toml(files, lock, where), "package"):
            source = table(package, "source")
            place = source.get("editable", source.get("virtual"))
            if isinstance(place, str) and posixpath.normpath(posixpath.join(above, place)) == folder:
                dependencies = _uv_lock(files, lock, where, name)
                total = hash_of("uv.lock", {"": dependencies.hash.encode(), project: read(files, project)})
                return replace(dependencies, hash=total, member=name)
    return None


def _uv_lock(files: Files, path: str, where: str, member: str = "") -> Dependencies:
    folder = posixpath.dirname(path)
    project = posixpath.join(folder, "pyproject.toml")
    if files.find(project) is None:
        raise SourceError(f"{where}: {printable(path)} needs a pyproject.toml next to it; add it, or remove the lock.")
    contents = {path: read(files, path), project: read(files, project), **settings(files, folder)}
    hashed, local = True, False
    document = toml(files, path, where)
    packages = tables(document, "package")
    for package in packages:
        source = package.get("source")
        source = source if isinstance(source, dict) else {}
        for kind in ("editable", "virtual", "directory", "path"):
            if isinstance(place := source.get(kind), str) and place != ".":
                inside(place, folder, path, where)
                local = True  # a member of a workspace; "." is the app itself, which is shipped anyway
        if "registry" in source or "url" in source:
            sdist = package.get("sdist")
            artefacts = [*tables(package, "wheels"), *([sdist] if isinstance(sdist, dict) else [])]
            hashed = hashed and all("hash" in artefact for artefact in artefacts)
    project_name = member or locks.normal(table(toml(files, project, where), "project").get("name", ""))
    versions: Mapping[str, str] = {}
    try:
        needed = locks.uv(document, project_name)
        versions = needed.versions
        if any(vcs.taken(locks.uv_place(package), folder) for package in packages):
            return _written(files, path, needed)
    except (locks.LockError, ValueError, RecursionError):
        pass  # uv itself reports the fault of its lock
    total = hash_of("uv.lock", contents, files.hash if local else "")
    return Dependencies("uv.lock", path, total, hashed=hashed, local=local, folder=folder, versions=versions)


def _pylock(files: Files, path: str, where: str) -> Dependencies:
    folder = posixpath.dirname(path)
    hashed, local = True, False
    versions = {}
    for package in tables(toml(files, path, where), "packages"):
        versions[locks.normal(package.get("name", ""))] = str(package.get("version", ""))
        directory = package.get("directory")
        if isinstance(directory, dict):
            inside(directory.get("path", "."), folder, path, where)
            local = True
        archives = [package[name] for name in ("sdist", "archive") if isinstance(package.get(name), dict)]
        for artefact in [*tables(package, "wheels"), *archives]:
            hashed = hashed and bool(artefact.get("hashes"))
            if "path" in artefact and "url" not in artefact:
                inside(artefact["path"], folder, path, where)
                local = True
    contents = {path: read(files, path)}
    total = hash_of("pylock.toml", contents, files.hash if local else "")
    return Dependencies("pylock.toml", path, total, hashed=hashed, local=local, folder=folder, versions=versions)


def _pyproject(files: Files, path: str, where: str) -> Dependencies:
    folder = posixpath.dirname(path)
    document = toml(files, path, where)
    project = document.get("project")
    if not isinstance(project, dict):
        raise SourceError(f"{where}: {printable(path)} has no [project] table with dependencies; add it.")
    # Dynamic dependencies are whatever the build finds out; local sources are built from the tree.
    dynamic = project.get("dynamic", [])
    local = isinstance(dynamic, list) and "dependencies" in dynamic
    wanted = project.get("dependencies", [])
    lines = [line for line in wanted if isinstance(line, str)] if isinstance(wanted, list) else []
    for line in lines:
        if (place := local_path(line)) is not None:
            inside(place, folder, path, where)
            local = True
    sources = table(document, "tool", "uv", "sources")
    for choices in sources.values():
        for choice in choices if isinstance(choices, list) else [choices]:
            if isinstance(choice, dict) and ("path" in choice or "workspace" in choice):
                inside(choice.get("path", "."), folder, path, where)
                local = True
    contents = {path: read(files, path), **settings(files, folder)}
    taken = {line: vcs.taken(line, folder) for line in lines}
    repositories = tuple(pair[1] for pair in taken.values() if pair)
    written = "".join(f"{pair[0] if pair else line}\n" for line, pair in taken.items())
    return Dependencies(
        "pyproject.toml",
        path,
        hash_of("pyproject.toml", contents, files.hash if local else ""),
        hashed=not lines and not local,
        local=local,
        folder=folder,
        text=written if repositories and not sources else "",
        repositories=repositories if not sources else (),
        versions=dict(filter(None, (pinned(line) for line in lines if ";" not in line))),
    )


def _list(files: Files, lines: list[str], where: str, folder: str) -> Dependencies:
    for line in lines:
        if not isinstance(line, str) or not line.strip() or re.search(r"[\x00-\x1f\x7f\\]|^\s*-", line):
            raise SourceError(
                f"{where}: `requirements` item {printable(repr(line))} is no requirement; write one such as flask==3.1.3."
            )
    if not lines:
        return Dependencies("none", None, hash_of("none", {}), hashed=True, local=False)
    parsed = Requirements(files, where, folder)
    parsed.text("\n".join(lines).encode(), "", constraints=False, by="`requirements`")
    return parsed.result(Dependencies("list", None, "", hashed=parsed.hashed, local=parsed.local, lines=tuple(lines)))

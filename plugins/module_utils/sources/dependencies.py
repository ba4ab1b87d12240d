"""Which dependencies a source asks for, and one hash over everything that decides what gets installed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import tomllib

from . import locks, vcs
from .errors import SourceError, printable
from .files import Files
from .vcs import Wanted

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

DOTTED, DOTS = 100, 5_000
"""Python's reader of TOML takes time by the square of the length of a dotted key. Lines with up to 100 dots are not counted; the
others together may cost as much as one with 5,000, which is a second."""

INCLUDED = 50
"""Requirements files that include one another."""

WIDE = 64_000
"""Characters of a requirement: one with the hashes of 200 wheels has 18,000."""


@dataclass(frozen=True)
class Dependencies:
    """What to install beside the code."""

    kind: str
    """``uv.lock``, ``pylock.toml``, ``requirements.txt`` (any file of that format), ``pyproject.toml``, one of EXPORTED,
    ``list`` or ``none``."""
    path: str | None
    """The file, relative to the tree; None for ``list`` and ``none``."""
    hash: str
    """SHA-256 (hex) of every byte that decides what is installed: the file, what it includes, local projects."""
    hashed: bool
    """Whether each package has its hash, so that no attacker can replace it on its way."""
    local: bool
    """Whether a package is built from the tree itself, so that any changed file may change the installation."""
    lines: tuple[str, ...] = ()
    """The requirements of a ``list``."""
    folder: str = ""
    """The folder from which paths in them count."""
    text: str = ""
    """The requirements of one of EXPORTED as a requirements.txt; or such a file that names repositories, without these."""
    complete: bool = False
    """Whether `text` names every package to install."""
    repositories: tuple[Wanted, ...] = ()
    """Repositories to fetch to the places that `text` names."""
    member: str = ""
    """The app's project in a ``uv.lock`` with several; empty if the lock is next to it."""
    constraints: tuple[str, ...] = ()
    """Limits to versions: a file, or requirements."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Packages that are always installed, with the version if it is known in advance."""
    scm: Mapping[str, str] = field(default_factory=dict)
    """Variables with the versions of the source's projects, which are known only to a repository that no host has."""

    def place(self, package: bool) -> str:
        """Say where to add a missing dependency.

        Args:
            package: Whether the source is a package.
        """
        if package:
            return "the app's `requirements`, a list beside `package`"
        tool = {"uv.lock": "uv", "poetry.lock": "poetry", "pdm.lock": "pdm", "Pipfile.lock": "pipenv"}.get(self.kind)
        if tool:
            project = "Pipfile" if tool == "pipenv" else "pyproject.toml"
            return f"{printable(posixpath.join(posixpath.dirname(self.path or ''), project))}, lock again ({tool} lock)"
        if self.kind == "pylock.toml":
            return f"what {printable(self.path or '')} is made of, lock again"
        if self.kind == "none":
            return "a requirements.txt in the source"
        return printable(self.path) if self.path else "the app's list `requirements`"

    def unlocked(self) -> str:
        """Say why the installed versions may change from day to day, and what to do; empty if a lock decides."""
        command = "uv pip compile requirements.in --generate-hashes -o requirements.txt"
        remedies = {
            "requirements.txt": f"rename it to requirements.in, and generate it again with: {command}",
            "pyproject.toml": "lock them with: uv lock",
            "list": f"write it into the source's requirements.in, and instead of it: {command}",
        }
        if self.hashed or self.kind not in remedies:
            return ""
        what = printable(self.path) if self.path else "the list `requirements`"
        return (
            f"{what} has no hashes, so what is installed may change from one deploy to the next; {remedies[self.kind]}"
        )


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
        return _file(files, path, where, base), []
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
            return _file(files, path, where, base), []
    places = [posixpath.join(base, name) for base in dict.fromkeys((folder, "")) for name in _ELSEWHERE]
    others = [(path, _ELSEWHERE[posixpath.basename(path)]) for path in places if files.find(path) is not None]
    poetry = posixpath.join(folder, "pyproject.toml")
    if files.find(poetry) and _table(_toml(files, poetry, where), "tool", "poetry", "dependencies"):
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
    return Dependencies("none", None, _hash("none", {}), hashed=True, local=False), warnings


def _names_dependencies(files: Files, path: str, where: str) -> bool:
    """Whether a pyproject.toml says what to install."""
    project = _toml(files, path, where).get("project")
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
    parsed = _Requirements(files, where, "")
    if isinstance(constraints, str):
        path, _base = _chosen(files, constraints, "constraints", where, folder)
        parsed.file(path, constraints=True, by="`constraints`")
        kept: tuple[str, ...] = (path,)
    else:
        parsed.text("\n".join(constraints).encode(), "", constraints=True, by="`constraints`")
        kept = ("", *constraints)
    total = _hash(
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
    parsed = _Requirements(files, where, base)
    parsed.file(path, constraints=False, by="`requirements`")
    return parsed.result(Dependencies("requirements.txt", path, "", hashed=parsed.hashed, local=parsed.local))


def _exported(files: Files, path: str, where: str) -> Dependencies:
    """Convert another tool's lock to requirements."""
    folder, name = posixpath.split(path)
    project = posixpath.join(folder, "pyproject.toml")
    document = _toml(files, project, where) if files.find(project) else {}
    try:
        if name == "Pipfile.lock":
            exported = locks.pipenv(_json(files, path, where))
        else:
            exported = (locks.poetry if name == "poetry.lock" else locks.pdm)(_toml(files, path, where), document)
    except locks.LockError as error:
        raise SourceError(f"{where}: {printable(path)} cannot be used: {printable(str(error))}.") from error
    except (ValueError, RecursionError) as error:  # a number too long for Python, a marker too deep
        raise SourceError(
            f"{where}: {printable(path)} cannot be used: its tool would not write such a file; make it again."
        ) from error
    for place in exported.local:
        _inside(place, folder, path, where)
    return _written(files, path, exported)


def _json(files: Files, path: str, where: str) -> dict[str, Any]:
    try:
        document = json.loads(_read(files, path))
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
        _hash(name, {path: text.encode()}, files.hash if exported.local else ""),
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
    name = locks.normal(_table(_toml(files, project, where), "project").get("name", ""))
    above = folder
    while above:
        above = posixpath.dirname(above)
        lock = posixpath.join(above, "uv.lock")
        if files.find(lock) is None:
            continue
        for package in _tables(_toml(files, lock, where), "package"):
            source = _table(package, "source")
            place = source.get("editable", source.get("virtual"))
            if isinstance(place, str) and posixpath.normpath(posixpath.join(above, place)) == folder:
                dependencies = _uv_lock(files, lock, where, name)
                total = _hash("uv.lock", {"": dependencies.hash.encode(), project: _read(files, project)})
                return replace(dependencies, hash=total, member=name)
    return None


def _hash(kind: str, contents: Mapping[str, bytes], tree: str = "") -> str:
    # Version 2: packages that an older kit built from a tree may have links into the release for which it built them.
    total = hashlib.sha256(f"slipway dependencies {2 if tree else 1} {kind} {tree}\n".encode())
    for name, content in sorted(contents.items()):
        encoded = name.encode("utf-8", "surrogateescape")
        total.update(b"%d %d\n%s%s" % (len(encoded), len(content), encoded, content))
    return total.hexdigest()


def _read(files: Files, path: str) -> bytes:
    return files.read(path) or b""  # it was found before


def _toml(files: Files, path: str, where: str) -> dict[str, Any]:
    content = _read(files, path)
    dots = (line.count(b".") for line in content.splitlines())
    if sum(number**2 for number in dots if number > DOTTED) > DOTS**2:
        raise SourceError(f"{where}: {printable(path)} has keys with thousands of dots; make it again.")
    try:
        return tomllib.loads(content.decode())
    except RecursionError as error:
        raise SourceError(f"{where}: {printable(path)} is nested too deeply; make it again.") from error
    except ValueError as error:  # of TOML, of UTF-8, or a number that is too long for Python
        reason = printable(str(error))[:300]
        raise SourceError(f"{where}: {printable(path)} is no valid TOML ({reason}); correct it.") from error


def _settings(files: Files, folder: str) -> dict[str, bytes]:
    """Read uv's settings next to a dependency file, which name indexes and constraints."""
    path = posixpath.join(folder, "uv.toml")
    content = files.read(path)
    return {} if content is None else {path: content}


def _inside(path: object, folder: str, by: str, where: str) -> None:
    """Check that a local project's path, relative to ``folder``, is inside the tree.

    Raises:
        SourceError: It is outside, or not a path.
    """
    if not isinstance(path, str):
        raise SourceError(f"{where}: {printable(by)} asks for a local project whose path is not a text; correct it.")
    full = posixpath.normpath(posixpath.join(folder, path))
    if full.startswith(("/", "../", "~")) or full == "..":
        raise SourceError(
            f"{where}: {printable(by)} asks for {printable(path)}, which is not inside the source. "
            "Copy it into the source, or publish it as a package."
        )


def _uv_lock(files: Files, path: str, where: str, member: str = "") -> Dependencies:
    folder = posixpath.dirname(path)
    project = posixpath.join(folder, "pyproject.toml")
    if files.find(project) is None:
        raise SourceError(f"{where}: {printable(path)} needs a pyproject.toml next to it; add it, or remove the lock.")
    contents = {path: _read(files, path), project: _read(files, project), **_settings(files, folder)}
    hashed, local = True, False
    document = _toml(files, path, where)
    packages = _tables(document, "package")
    for package in packages:
        source = package.get("source")
        source = source if isinstance(source, dict) else {}
        for kind in ("editable", "virtual", "directory", "path"):
            if isinstance(place := source.get(kind), str) and place != ".":
                _inside(place, folder, path, where)
                local = True  # a member of a workspace; "." is the app itself, which is shipped anyway
        if "registry" in source or "url" in source:
            sdist = package.get("sdist")
            artefacts = [*_tables(package, "wheels"), *([sdist] if isinstance(sdist, dict) else [])]
            hashed = hashed and all("hash" in artefact for artefact in artefacts)
    project_name = member or locks.normal(_table(_toml(files, project, where), "project").get("name", ""))
    versions: Mapping[str, str] = {}
    try:
        needed = locks.uv(document, project_name)
        versions = needed.versions
        if any(vcs.taken(locks.uv_place(package), folder) for package in packages):
            return _written(files, path, needed)
    except (locks.LockError, ValueError, RecursionError):
        pass  # uv itself reports the fault of its lock
    total = _hash("uv.lock", contents, files.hash if local else "")
    return Dependencies("uv.lock", path, total, hashed=hashed, local=local, folder=folder, versions=versions)


def _table(document: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return the table at these keys, or an empty one."""
    value: Any = document
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _tables(document: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    value = document.get(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _pylock(files: Files, path: str, where: str) -> Dependencies:
    folder = posixpath.dirname(path)
    hashed, local = True, False
    versions = {}
    for package in _tables(_toml(files, path, where), "packages"):
        versions[locks.normal(package.get("name", ""))] = str(package.get("version", ""))
        directory = package.get("directory")
        if isinstance(directory, dict):
            _inside(directory.get("path", "."), folder, path, where)
            local = True
        archives = [package[name] for name in ("sdist", "archive") if isinstance(package.get(name), dict)]
        for artefact in [*_tables(package, "wheels"), *archives]:
            hashed = hashed and bool(artefact.get("hashes"))
            if "path" in artefact and "url" not in artefact:
                _inside(artefact["path"], folder, path, where)
                local = True
    contents = {path: _read(files, path)}
    total = _hash("pylock.toml", contents, files.hash if local else "")
    return Dependencies("pylock.toml", path, total, hashed=hashed, local=local, folder=folder, versions=versions)


def _pyproject(files: Files, path: str, where: str) -> Dependencies:
    folder = posixpath.dirname(path)
    document = _toml(files, path, where)
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
            _inside(place, folder, path, where)
            local = True
    sources = _table(document, "tool", "uv", "sources")
    for choices in sources.values():
        for choice in choices if isinstance(choices, list) else [choices]:
            if isinstance(choice, dict) and ("path" in choice or "workspace" in choice):
                _inside(choice.get("path", "."), folder, path, where)
                local = True
    contents = {path: _read(files, path), **_settings(files, folder)}
    taken = {line: vcs.taken(line, folder) for line in lines}
    repositories = tuple(pair[1] for pair in taken.values() if pair)
    written = "".join(f"{pair[0] if pair else line}\n" for line, pair in taken.items())
    return Dependencies(
        "pyproject.toml",
        path,
        _hash("pyproject.toml", contents, files.hash if local else ""),
        hashed=not lines and not local,
        local=local,
        folder=folder,
        text=written if repositories and not sources else "",
        repositories=repositories if not sources else (),
        versions=dict(filter(None, (_pinned(line) for line in lines if ";" not in line))),
    )


_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*+)\s*+(?:\[[^\[\]]*+\])?+\s*+===?+\s*+([0-9][\w.!+]*+)(?:\s*+[;]|\s|$)")


def _pinned(line: str) -> tuple[str, str] | None:
    """The name and the version of a requirement that names a single one."""
    match = _PIN.match(line.strip())
    return (locks.normal(match[1]), match[2]) if match else None


def _list(files: Files, lines: list[str], where: str, folder: str) -> Dependencies:
    for line in lines:
        if not isinstance(line, str) or not line.strip() or re.search(r"[\x00-\x1f\x7f\\]|^\s*-", line):
            raise SourceError(
                f"{where}: `requirements` item {printable(repr(line))} is no requirement; write one such as flask==3.1.3."
            )
    if not lines:
        return Dependencies("none", None, _hash("none", {}), hashed=True, local=False)
    parsed = _Requirements(files, where, folder)
    parsed.text("\n".join(lines).encode(), "", constraints=False, by="`requirements`")
    return parsed.result(Dependencies("list", None, "", hashed=parsed.hashed, local=parsed.local, lines=tuple(lines)))


# requirements.txt: https://pip.pypa.io/en/stable/reference/requirements-file-format/

_OPTION = re.compile(
    r"(?:-(?P<short>[rcef])\s*=?\s*|--(?P<long>requirement|constraint|editable|find-links)(?:\s*=\s*|\s+))(?P<value>\S.*)"
)
_ARCHIVE = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar")


def local_path(requirement: str) -> str | None:
    """The path that a requirement names (``.``, ``./x``, ``x @ file:x``, ``file:x``, a wheel), or None."""
    text = re.split(r"\s;|;\s|\s--?[a-z]|\s#", requirement.strip(), maxsplit=1)[0].strip()
    named = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*+\s*+(?:\[[^\]]*\])?+\s*+@", text)
    if named:
        text = text[named.end() :].strip()
    if text.lower().startswith("file:"):
        return (text[5:].removeprefix("//") or ".").partition("#")[0]
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text):
        return None  # https://, git+ssh://
    text = re.sub(r"\[[^\[\]]*\]$", "", text.partition(";")[0].strip())
    if text.startswith((".", "~")) or "/" in text or text.lower().endswith(_ARCHIVE):
        return text
    return None


_ONLY_WINDOWS = {"pywin32", "pypiwin32", "pywinpty", "pywinauto", "windows-curses"}
"""Packages that cannot be installed but on Windows."""


def _frozen(text: str, path: str | None) -> str | None:
    """What is wrong with a line that `pip freeze` wrote on another machine; None for one that may be right."""
    name = locks.normal(re.split(r"[\s\[;<>=!~@]", text.strip(), maxsplit=1)[0])
    pin = _pinned(text)
    if path is not None and path.startswith("/") and "@" in text:
        return (
            f"names {name} by the path {printable(path)}, which is only on the machine that wrote it (conda's pip freeze does); "
            f"write its version instead: {name}==<version>"
        )
    if pin == ("pkg-resources", "0.0.0"):
        return "names pkg-resources==0.0.0, which is no package (Ubuntu's pip freeze invents it); remove the line"
    if name in _ONLY_WINDOWS and ";" not in text:
        return f"names {name}, which is for Windows alone; remove it, or write behind it: ; sys_platform == 'win32'"
    return None


class _Requirements:
    """Reads requirements files and all that they include."""

    def __init__(self, files: Files, where: str, base: str) -> None:
        self.files = files
        self.where = where
        self.base = base
        """The folder that local projects count from, as pip and uv have it: the one in which they run."""
        self.versions: dict[str, str] = {}
        self.lines: list[str] = []
        """All that was read, with includes in their places, and without repositories."""
        self.repositories: list[Wanted] = []
        self.contents: dict[str, bytes] = _settings(files, base)
        self.seen: set[tuple[str, bool]] = set()
        self.hashed = True
        self.local = False

    def result(self, draft: Dependencies) -> Dependencies:
        """Complete the dependencies with the hash of all files that were read."""
        total = _hash(draft.kind, self.contents, self.files.hash if self.local else "")
        dependencies = replace(draft, hash=total, folder=self.base, versions=self.versions)
        if not self.repositories:
            return dependencies
        text = "".join(f"{line}\n" for line in self.lines)
        return replace(dependencies, text=text, repositories=tuple(self.repositories))

    def file(self, path: str, *, constraints: bool, by: str) -> None:
        """Read the requirements file ``path``; ``by`` says what names it."""
        if (path, constraints) in self.seen:
            return
        self.seen.add((path, constraints))
        if len(self.seen) > INCLUDED:
            raise SourceError(f"{self.where}: {by} includes more than {INCLUDED} files; include fewer.")
        content = self.files.read(path)
        if content is None:
            raise SourceError(
                f"{self.where}: {by} includes {printable(path)}, which is not among the files that are shipped; "
                "add it, or see whether git ignores it."
            )
        self.text(content, path, constraints=constraints, by=path)

    def text(self, content: bytes, path: str, *, constraints: bool, by: str) -> None:
        """Read ``content`` as the requirements file ``path``."""
        self.contents[path] = content
        folder = posixpath.dirname(path)
        try:
            lines = list(_logical(content.decode("utf-8-sig")))
        except UnicodeDecodeError as error:
            raise SourceError(f"{self.where}: {printable(by)} is not in UTF-8; save it as UTF-8.") from error
        for number, line in lines:
            at = f"{printable(by)} line {number}" if path else by
            if len(line) > WIDE:
                raise SourceError(f"{self.where}: {at} has more than {WIDE} characters; make it shorter.")
            option = _OPTION.match(line)
            if option is None:
                if not line.startswith("-"):
                    self._requirement(line, at, constraints=constraints)
                elif not constraints:
                    self.lines.append(line)
                continue  # an index and the like: its bytes are hashed, that is all
            name = option["short"] or option["long"][0]
            value = option["value"].strip()
            if name in "rc":
                self._include(value, folder, at, constraints=constraints or name == "c")
            elif name == "e":
                self._requirement(value, at, constraints=constraints, editable=True)
            else:
                self.lines.append(line)
                if not re.match(r"(?i)https?://", value):
                    self._local(value, at)

    def _requirement(self, text: str, at: str, *, constraints: bool, editable: bool = False) -> None:
        path = local_path(text)
        if path is None and editable and not re.match(r"[A-Za-z][A-Za-z0-9+.-]*[:+]", text):
            path = re.sub(r"\[[^\[\]]*\]$", "", text.split(";")[0].strip())  # -e shop
        if not constraints and (fault := _frozen(text, path)):
            raise SourceError(f"{self.where}: {at} {fault}.")
        if path is not None:
            self._local(path, at)
        if not constraints:
            taken = vcs.taken(text, self.base)
            self.lines.append(taken[0] if taken else text)
            self.repositories += [taken[1]] if taken else []
        if path is None and not constraints and ";" not in text and (pin := _pinned(text)):
            self.versions[pin[0]] = pin[1]
        if not constraints and not re.search(r"\s--hash[=\s]", text):
            self.hashed = False

    def _local(self, path: str, at: str) -> None:
        path = path.removeprefix("file://").removeprefix("file:")
        _inside(path, self.base, at, self.where)
        self.local = True

    def _include(self, value: str, folder: str, at: str, *, constraints: bool) -> None:
        with contextlib.suppress(ValueError, IndexError):
            value = shlex.split(value)[0]
        if "://" in value or "$" in value:
            raise SourceError(
                f"{self.where}: {at} includes {printable(value)}, which is no file of the source; "
                "copy that file into the source and include it there."
            )
        path = posixpath.normpath(posixpath.join(folder, value))
        if path.startswith(("/", "../")) or path == "..":
            raise SourceError(
                f"{self.where}: {at} includes {printable(value)}, which is not inside the source; copy it into the source."
            )
        if constraints:
            self.lines.append(f"-c {posixpath.relpath(path, self.base or '.')}")
        self.file(path, constraints=constraints, by=at)


def _logical(text: str) -> Iterator[tuple[int, str]]:
    """The lines that say something, with their numbers: continued ones joined, comments gone."""
    pending, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        comment = re.match(r"\s*#", line) is not None
        if not pending:
            first = number
        if line.endswith("\\") and not comment and len(pending) <= WIDE:
            pending += line[:-1]
            continue
        if len(pending) + len(line) > WIDE:  # refused by the caller
            yield first, pending + line
            return
        whole = re.sub(r"(?:^|(?<=\s))#.*$", "", pending + (" " if comment else "") + line).strip()
        pending = ""
        if whole:
            yield first, whole
    if whole := pending.strip():
        yield first, whole

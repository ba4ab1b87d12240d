"""Which dependencies a source asks for, and one hash over everything that decides what gets installed."""

from __future__ import annotations

import contextlib
import hashlib
import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tomllib

from .errors import SourceError, printable
from .files import Files

LOCKS = ("uv.lock", "pylock.toml", "requirements.txt", "pyproject.toml")
"""Where dependencies are looked for, the first there is wins: exact and hashed before open ones."""

_ELSEWHERE = {
    "poetry.lock": "poetry export -f requirements.txt -o requirements.txt",
    "Pipfile.lock": "pipenv requirements --hash > requirements.txt",
    "pdm.lock": "pdm export -f requirements -o requirements.txt",
    "setup.py": "uv pip compile setup.py --generate-hashes -o requirements.txt",
    "setup.cfg": "uv pip compile setup.cfg --generate-hashes -o requirements.txt",
    "requirements.in": "uv pip compile requirements.in --generate-hashes -o requirements.txt",
}
"""Files of other tools, and the command that turns them into one that is read here."""

DOTS = 10_000
"""Dots in a line of TOML: Python's reader takes time by the square of the length of a dotted key."""

INCLUDED = 50
"""Requirements files that include one another."""

WIDE = 64_000
"""Characters of a requirement: one with the hashes of 200 wheels has 18,000."""


@dataclass(frozen=True)
class Dependencies:
    """What to install beside the code."""

    kind: str
    """``uv.lock``, ``pylock.toml``, ``requirements.txt`` (any file of that format), ``pyproject.toml``, ``list`` or ``none``."""
    path: str | None
    """The file, relative to the tree; None for ``list`` and ``none``."""
    hash: str
    """SHA-256 (hex) of every byte that decides what is installed: the file, what it includes, local projects."""
    hashed: bool
    """Whether each thing to install has its hash, so that nobody can exchange it on its way."""
    local: bool
    """Whether something is built from the tree itself, so that any change of a file may change what is installed."""
    lines: tuple[str, ...] = ()
    """The requirements of a ``list``."""

    def unlocked(self) -> str:
        """Why what gets installed may differ from day to day, and how to fix it; '' where a lock decides."""
        command = "uv pip compile requirements.in --generate-hashes -o requirements.txt"
        remedies = {
            "requirements.txt": f"rename it to requirements.in, and write it anew with: {command}",
            "pyproject.toml": "lock them with: uv lock",
            "list": f"write it into the source's requirements.in, and instead of it: {command}",
        }
        if self.hashed or self.kind not in remedies:
            return ""
        what = printable(self.path) if self.path else "the list `requirements`"
        return (
            f"{what} has no hashes, so what is installed may change from one deploy to the next; {remedies[self.kind]}"
        )


def detect(files: Files, requirements: str | Sequence[str] | None, where: str) -> tuple[Dependencies, list[str]]:
    """Find the dependencies of ``files``; returns them and the warnings.

    ``requirements`` is the user's own choice: a file in the tree, a list (perhaps empty), or None to look for LOCKS.
    ``where`` names the source in messages. Raises SourceError for files that are missing, broken or lead outside.
    """
    if requirements is not None and not isinstance(requirements, str):
        return _list(files, [*requirements], where), []
    if requirements is not None:
        path = posixpath.normpath(requirements)
        if path.startswith(("/", "../")) or path in (".", ".."):
            raise SourceError(
                f"{where}: `requirements` {printable(requirements)} is not inside the source; correct it."
            )
        if files.find(path) is None:
            raise SourceError(
                f"{where}: `requirements` {printable(requirements)} is not among the files that are shipped; "
                "correct it, or see whether git ignores the file."
            )
        return _file(files, path, where), []
    for path in LOCKS:
        if files.find(path) is None:
            continue
        if path == "pyproject.toml" and "project" not in _toml(files, path, where):
            continue  # settings of tools only
        return _file(files, path, where), []
    others = [(name, command) for name, command in _ELSEWHERE.items() if files.find(name) is not None]
    if files.find("pyproject.toml") and _table(_toml(files, "pyproject.toml", where), "tool", "poetry"):
        others.append(("pyproject.toml", _ELSEWHERE["poetry.lock"]))
    warnings = [
        f"{where}: {name} is not read, so nothing is installed from it; write what it asks for with: {command}"
        for name, command in others[:1]
    ]
    return Dependencies("none", None, _hash("none", {}), hashed=True, local=False), warnings


def _file(files: Files, path: str, where: str) -> Dependencies:
    name = posixpath.basename(path)
    if name == "uv.lock":
        return _uv_lock(files, path, where)
    if re.fullmatch(r"pylock(\.[^.]+)?\.toml", name):
        return _pylock(files, path, where)
    if name == "pyproject.toml":
        return _pyproject(files, path, where)
    if name.endswith(".toml") or name.endswith(".lock"):
        raise SourceError(f"{where}: {printable(path)} is in a format that is not read; use one of {', '.join(LOCKS)}.")
    parsed = _Requirements(files, where)
    parsed.file(path, constraints=False, by="`requirements`")
    return parsed.result(Dependencies("requirements.txt", path, "", hashed=parsed.hashed, local=parsed.local))


def _hash(kind: str, contents: Mapping[str, bytes], tree: str = "") -> str:
    total = hashlib.sha256(f"slipway dependencies 1 {kind} {tree}\n".encode())
    for name, content in sorted(contents.items()):
        encoded = name.encode("utf-8", "surrogateescape")
        total.update(b"%d %d\n%s%s" % (len(encoded), len(content), encoded, content))
    return total.hexdigest()


def _read(files: Files, path: str) -> bytes:
    return files.read(path) or b""  # it was found before


def _toml(files: Files, path: str, where: str) -> dict[str, Any]:
    content = _read(files, path)
    if any(line.count(b".") > DOTS for line in content.splitlines()):
        raise SourceError(f"{where}: {printable(path)} has more than {DOTS} dots in one line; make it anew.")
    try:
        return tomllib.loads(content.decode())
    except RecursionError as error:
        raise SourceError(f"{where}: {printable(path)} is nested too deeply; make it anew.") from error
    except ValueError as error:  # of TOML, of UTF-8, or a number that is too long for Python
        reason = printable(str(error))[:300]
        raise SourceError(f"{where}: {printable(path)} is no valid TOML ({reason}); mend it.") from error


def _settings(files: Files, folder: str) -> dict[str, bytes]:
    """uv's own settings beside a dependency file: they name indexes and constraints."""
    path = posixpath.join(folder, "uv.toml")
    content = files.read(path)
    return {} if content is None else {path: content}


def _inside(path: object, folder: str, by: str, where: str) -> None:
    """Raise SourceError when the local project ``path``, seen from ``folder``, is not inside the tree, or no path."""
    if not isinstance(path, str):
        raise SourceError(f"{where}: {printable(by)} asks for a local project whose path is no text; mend it.")
    full = posixpath.normpath(posixpath.join(folder, path))
    if full.startswith(("/", "../", "~")) or full == "..":
        raise SourceError(
            f"{where}: {printable(by)} asks for {printable(path)}, which is not inside the source and so not shipped; "
            "copy it into the source, or publish it as a package."
        )


def _uv_lock(files: Files, path: str, where: str) -> Dependencies:
    folder = posixpath.dirname(path)
    project = posixpath.join(folder, "pyproject.toml")
    if files.find(project) is None:
        raise SourceError(f"{where}: {printable(path)} needs a pyproject.toml beside it; add it, or remove the lock.")
    contents = {path: _read(files, path), project: _read(files, project), **_settings(files, folder)}
    hashed, local = True, False
    for package in _tables(_toml(files, path, where), "package"):
        source = package.get("source")
        source = source if isinstance(source, dict) else {}
        for kind in ("editable", "virtual", "directory", "path"):
            if isinstance(place := source.get(kind), str) and place != ".":
                _inside(place, folder, path, where)
                local = True  # a member of a workspace; "." is the app, which is shipped as it is
        if "registry" in source or "url" in source:
            sdist = package.get("sdist")
            artefacts = [*_tables(package, "wheels"), *([sdist] if isinstance(sdist, dict) else [])]
            hashed = hashed and all("hash" in artefact for artefact in artefacts)
    return Dependencies(
        "uv.lock", path, _hash("uv.lock", contents, files.hash if local else ""), hashed=hashed, local=local
    )


def _table(document: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The table at ``names``, or an empty one."""
    found: Any = document
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _tables(document: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    value = document.get(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _pylock(files: Files, path: str, where: str) -> Dependencies:
    hashed, local = True, False
    for package in _tables(_toml(files, path, where), "packages"):
        directory = package.get("directory")
        if isinstance(directory, dict):
            _inside(directory.get("path", "."), posixpath.dirname(path), path, where)
            local = True
        archives = [package[name] for name in ("sdist", "archive") if isinstance(package.get(name), dict)]
        for artefact in [*_tables(package, "wheels"), *archives]:
            hashed = hashed and bool(artefact.get("hashes"))
            if "path" in artefact and "url" not in artefact:
                _inside(artefact["path"], posixpath.dirname(path), path, where)
                local = True
    contents = {path: _read(files, path)}
    return Dependencies(
        "pylock.toml", path, _hash("pylock.toml", contents, files.hash if local else ""), hashed=hashed, local=local
    )


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
    return Dependencies(
        "pyproject.toml",
        path,
        _hash("pyproject.toml", contents, files.hash if local else ""),
        hashed=not lines and not local,
        local=local,
    )


def _list(files: Files, lines: list[str], where: str) -> Dependencies:
    for line in lines:
        if not isinstance(line, str) or not line.strip() or re.search(r"[\x00-\x1f\x7f\\]|^\s*-", line):
            raise SourceError(
                f"{where}: `requirements` item {printable(repr(line))} is no requirement; write one such as flask==3.1.3."
            )
    if not lines:
        return Dependencies("none", None, _hash("none", {}), hashed=True, local=False)
    parsed = _Requirements(files, where)
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


class _Requirements:
    """Reads requirements files and all that they include."""

    def __init__(self, files: Files, where: str) -> None:
        self.files = files
        self.where = where
        self.contents: dict[str, bytes] = _settings(files, "")
        self.seen: set[tuple[str, bool]] = set()
        self.hashed = True
        self.local = False

    def result(self, found: Dependencies) -> Dependencies:
        """``found`` with the hash of what was read."""
        total = _hash(found.kind, self.contents, self.files.hash if self.local else "")
        return Dependencies(found.kind, found.path, total, found.hashed, found.local, found.lines)

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
                    self._requirement(line, folder, at, constraints=constraints)
                continue  # an index and the like: its bytes are hashed, that is all
            name = option["short"] or option["long"][0]
            value = option["value"].strip()
            if name in "rc":
                self._include(value, folder, at, constraints=constraints or name == "c")
            elif name == "e":
                self._requirement(value, folder, at, constraints=constraints, editable=True)
            elif not re.match(r"(?i)https?://", value):
                self._local(value, folder, at)

    def _requirement(self, text: str, folder: str, at: str, *, constraints: bool, editable: bool = False) -> None:
        path = local_path(text)
        if path is None and editable and not re.match(r"[A-Za-z][A-Za-z0-9+.-]*[:+]", text):
            path = re.sub(r"\[[^\[\]]*\]$", "", text.split(";")[0].strip())  # -e shop
        if path is not None:
            self._local(path, folder, at)
        if not constraints and not re.search(r"\s--hash[=\s]", text):
            self.hashed = False

    def _local(self, path: str, folder: str, at: str) -> None:
        path = path.removeprefix("file://").removeprefix("file:")
        _inside(path, folder, at, self.where)
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

"""Reads requirements files: https://pip.pypa.io/en/stable/reference/requirements-file-format/."""

from __future__ import annotations

import contextlib
import posixpath
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace

from . import locks, vcs
from .declared import Dependencies, hash_of, inside, settings
from .errors import SourceError, printable
from .files import Files
from .vcs import Wanted

INCLUDED = 50
"""Requirements files that include one another."""

WIDE = 64_000
"""Characters of a requirement: one with the hashes of 200 wheels has 18,000."""

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
    pin = pinned(text)
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


class Requirements:
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
        self.contents: dict[str, bytes] = settings(files, base)
        self.seen: set[tuple[str, bool]] = set()
        self.hashed = True
        self.local = False

    def result(self, draft: Dependencies) -> Dependencies:
        """Complete the dependencies with the hash of all files that were read."""
        total = hash_of(draft.kind, self.contents, self.files.hash if self.local else "")
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
        if path is None and not constraints and ";" not in text and (pin := pinned(text)):
            self.versions[pin[0]] = pin[1]
        if not constraints and not re.search(r"\s--hash[=\s]", text):
            self.hashed = False

    def _local(self, path: str, at: str) -> None:
        path = path.removeprefix("file://").removeprefix("file:")
        inside(path, self.base, at, self.where)
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


_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*+)\s*+(?:\[[^\[\]]*+\])?+\s*+===?+\s*+([0-9][\w.!+]*+)(?:\s*+[;]|\s|$)")


def pinned(line: str) -> tuple[str, str] | None:
    """The name and the version of a requirement that names a single one."""
    match = _PIN.match(line.strip())
    return (locks.normal(match[1]), match[2]) if match else None

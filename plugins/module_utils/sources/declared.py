"""What the files that declare dependencies have in common: the result of reading one, its hash, and safe reading."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import tomllib

from .errors import SourceError, printable
from .files import Files
from .vcs import Wanted

DOTTED, DOTS = 100, 5_000
"""Python's reader of TOML takes time by the square of the length of a dotted key. Lines with up to 100 dots are not counted; the
others together may cost as much as one with 5,000, which is a second."""


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


def hash_of(kind: str, contents: Mapping[str, bytes], tree: str = "") -> str:
    """Hash what decides what is installed: the files' contents, and the hash of the whole `tree` if it is installed from."""
    # Version 2: packages that an older kit built from a tree may have links into the release for which it built them.
    total = hashlib.sha256(f"slipway dependencies {2 if tree else 1} {kind} {tree}\n".encode())
    for name, content in sorted(contents.items()):
        encoded = name.encode("utf-8", "surrogateescape")
        total.update(b"%d %d\n%s%s" % (len(encoded), len(content), encoded, content))
    return total.hexdigest()


def read(files: Files, path: str) -> bytes:
    """Read a file that was found in the tree."""
    return files.read(path) or b""  # it was found before


def has_long_keys(content: bytes) -> bool:
    """Whether a TOML file has keys of so many parts that reading it takes minutes."""
    dots = (line.count(b".") for line in content.splitlines())
    return sum(number**2 for number in dots if number > DOTTED) > DOTS**2


def toml(files: Files, path: str, where: str) -> dict[str, Any]:
    """Read a TOML file of the tree.

    Raises:
        SourceError: It is no TOML, or made to take long.
    """
    content = read(files, path)
    if has_long_keys(content):
        raise SourceError(f"{where}: {printable(path)} has keys with thousands of dots; make it again.")
    try:
        return tomllib.loads(content.decode())
    except RecursionError as error:
        raise SourceError(f"{where}: {printable(path)} is nested too deeply; make it again.") from error
    except ValueError as error:  # of TOML, of UTF-8, or a number that is too long for Python
        reason = printable(str(error))[:300]
        raise SourceError(f"{where}: {printable(path)} is no valid TOML ({reason}); correct it.") from error


def settings(files: Files, folder: str) -> dict[str, bytes]:
    """Read uv's settings next to a dependency file, which name indexes and constraints."""
    path = posixpath.join(folder, "uv.toml")
    content = files.read(path)
    return {} if content is None else {path: content}


def inside(path: object, folder: str, by: str, where: str) -> None:
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


def table(document: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return the table at these keys, or an empty one."""
    value: Any = document
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def tables(document: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the tables of an array of tables; an empty list if it is none."""
    value = document.get(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []

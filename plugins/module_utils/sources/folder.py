"""``path``: a folder on the controller, without what does not belong on a server."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import ignored, worktree
from .descriptors import DEPTH, Folder
from .errors import SourceError, printable
from .files import MAX_MEMBERS, Files, listing, parents

CLUTTER_FOLDERS = frozenset(
    b".git .hg .svn .bzr .venv venv env .env .direnv __pycache__ __pypackages__ node_modules .tox .nox .eggs .mypy_cache "
    b".pytest_cache .ruff_cache .hypothesis .ipynb_checkpoints .idea .vscode .vagrant .ansible".split()
)
"""Folders that tools keep beside the code: repositories, virtualenvs, caches, editors' settings."""

CLUTTER_FILES = (
    b"*.pyc",
    b"*.pyo",
    b".DS_Store",
    b"._*",
    b"Thumbs.db",
    b"*.swp",
    b"*~",
    b".coverage",
    b".git",
    b".venv",
)
"""Files of the same sort; ``.git`` is a file in submodules and extra work trees, ``.venv`` may be a link."""

SECRET_FILES = (b".env", b".env.*")
SECRET_EXAMPLES = (b".example", b".sample", b".template", b".dist", b".defaults")
"""Endings of ``.env`` files that are made to be shared."""


@dataclass(frozen=True)
class LeftOut:
    """What git ignores of a work tree, as paths from its top."""

    paths: tuple[bytes, ...] = ()
    """Files, and folders with a slash at their end; without clutter."""
    code: tuple[bytes, ...] = ()
    """The Python files among them and in them."""


NEVER = frozenset(b".git .hg .svn .bzr __pycache__".split())
"""Folders that are never shipped, not even when `include` names a folder above them."""


def check(root: Path) -> None:
    """Raise SourceError if a source is no folder."""
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise SourceError(f"The source folder {printable(str(root))} {what}; correct `path`.")


def tree(root: Path, skip: Path, include: Sequence[str] = ()) -> tuple[Files, list[str], LeftOut]:
    """List the files of a folder to ship.

    In a git work tree, these are the files that git tracks, and those that it neither tracks nor ignores. Elsewhere, it is
    every file. Clutter that git does not track and ``.env`` files are left out.

    Args:
        root: The folder.
        skip: A folder to leave out if it is inside (the cache).
        include: Files and folders to ship anyway.

    Returns:
        The files, the warnings, and the paths that git ignores.

    Raises:
        SourceError: The folder cannot be listed.
    """
    check(root)
    warnings: list[str] = []
    passed: list[bytes] = []
    names = _tracked(root, warnings, passed)
    cache = os.fsencode(os.path.relpath(skip.resolve(), root.resolve()))
    if not names:
        names, passed = _walk(root, cache), []
    shown = printable(str(root))
    if include:
        names |= _included(root, include, cache, shown)
    kept = set()
    for name in names:
        if _secret(name):
            warnings.append(
                f"{shown}: {printable(name)} is left out, since such files hold secrets; "
                "give its values to the app in `environment` or `secrets`."
            )
        else:
            kept.add(name)
    files, more = listing(root, kept, shown)
    passed = [name for name in passed if name.rstrip(b"/") not in {os.fsencode(one.strip("/")) for one in include}]
    return files, sorted(warnings) + more, LeftOut(tuple(passed), ignored.modules(root, passed))


def _included(root: Path, include: Iterable[str], skip: bytes, shown: str) -> set[bytes]:
    """The files that are asked for by name, and those in the folders that are. Raises SourceError for what cannot be."""
    names: set[bytes] = set()
    with Folder(root) as folder:

        def enter(path: bytes) -> bool:
            last = path.rpartition(b"/")[2]
            return last not in NEVER and path != skip and not folder.has(path + b"/pyvenv.cfg")

        for text in include:
            name = os.fsencode(text.strip("/"))
            where = f"{shown}: `include` names {printable(name)}"
            if not folder.has(name):
                raise SourceError(f"{where}, which is not there; build it, or correct the name.")
            if _secret(name):
                raise SourceError(
                    f"{where}, and such files hold secrets; give its values to the app in `environment` or `secrets`."
                )
            if folder.has(name + b"/pyvenv.cfg"):
                raise SourceError(f"{where}, a virtualenv, which works only where it was made; name what is in it.")
            if NEVER & {*name.split(b"/")}:
                raise SourceError(f"{where}, which no release holds; leave it out.")
            if not folder.is_folder(name):
                names.add(name)
                continue
            files = {path for path, _link in folder.walk(enter, MAX_MEMBERS, name + b"/")}
            if not files:
                raise SourceError(f"{where}, a folder without files; build what is to be in it, or leave it out.")
            names |= files
    return names


def everything(root: Path, wanted: Iterable[bytes]) -> tuple[Files, list[str]]:
    """List a folder of the kit without clutter but with the ``wanted`` files, whatever git ignores.

    Raises:
        SourceError: It cannot be listed.
    """
    return listing(root, {*wanted, *(name for name in _walk(root, b"") if not _secret(name))}, printable(str(root)))


def _secret(name: bytes) -> bool:
    base = name.rpartition(b"/")[2]
    return any(fnmatch.fnmatchcase(base, p) for p in SECRET_FILES) and not base.endswith(SECRET_EXAMPLES)


def _clutter_folder(folder: Folder, path: bytes) -> bool:
    """Whether the folder at ``path`` is clutter: by its name, unless that is a Python package's, or as a virtualenv."""
    if folder.has(path + b"/pyvenv.cfg"):
        return True
    return path.rpartition(b"/")[2] in CLUTTER_FOLDERS and not folder.has(path + b"/__init__.py")


def _clutter_file(path: bytes, link: bool) -> bool:
    base = path.rpartition(b"/")[2]
    if any(fnmatch.fnmatchcase(base, pattern) for pattern in CLUTTER_FILES):
        return True
    return base in CLUTTER_FOLDERS and link


def _walk(root: Path, skip: bytes) -> set[bytes]:
    with Folder(root) as folder:
        entries = folder.walk(lambda path: path != skip and not _clutter_folder(folder, path), MAX_MEMBERS)
        return {path for path, link in entries if not _clutter_file(path, link)}


def _committed(folder: Folder, tracked: Iterable[bytes]) -> tuple[set[bytes], list[bytes]]:
    """List the existing files that git tracks, and the folders of submodules."""
    known: dict[bytes, bool] = {}

    def real(path: bytes) -> bool:
        """Whether ``path`` is a folder, not a link that has taken the place of what git tracks below it."""
        if path not in known:
            known[path] = folder.is_folder(path)
        return known[path]

    existing = [name for name in tracked if all(map(real, parents(name)))]
    return {name for name in existing if not real(name)}, [name for name in existing if real(name)]


def _new(folder: Folder, others: Iterable[bytes]) -> tuple[set[bytes], list[bytes]]:
    """The files that git does not track yet, without clutter, and the folders of other repositories."""
    clutter: dict[bytes, bool] = {}

    def cluttered(path: bytes) -> bool:
        if path not in clutter:
            clutter[path] = _clutter_folder(folder, path)
        return clutter[path]

    names: set[bytes] = set()
    repositories: list[bytes] = []
    for name in others:
        path = name.rstrip(b"/")
        inside = name != path
        if any(cluttered(above) for above in [*parents(path), *([path] if inside else [])]):
            continue
        if inside:
            repositories.append(path)
        elif not _clutter_file(name, folder.is_link(name)):
            names.add(name)
    return names, repositories


def _left_out(folder: Folder, name: bytes) -> bool:
    """Whether what git ignores is left out without a word: clutter, and what may hold a secret."""
    path = name.rstrip(b"/")
    clutter = _clutter_folder(folder, path) if name.endswith(b"/") else _clutter_file(name, False)
    return clutter or _secret(path)


def _tracked(root: Path, warnings: list[str], passed: list[bytes], depth: int = 0) -> set[bytes]:
    """What git would commit of ``root`` and what it tracks already; nothing when that is no work tree.

    What git ignores, and is no clutter, goes to ``passed``.

    A folder that its surrounding repository ignores whole (a build output) also gives nothing.
    """
    listed = worktree.listed(root)
    if listed is None:
        return set()
    with Folder(root) as folder:
        names, submodules = _committed(folder, listed.tracked)
        new, repositories = _new(folder, listed.others)
        passed += [name for name in listed.ignored if not _left_out(folder, name)]
        nested = [*((name, True) for name in submodules), *((name, False) for name in repositories)]
        repositories_below = [(name, submodule, folder.has(name + b"/.git")) for name, submodule in nested]
    names |= new
    for name, submodule, is_checked_out in repositories_below:
        if is_checked_out and depth >= DEPTH:
            raise SourceError(f"{printable(str(root))}: repositories are nested more than {DEPTH} deep; ship less.")
        if is_checked_out:
            inner = root / os.fsdecode(name)
            theirs: list[bytes] = []
            names |= {name + b"/" + path for path in _tracked(inner, warnings, theirs, depth + 1)}
            passed += [name + b"/" + path for path in theirs]
        elif submodule:
            warnings.append(
                f"{printable(str(root))}: the submodule {printable(name)} is not checked out, so it is left out; "
                "run: git submodule update --init"
            )
    return names

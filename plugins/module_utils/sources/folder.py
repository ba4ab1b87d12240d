"""``path``: a folder on the controller, without what does not belong on a server."""

from __future__ import annotations

import fnmatch
import os
from pathlib import Path

from . import worktree
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


def tree(root: Path, skip: Path) -> tuple[Files, list[str]]:
    """List what of ``root`` is shipped, and the warnings. ``skip`` (the cache) is left out when it lies inside.

    In a git work tree that is what git tracks, and what it neither tracks nor ignores; elsewhere every file; without
    clutter that git does not track, and without ``.env`` files. Raises SourceError when that cannot be found out.
    """
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise SourceError(f"The source folder {printable(str(root))} {what}; correct `path`.")
    warnings: list[str] = []
    names = _tracked(root, warnings)
    if not names:
        names = _walk(root, os.fsencode(os.path.relpath(skip.resolve(), root.resolve())))
    shown = printable(str(root))
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
    return files, sorted(warnings) + more


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
        found = folder.walk(lambda path: path != skip and not _clutter_folder(folder, path), MAX_MEMBERS)
        return {path for path, link in found if not _clutter_file(path, link)}


def _tracked(root: Path, warnings: list[str], depth: int = 0) -> set[bytes]:
    """What git would commit of ``root`` and what it tracks already; nothing when that is no work tree.

    A folder that its surrounding repository ignores whole (a build output) also gives nothing.
    """
    listed = worktree.listed(root)
    if listed is None:
        return set()
    names: set[bytes] = set()
    nested: list[tuple[bytes, bool]] = []
    with Folder(root) as folder:
        known: dict[bytes, bool] = {}

        def real(path: bytes) -> bool:
            """Whether ``path`` is a folder, not a link that has taken the place of what git tracks below it."""
            if path not in known:
                known[path] = folder.is_folder(path)
            return known[path]

        for name in listed.tracked:
            if not all(map(real, parents(name))):
                continue
            if real(name):
                nested.append((name, True))
            else:
                names.add(name)
        clutter: dict[bytes, bool] = {}
        for name in listed.others:
            folders = [*parents(name)] if not name.endswith(b"/") else [*parents(name[:-1]), name[:-1]]
            for path in folders:
                if path not in clutter:
                    clutter[path] = _clutter_folder(folder, path)
            if any(clutter[path] for path in folders):
                continue
            if name.endswith(b"/"):  # another repository inside this one
                nested.append((name[:-1], False))
            elif not _clutter_file(name, folder.is_link(name)):
                names.add(name)
        there = [(name, submodule, folder.has(name + b"/.git")) for name, submodule in nested]
    for name, submodule, found in there:
        if found and depth >= DEPTH:
            raise SourceError(f"{printable(str(root))}: repositories are nested more than {DEPTH} deep; ship less.")
        if found:
            inner = root / os.fsdecode(name)
            names |= {name + b"/" + path for path in _tracked(inner, warnings, depth + 1)}
        elif submodule:
            warnings.append(
                f"{printable(str(root))}: the submodule {printable(name)} is not checked out, so it is left out; "
                "run: git submodule update --init"
            )
    return names

"""``path``: a folder on the controller, without what does not belong on a server."""

from __future__ import annotations

import fnmatch
import os
import stat
from pathlib import Path

from .errors import SourceError, printable
from .files import Files, listing, parents
from .gitcommand import git

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
        names = _walk(os.fsencode(root), b"", os.fsencode(os.path.relpath(skip.resolve(), root.resolve())))
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


def _clutter_folder(path: bytes) -> bool:
    """Whether the folder at ``path`` is clutter: by its name, unless that is a Python package's, or as a virtualenv."""
    if os.path.exists(os.path.join(path, b"pyvenv.cfg")):
        return True
    return os.path.basename(path) in CLUTTER_FOLDERS and not os.path.exists(os.path.join(path, b"__init__.py"))


def _clutter_file(path: bytes) -> bool:
    base = os.path.basename(path)
    if any(fnmatch.fnmatchcase(base, pattern) for pattern in CLUTTER_FILES):
        return True
    return base in CLUTTER_FOLDERS and os.path.islink(path)


def _walk(top: bytes, below: bytes, skip: bytes) -> set[bytes]:
    names: set[bytes] = set()

    def refuse(error: OSError) -> None:
        raise SourceError(
            f"The folder {printable(os.fsencode(error.filename))} cannot be read ({error.strerror}); make it readable."
        ) from error

    for folder, folders, files in os.walk(os.path.join(top, below), onerror=refuse):
        relative = os.path.relpath(folder, top)
        prefix = b"" if relative == b"." else relative + b"/"
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        folders[:] = [
            name
            for name in folders
            if name not in links and prefix + name != skip and not _clutter_folder(os.path.join(folder, name))
        ]
        names.update(prefix + name for name in [*files, *links] if not _clutter_file(os.path.join(folder, name)))
    return names


def _tracked(root: Path, warnings: list[str]) -> set[bytes]:
    """What git would commit of ``root`` and what it tracks already; nothing when that is no work tree.

    A folder that its surrounding repository ignores whole (a build output) also gives nothing.
    """
    if not any((folder / ".git").exists() for folder in (root.resolve(), *root.resolve().parents)):
        return set()
    tracked = git(root, "ls-files", "-z", "--cached")
    others = git(root, "ls-files", "-z", "--others", "--exclude-standard")
    if not tracked.ok or not others.ok:
        raise SourceError(
            f"git cannot list the files of {printable(str(root))}: {tracked.reason if not tracked.ok else others.reason}; "
            "mend the repository, or copy the folder without its .git."
        )
    top = os.fsencode(root)
    names: set[bytes] = set()
    known: dict[bytes, bool] = {}

    def real(folder: bytes) -> bool:
        """Whether ``folder`` is one, not a link that has taken the place of what git tracks below it."""
        if folder not in known:
            try:
                known[folder] = stat.S_ISDIR(os.lstat(os.path.join(top, folder)).st_mode)
            except OSError:
                known[folder] = False
        return known[folder]

    for name in filter(None, tracked.output.split(b"\0")):
        if not all(map(real, parents(name))):
            continue
        if real(name):
            names |= _nested(root, name, warnings, submodule=True)
        else:
            names.add(name)
    clutter: dict[bytes, bool] = {}
    for name in filter(None, others.output.split(b"\0")):
        folders = [*parents(name)] if not name.endswith(b"/") else [*parents(name[:-1]), name[:-1]]
        for folder in folders:
            if folder not in clutter:
                clutter[folder] = _clutter_folder(os.path.join(top, folder))
        if any(clutter[folder] for folder in folders):
            continue
        if name.endswith(b"/"):  # another repository inside this one
            names |= _nested(root, name[:-1], warnings, submodule=False)
        elif not _clutter_file(os.path.join(top, name)):
            names.add(name)
    return names


def _nested(root: Path, name: bytes, warnings: list[str], *, submodule: bool) -> set[bytes]:
    inner = Path(os.fsdecode(os.path.join(os.fsencode(root), name)))
    if (inner / ".git").exists():
        return {name + b"/" + path for path in _tracked(inner, warnings)}
    if submodule:
        warnings.append(
            f"{printable(str(root))}: the submodule {printable(name)} is not checked out, so it is left out; "
            "run: git submodule update --init"
        )
    return set()

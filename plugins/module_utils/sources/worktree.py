"""Lists a folder as git does, but without the configuration of the folder's repository.

git runs programs that a repository's configuration names. Examples are a file system monitor and the fetch of a missing
object for a partial clone, and each version adds some. So git never reads that repository. It gets a temporary one with its own
configuration and no objects. Two files are copied as data: the index, which names the tracked files, and ``info/exclude``.
Besides them, git reads the ``.gitignore`` files in the folder.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .descriptors import Folder
from .errors import SourceError, printable
from .files import MAX_MEMBERS
from .gitcommand import QUICK, Result, git

INDEX = 256 << 20
"""Most bytes of an index; one with 200,000 files has about 30 MB."""

MEMORY = 1 << 30
"""Most bytes of memory for git's listing: a small index may expand to many long names."""

SMALL = 1 << 20
"""Most bytes of any other file of a repository."""


@dataclass(frozen=True)
class Repository:
    """A work tree's top folder, its repository, and the one that it shares with other work trees."""

    top: Path
    git_folder: Path
    common: Path


@dataclass(frozen=True)
class Listed:
    """The paths that git lists below a folder, relative to it."""

    tracked: list[bytes]
    others: list[bytes]
    """Paths that git neither tracks nor ignores; a repository in the work tree ends with a slash."""
    ignored: list[bytes]
    """Paths that git ignores; a folder that it ignores as a whole appears once, with a slash at its end."""


def find(root: Path) -> Repository | None:
    """Find the repository whose work tree contains ``root``; None if there is none.

    Raises:
        SourceError: A link to the repository is broken.
    """
    real = root.resolve()
    for top in (real, *real.parents):
        if not os.path.lexists(top / ".git"):
            continue
        with Folder(top) as folder:
            if folder.is_folder(b".git"):
                git_folder = top / ".git"
            elif folder.is_link(b".git"):
                git_folder = top / os.fsdecode(folder.target(b".git"))
            else:  # a work tree or a submodule, whose repository is elsewhere
                link = re.fullmatch(rb"gitdir: ([^\0\n]+)\n*", folder.read(b".git", SMALL) or b"")
                if link is None:
                    raise SourceError(
                        f"{printable(str(top / '.git'))} does not say where its repository is; remove it, or repair it."
                    )
                git_folder = top / os.fsdecode(link[1])
        if not git_folder.is_dir():
            raise SourceError(
                f"The repository {printable(str(git_folder))} of {printable(str(top))} is not there; remove "
                f"{printable(str(top / '.git'))}, or repair it."
            )
        with Folder(git_folder.resolve()) as folder:
            other = (folder.read(b"commondir", SMALL) or b"").rstrip(b"\n")
            common = git_folder if b"\0" in other else git_folder / os.fsdecode(other)
            if folder.has(b"HEAD") and common.is_dir():
                return Repository(top, git_folder.resolve(), common.resolve())
    return None


@contextmanager
def _ours(repository: Repository) -> Iterator[tuple[Path, list[str]]]:
    """Create a temporary repository with only the index and excludes of another; and options for ``ls-files``."""
    with tempfile.TemporaryDirectory(prefix="slipway-") as name:
        made = Path(name)
        for part in ("objects", "refs", "info"):
            (made / part).mkdir()
        (made / "HEAD").write_text("ref: refs/heads/main\n")
        with Folder(repository.common) as common:
            settings = common.read(b"config", SMALL) or b""
            (made / "info/exclude").write_bytes(common.read(b"info/exclude", SMALL) or b"")
        # This decides the length of hashes in the index.
        sha256 = re.search(rb"(?im)^[ \t]*objectformat[ \t]*=[ \t]*\"?sha256", settings) is not None
        blind = (repository.top / ".GIT").exists()  # to case, as macOS is
        (made / "config").write_text(
            f"[core]\nrepositoryformatversion = {int(sha256)}\nbare = false\nignorecase = {str(blind).lower()}\n"
            + "precomposeunicode = true\n"
            + ("[extensions]\nobjectformat = sha256\n" if sha256 else "")
        )
        with Folder(repository.git_folder) as folder:
            index = folder.read(b"index", INDEX)
            if index is None and folder.has(b"index"):
                raise SourceError(
                    f"The index of the repository {printable(str(repository.git_folder))} cannot be read, or is larger than "
                    f"{INDEX >> 20} MiB; repair it, or copy the folder without its .git."
                )
            if index is not None:
                (made / "index").write_bytes(index)
                # A split index: the hash of the file with its larger part.
                for shared in {*re.findall(rb"link.{4}(.{%d})" % (32 if sha256 else 20), index, re.DOTALL)}:
                    part = f"sharedindex.{shared.hex()}"
                    if (content := folder.read(part.encode(), INDEX)) is not None:
                        (made / part).write_bytes(content)
        # A sparse index names folders that are not checked out. git would need their objects to list their files.
        yield made, ["--sparse"] if index and b"sdir\0\0\0\0" in index else []


FIRST = 10.0
"""Seconds for git's first attempt; large work trees take a second or two."""

KINDS = {
    "tracked": ("--cached",),
    "others": ("--others", "--exclude-standard"),
    "ignored": ("--others", "--ignored", "--exclude-standard", "--directory"),
}
"""Options of `git ls-files` for the parts of `Listed`."""


INSIDE = "directory entry not superset of prefix"
"""git's error for `ignored` if the folder is in one that is ignored as a whole."""


def listed(root: Path) -> Listed | None:
    """List the files below ``root`` as git does; None outside of a work tree.

    Raises:
        SourceError: git cannot list them.
    """
    repository = find(root)
    if repository is None:
        return None
    with _ours(repository) as (ours, sparse):
        place = {"GIT_DIR": str(ours), "GIT_WORK_TREE": str(repository.top)}

        def ask(kind: str, timeout: float) -> Result:
            options = [*KINDS[kind], *(sparse if kind == "tracked" else [])]
            return git(root, "ls-files", "-z", *options, protocols=(), place=place, memory=MEMORY, timeout=timeout)

        def ask_all(timeout: float) -> dict[str, Result]:
            with ThreadPoolExecutor(len(KINDS)) as pool:
                return dict(zip(KINDS, pool.map(lambda kind: ask(kind, timeout), KINDS), strict=True))

        try:
            results = ask_all(FIRST)
        except SourceError:
            _readable(repository.top)
            results = ask_all(QUICK)
    # git fails if `root` is in a folder that is ignored as a whole. Then there are no more paths to list.
    below_ignored = INSIDE in results["ignored"].reason
    wrong = [
        result.reason for kind, result in results.items() if not result.ok and not (kind == "ignored" and below_ignored)
    ]
    if wrong:
        raise SourceError(
            f"git cannot list the files of {printable(str(root))}: {wrong[0]}; "
            "repair the repository, or copy the folder without its .git."
        )
    return Listed(
        **{
            kind: [name for name in result.output.split(b"\0") if name] if result.ok else []
            for kind, result in results.items()
        }
    )


def _readable(top: Path) -> None:
    """Check for a .gitignore that is a pipe or a device, which git would wait for.

    This search takes longer than git's listing, so it runs only if the listing does not end.

    Raises:
        SourceError: There is one.
    """
    with Folder(top) as folder:
        for name, link in folder.walk(lambda path: path != b".git", MAX_MEMBERS):
            if name.rpartition(b"/")[2] == b".gitignore" and not link:
                mode = folder.status(name).st_mode
                if not stat.S_ISREG(mode):
                    raise SourceError(
                        f"{printable(str(top))}: {printable(name)} is not a file, and git would wait for it; remove it."
                    )

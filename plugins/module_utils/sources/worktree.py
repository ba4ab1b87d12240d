"""What git would list of a folder, asked in a way that nothing of the folder's own repository is obeyed.

git runs what a repository's configuration says: a file system monitor, the program that fetches a missing object from a
partial clone's origin, and more with each version. So git never sees that repository. It gets one of ours, with a
configuration of ours and no objects, and two files of the other one as data: the index, which names what is tracked, and
``info/exclude``. What git reads beside them are the ``.gitignore`` files in the folder.
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
"""Bytes of an index that are read: one with 200,000 files has some 30 MB."""

MEMORY = 1 << 30
"""Bytes that git may take for a listing: an index may say in few bytes that it has many long names."""

SMALL = 1 << 20
"""Bytes of any other file of a repository that are read."""


@dataclass(frozen=True)
class Repository:
    """A work tree's top folder, its repository, and the one that it shares with other work trees."""

    top: Path
    own: Path
    common: Path


@dataclass(frozen=True)
class Listed:
    """What git names below a folder, relative to it."""

    tracked: list[bytes]
    others: list[bytes]
    """What git neither tracks nor ignores; a repository within the work tree ends with a slash."""
    ignored: list[bytes]
    """What git ignores; of a folder that it ignores as a whole only the name, with a slash at its end."""


def find(root: Path) -> Repository | None:
    """The repository whose work tree ``root`` is in, or None. Raises SourceError for a broken link to one."""
    real = root.resolve()
    for top in (real, *real.parents):
        if not os.path.lexists(top / ".git"):
            continue
        with Folder(top) as folder:
            if folder.is_folder(b".git"):
                own = top / ".git"
            elif folder.is_link(b".git"):
                own = top / os.fsdecode(folder.target(b".git"))
            else:  # a work tree or a submodule, whose repository lies elsewhere
                link = re.fullmatch(rb"gitdir: ([^\0\n]+)\n*", folder.read(b".git", SMALL) or b"")
                if link is None:
                    raise SourceError(
                        f"{printable(str(top / '.git'))} does not say where its repository is; remove it, or mend it."
                    )
                own = top / os.fsdecode(link[1])
        if not own.is_dir():
            raise SourceError(
                f"The repository {printable(str(own))} of {printable(str(top))} is not there; remove "
                f"{printable(str(top / '.git'))}, or mend it."
            )
        with Folder(own.resolve()) as folder:
            other = (folder.read(b"commondir", SMALL) or b"").rstrip(b"\n")
            common = own if b"\0" in other else own / os.fsdecode(other)
            if folder.has(b"HEAD") and common.is_dir():
                return Repository(top, own.resolve(), common.resolve())
    return None


@contextmanager
def _ours(repository: Repository) -> Iterator[tuple[Path, list[str]]]:
    """A repository with nothing of ``repository`` but its index and excludes; and options for ``ls-files``."""
    with tempfile.TemporaryDirectory(prefix="slipway-") as name:
        made = Path(name)
        for part in ("objects", "refs", "info"):
            (made / part).mkdir()
        (made / "HEAD").write_text("ref: refs/heads/main\n")
        with Folder(repository.common) as common:
            settings = common.read(b"config", SMALL) or b""
            (made / "info/exclude").write_bytes(common.read(b"info/exclude", SMALL) or b"")
        # How long the hashes in the index are.
        sha256 = re.search(rb"(?im)^\s*objectformat\s*=\s*\"?sha256", settings) is not None
        blind = (repository.top / ".GIT").exists()  # to case, as macOS is
        (made / "config").write_text(
            f"[core]\nrepositoryformatversion = {int(sha256)}\nbare = false\nignorecase = {str(blind).lower()}\n"
            + "precomposeunicode = true\n"
            + ("[extensions]\nobjectformat = sha256\n" if sha256 else "")
        )
        with Folder(repository.own) as own:
            index = own.read(b"index", INDEX)
            if index is None and own.has(b"index"):
                raise SourceError(
                    f"The index of the repository {printable(str(repository.own))} cannot be read, or is larger than "
                    f"{INDEX >> 20} MiB; mend the repository, or copy the folder without its .git."
                )
            if index is not None:
                (made / "index").write_bytes(index)
                # A split index: the hash of the file with its larger part.
                for shared in {*re.findall(rb"link.{4}(.{%d})" % (32 if sha256 else 20), index, re.DOTALL)}:
                    part = f"sharedindex.{shared.hex()}"
                    if (content := own.read(part.encode(), INDEX)) is not None:
                        (made / part).write_bytes(content)
        # A sparse index names folders that are not checked out; to name their files git would need their objects.
        yield made, ["--sparse"] if index and b"sdir\0\0\0\0" in index else []


FIRST = 10.0
"""Seconds for git's first try; large work trees take a second or two."""

KINDS = {
    "tracked": ("--cached",),
    "others": ("--others", "--exclude-standard"),
    "ignored": ("--others", "--ignored", "--exclude-standard", "--directory"),
}
"""Options of `git ls-files` for the parts of `Listed`."""


INSIDE = "directory entry not superset of prefix"
"""What git says of `ignored` where the folder lies in one that is ignored as a whole."""


def listed(root: Path) -> Listed | None:
    """What git names below ``root``; None when that is in no work tree. Raises SourceError when it cannot be found out."""
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
            done = ask_all(FIRST)
        except SourceError:
            _readable(repository.top)
            done = ask_all(QUICK)
    # git's own fault where `root` lies in a folder that is ignored as a whole: then there is nothing more to name.
    below_ignored = INSIDE in done["ignored"].reason
    wrong = [
        result.reason for kind, result in done.items() if not result.ok and not (kind == "ignored" and below_ignored)
    ]
    if wrong:
        raise SourceError(
            f"git cannot list the files of {printable(str(root))}: {wrong[0]}; "
            "mend the repository, or copy the folder without its .git."
        )
    return Listed(
        **{
            kind: [name for name in result.output.split(b"\0") if name] if result.ok else []
            for kind, result in done.items()
        }
    )


def _readable(top: Path) -> None:
    """Raise SourceError for a .gitignore that git waits for, since it is a pipe or a device.

    To look for one takes longer than git's listing does, so it is done only when that does not end.
    """
    with Folder(top) as folder:
        for name, link in folder.walk(lambda path: path != b".git", MAX_MEMBERS):
            if name.rpartition(b"/")[2] == b".gitignore" and not link:
                mode = folder.status(name).st_mode
                if not stat.S_ISREG(mode):
                    raise SourceError(
                        f"{printable(str(top))}: {printable(name)} is no file, and git would wait for it; remove it."
                    )

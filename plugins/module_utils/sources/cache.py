"""What the forks of one Ansible run, and several runs at once, share on the controller: locks, memories, finished folders."""

from __future__ import annotations

import contextlib
import hashlib
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ..host.base import locks
from .errors import SourceError

MEMORY_AGE = 6 * 3600.0
"""Seconds that a run remembers what a branch or URL held: longer than any sensible run."""

KEPT = 14 * 86400.0
"""Seconds after its last use that a download or an unpacked source is removed from the cache."""


def key(*parts: str) -> str:
    """A short file name for ``parts``; no two different lists of parts share one."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def current_run() -> str | None:
    """What the worker processes of one ``ansible-playbook`` have in common, or None outside such a worker.

    A worker is a child of the main process made by ``multiprocessing``, so that process names the run. Its start time
    is added where /proc tells it, since process numbers come back.
    """
    parent = multiprocessing.parent_process()
    if parent is None or parent.pid is None:
        return None
    try:
        started = Path(f"/proc/{parent.pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError, UnicodeDecodeError):
        started = ""
    return f"{parent.pid}-{started}"


def prune(folder: Path, age: float) -> None:
    """Remove what in ``folder`` was not written or used for ``age`` seconds."""
    for old in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if time.time() - old.lstat().st_mtime > age:
                if old.is_dir():
                    shutil.rmtree(old, ignore_errors=True)
                else:
                    old.unlink()


class Cache:
    """The cache folder of the controller, private to its user (0700); everything in it can be made again."""

    def __init__(self, root: Path, run: str | None) -> None:
        self.root = root
        self.run = run

    def folder(self, *parts: str) -> Path:
        """A folder below the cache; made, private, when it is missing."""
        path = self.root.joinpath(*parts)
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise SourceError(
                f"The cache folder {path} cannot be made ({error.strerror}); name another one that you may write."
            ) from error
        return path

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the lock ``name`` against every other process and thread; the kernel frees it if this one dies.

        Raises SourceError when another run has had it for as long as a step may take: it may be fetching a big repository.
        """
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(locks.hold(str(self.folder("locks") / f"{name}.lock"), patience=locks.STEP))
            except locks.Held as error:
                raise SourceError(f"Another run fetches the same source: {error}") from error
            yield

    def recall(self, *parts: str) -> str | None:
        """What this run remembered under ``parts``, so that all its hosts get the same commit or download."""
        if self.run is None:
            return None
        path = self.folder("runs") / key(self.run, *parts)
        try:
            return path.read_text() if time.time() - path.stat().st_mtime < MEMORY_AGE else None
        except FileNotFoundError:
            return None

    def remember(self, value: str, *parts: str) -> None:
        """Keep ``value`` for the other processes of this run; forget what old runs kept."""
        if self.run is None:
            return
        folder = self.folder("runs")
        prune(folder, MEMORY_AGE)
        descriptor, temporary = tempfile.mkstemp(dir=folder)
        with os.fdopen(descriptor, "w") as file:
            file.write(value)
        Path(temporary).rename(folder / key(self.run, *parts))

    def tree(self, name: str, fill: Callable[[Path], None]) -> Path:
        """The finished folder ``trees/<name>``; ``fill`` writes it into an empty one that is renamed when complete.

        Call it with the lock of ``name``'s origin held. Folders nobody asked for in KEPT are removed.
        """
        trees = self.folder("trees")
        done = trees / name
        with self.lock("trees"):
            if done.is_dir():
                os.utime(done)
            prune(trees, KEPT)
        if not done.is_dir():
            temporary = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=trees))
            try:
                fill(temporary)
                temporary.rename(done)
                os.utime(done)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
        return done

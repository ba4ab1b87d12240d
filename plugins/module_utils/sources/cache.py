"""The controller's cache, which the forks of one Ansible run and several runs share: locks, memories, finished folders."""

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
"""Seconds that a run remembers the content of a branch or URL: longer than any sensible run."""

KEPT = 14 * 86400.0
"""Seconds after its last use that a download or an unpacked source is removed from the cache."""


def root() -> Path:
    """The controller's folder for what can be made again."""
    return Path(os.environ.get("SLIPWAY_CACHE") or Path.home() / ".cache" / "slipway")


def key(*parts: str) -> str:
    """Return a short file name that is unique for these parts."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def current_run() -> str | None:
    """Return an id of the run that all workers of one ``ansible-playbook`` share; None outside a worker.

    ``multiprocessing`` makes a worker a child of the main process, so the main process identifies the run. Its start time
    is added if /proc has it, since process ids are used again.
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
    """Remove entries of a folder that were not written or used for ``age`` seconds."""
    for old in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if time.time() - old.lstat().st_mtime > age:
                if old.is_dir():
                    shutil.rmtree(old, ignore_errors=True)
                else:
                    old.unlink()


class Cache:
    """The controller's cache folder, private to its user (0700). All of it can be fetched or built again."""

    def __init__(self, root: Path, run: str | None) -> None:
        self.root = root
        self.run = run

    def folder(self, *parts: str) -> Path:
        """Return a folder below the cache; create it, private, if it is missing."""
        path = self.root.joinpath(*parts)
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise SourceError(
                f"The cache folder {path} cannot be created ({error.strerror}); name another one that you may write."
            ) from error
        return path

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a lock against every other process and thread. The kernel frees it if this process dies.

        Raises:
            SourceError: Another run has held it for as long as a step may take. It may be fetching a big repository.
        """
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(locks.hold(str(self.folder("locks") / f"{name}.lock"), patience=locks.STEP))
            except locks.Held as error:
                raise SourceError(f"Another run fetches the same source: {error}") from error
            yield

    def recall(self, *parts: str) -> str | None:
        """Return the value that this run remembered, so that all its hosts get the same commit or download."""
        if self.run is None:
            return None
        path = self.folder("runs") / key(self.run, *parts)
        try:
            return path.read_text() if time.time() - path.stat().st_mtime < MEMORY_AGE else None
        except FileNotFoundError:
            return None

    def remember(self, value: str, *parts: str) -> None:
        """Keep a value for the other processes of this run. Drop the values of old runs."""
        if self.run is None:
            return
        folder = self.folder("runs")
        prune(folder, MEMORY_AGE)
        descriptor, temporary = tempfile.mkstemp(dir=folder)
        with os.fdopen(descriptor, "w") as file:
            file.write(value)
        Path(temporary).rename(folder / key(self.run, *parts))

    def tree(self, name: str, fill: Callable[[Path], None]) -> Path:
        """Return the folder ``trees/<name>``; ``fill`` writes it to an empty folder, which is then renamed.

        The caller holds the lock of the tree's origin. Folders that were not used for KEPT seconds are removed.
        """
        trees = self.folder("trees")
        finished = trees / name
        with self.lock("trees"):
            if finished.is_dir():
                os.utime(finished)
            prune(trees, KEPT)
        if not finished.is_dir():
            temporary = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=trees))
            try:
                fill(temporary)
                temporary.rename(finished)
                os.utime(finished)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
        return finished

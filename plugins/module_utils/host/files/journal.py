"""Remembers on disk how to put a set of files back, also when the call that writes it dies."""

from __future__ import annotations

import base64
import contextlib
import glob
import json
import os
import re
from collections.abc import Iterator
from typing import Any

from ...contract import names
from ...contract.errors import HostError
from ..base import atomic, locks, trees
from ..base.atomic import sync_directory
from . import reloading
from .commands import validated
from .paths import Refused, put_back, write
from .written import Memory

UNDO = names.UNDO
"""Journals: ``open-<token>.json`` while a call writes, ``kept-<name>.json`` after one that was to be kept."""


class Journal:
    """What is needed to put a set of paths back, on disk before the first of them is touched.

    A list of ``{path, before, aside, remembered}``: ``before`` as `snapshot` gives it (None: nothing was there). ``aside`` is
    the hidden name to which a folder with content was moved instead of being removed. ``remembered`` is what the kit knew
    about the path. And ``commands``, which have a daemon read the current files.
    """

    def __init__(self, path: str, entries: list[dict[str, Any]], commands: list[list[str]]) -> None:
        self.path = path
        self.entries = entries
        self.commands = commands

    @classmethod
    def read(cls, path: str) -> Journal:
        """Load a journal; raises ``Refused`` when the file is not one."""
        try:
            with open(path, encoding="utf-8") as handle:
                content = json.load(handle)
            entries = content["entries"]
            for entry in entries:
                if entry["before"] is not None and "data" in entry["before"]:
                    entry["before"]["data"] = base64.b64decode(entry["before"]["data"])
        except (ValueError, KeyError, TypeError) as exc:
            raise Refused(f"the undo journal {path} cannot be read ({exc}): look at it, then remove it") from exc
        return cls(path, entries, content.get("commands", []))

    def save(self) -> None:
        """Write the journal, durably, readable for root alone: it may hold secrets."""
        entries = [dict(entry, before=entry["before"] and dict(entry["before"])) for entry in self.entries]
        for entry in entries:
            if entry["before"] is not None and "data" in entry["before"]:
                entry["before"]["data"] = base64.b64encode(entry["before"]["data"]).decode("ascii")
        text = json.dumps({"schema": 2, "entries": entries, "commands": self.commands})
        write(self.path, text.encode("utf-8"), os.geteuid(), os.getegid(), 0o600)

    def restore(self, strict: bool = False) -> list[str]:
        """Put everything back, last change first, and have the daemon read it; then drop the journal.

        Returns the paths that took a change.

        Raises:
            Refused: with `strict`, a command failed. All else is done.
        """
        changed = [
            entry["path"]
            for entry in reversed(self.entries)
            if put_back(entry["path"], entry["before"], entry.get("aside"))
        ]
        memory = Memory.read(home_of(os.path.dirname(self.path)))
        for entry in self.entries:
            memory.set(entry["path"], entry.get("remembered"))
        store(memory)
        refused: list[HostError] = []
        for command in self.commands:
            try:
                with reloading.carried_out(command, settled=True):
                    validated(command, [])
            except HostError as error:  # a daemon may be down; the next one gets its command anyway
                refused.append(error)
        self.drop()
        if refused and strict:
            raise Refused(str(refused[0]))
        return changed

    def drop(self) -> None:
        """Forget the journal: first the file, so that a crash leaves litter and never a wrong way back."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
            sync_directory(os.path.dirname(self.path))
        for entry in self.entries:
            if entry.get("aside"):
                trees.remove(entry["aside"])

    def keep(self, path: str) -> None:
        """Keep the journal as ``path``; for a path that an older one there names, the older state is the one to go back to."""
        if os.path.exists(path):
            older = Journal.read(path)
            known = {entry["path"] for entry in older.entries}
            again = [entry for entry in self.entries if entry["path"] in known]
            older.entries += [entry for entry in self.entries if entry["path"] not in known]
            older.commands = self.commands
            older.save()
            Journal(self.path, again, []).drop()
        elif self.entries:
            os.rename(self.path, path)
            sync_directory(os.path.dirname(path))


@contextlib.contextmanager
def locked(folder: str) -> Iterator[None]:
    """Hold the only right to write: under it, an open journal can only be a dead call's. Raises locks.Held."""
    locks.prepare(folder)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    with locks.hold(os.path.join(folder, ".lock")):
        yield


def recover(folder: str) -> list[str]:
    """Put back what dead calls left halfway; return the paths that took a change. Call it under the lock."""
    changed = []
    for path in sorted(glob.glob(os.path.join(glob.escape(folder), "open-*.json"))):
        journal = Journal.read(path)
        changed += journal.restore()
        for parent in {home_of(folder), *(os.path.dirname(entry["path"]) for entry in journal.entries)}:
            for litter in glob.glob(os.path.join(glob.escape(parent), atomic.PART + "*")):
                os.unlink(litter)
    return changed


def kept_path(folder: str, name: str) -> str:
    """Where the journal kept under ``name`` is; raises ``Refused`` when it is not a plain name."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise Refused(f"{name!r} cannot name what to keep: letters, digits, dots and dashes, such as nginx-sites")
    return os.path.join(folder, f"kept-{name}.json")


def home_of(folder: str) -> str:
    """The folder of the memory that belongs to the journals in ``folder``."""
    return os.path.dirname(folder)


def store(memory: Memory) -> None:
    """Write a memory, for root alone, if it has changed."""
    text = memory.text()
    if text is not None:
        write(memory.path, text, os.geteuid(), os.getegid(), 0o600)

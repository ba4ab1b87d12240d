"""Puts a whole set of files in place and activates it, or nothing of it: the host side of the `files` action."""

from __future__ import annotations

import base64
import json
import os
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...contract.errors import HostError
from ..base.atomic import sync_directory
from . import reloading
from .commands import validated
from .drift import drift, keep_changes, remember
from .journal import UNDO, Journal, home_of, kept_path, locked, recover, store
from .paths import PUT_BACK, Refused, RolledBack, link, snapshot, write
from .planning import Item, Step, name_of, plan
from .written import Memory


@dataclass(frozen=True)
class Wanted:
    """A set: its entries as the action makes them, what tests it once it is in place, and what has a daemon read it."""

    items: list[Item]
    validate: list[str] = field(default_factory=list)
    commands: list[list[str]] = field(default_factory=list)
    on_drift: str = "keep"
    """What to do with files that another user or program changed: ``keep`` puts them aside, ``refuse`` places nothing."""

    @classmethod
    def read(cls, call: Mapping[str, Any]) -> Wanted:
        """The set of a module call: ``payload`` (compressed), ``validate``, ``apply`` and ``on_drift``."""
        items = json.loads(zlib.decompress(base64.b64decode(call["payload"])).decode("utf-8"))
        return cls(items, call["validate"], call["apply"], call["on_drift"])


@dataclass
class Result:
    """What one call did: paths in order, diffs for C(--diff), and what it had to repair first."""

    paths: list[str] = field(default_factory=list)
    diffs: list[dict[str, str]] = field(default_factory=list)
    recovered: list[str] = field(default_factory=list)
    unfinished: bool = False
    forgotten: bool = False
    proving: bool = False
    drifted: list[dict[str, str]] = field(default_factory=list)
    """Files that another user or program had changed (``path``), and their copy (``kept``, empty for removed ones)."""

    @property
    def changed(self) -> bool:
        """Whether anything on the host changed, now or in the call that died before this one."""
        return bool(self.paths or self.recovered or self.unfinished)


def place(
    wanted: Wanted,
    keep: str | None,
    check: bool,
    folder: str = UNDO,
    changing: Callable[[], object] = lambda: None,
) -> Result:
    """Put the whole set in place and activate it, or leave everything as it was and raise ``Refused``.

    ``keep`` is the name for a later `restore`; ``check`` writes nothing. ``changing`` is called before the first change.
    """
    kept = kept_path(folder, keep) if keep else ""
    for item in wanted.items:
        item["bits"] = int(item["mode"], 8)
    if check:
        steps = plan(wanted.items, check=True)
        drifted = drift(steps, Memory.read(home_of(folder)), wanted.on_drift)
        return Result([step.item["dest"] for step in steps], [step.diff for step in steps], drifted=drifted)
    with locked(folder):
        result = Result(recovered=recover(folder))
        # The run that kept the journal has ended halfway, so what is to take note of its changes may not have.
        result.unfinished = bool(kept) and os.path.exists(kept)
        steps = plan(wanted.items, check=False)
        memory = Memory.read(home_of(folder))
        result.drifted = drift(steps, memory, wanted.on_drift)
        waiting = {step.item["dest"] for step in steps}
        for item in wanted.items:
            if item["dest"] not in waiting:
                remember(memory, item)
        store(memory)
        if steps:
            changing()
            journal = _begin(steps, result.drifted, memory, wanted, folder)
            _carry_out(journal, steps, result.drifted, memory, wanted.validate)
            if keep:
                journal.keep(kept)
            else:
                journal.drop()
            result.paths = [step.item["dest"] for step in steps]
            result.diffs = [step.diff for step in steps]
        return result


def _begin(steps: list[Step], drifted: list[dict[str, str]], memory: Memory, wanted: Wanted, folder: str) -> Journal:
    """Write down how to go back, before the first step."""
    token = os.urandom(8).hex()
    entries: list[dict[str, Any]] = [
        {"path": one["kept"], "before": snapshot(one["kept"]), "aside": None} for one in drifted if one["kept"]
    ]
    for step in steps:
        path = step.item["dest"]
        moved = step.item["state"] == "absent" and step.before is not None and step.before["type"] == "directory"
        aside = os.path.join(os.path.dirname(path), f".slipway-undo-{token}-{os.path.basename(path)}")
        entry = {"path": path, "before": step.before, "aside": aside if moved else None}
        entries.append({**entry, "remembered": memory.known.get(path)})
    journal = Journal(os.path.join(folder, f"open-{token}.json"), entries, wanted.commands)
    journal.save()
    return journal


def _carry_out(
    journal: Journal, steps: list[Step], drifted: list[dict[str, str]], memory: Memory, validate: list[str]
) -> None:
    """Make all changes and have the daemons read them; raises ``RolledBack`` where one fails."""
    read = False
    try:
        keep_changes(steps, drifted)
        for step, entry in zip(steps, journal.entries[-len(steps) :], strict=True):
            try:
                apply(step, entry["aside"])
            except OSError as exc:
                raise Refused(f"{name_of(step.item)}: {exc}") from exc
            remember(memory, step.item)
        store(memory)
        if validate:
            validated(validate, steps)
        for command in journal.commands:
            read = True
            with reloading.carried_out(command):
                validated(command, steps)
    except HostError as exc:
        if not read:
            journal.commands = []  # a daemon that never read it has nothing to read again
        journal.restore()
        raise RolledBack(f"{exc}\n{PUT_BACK}") from exc


def restore(name: str, check: bool, folder: str = UNDO) -> Result:
    """Go back to what was before the call that kept ``name``; nothing kept means no change.

    Raises:
        Refused: the files are back, and a daemon did not read them.
    """
    path = kept_path(folder, name)
    if check:
        return Result([entry["path"] for entry in Journal.read(path).entries] if os.path.exists(path) else [])
    with locked(folder):
        recovered = recover(folder)
        return Result(Journal.read(path).restore(strict=True) if os.path.exists(path) else [], recovered=recovered)


def forget(name: str, check: bool, folder: str = UNDO) -> Result:
    """Drop what is kept under ``name``. Never a change: nothing that serves is touched."""
    path = kept_path(folder, name)
    if check or not os.path.exists(path):
        return Result()
    with locked(folder):
        existed = os.path.exists(path)
        if existed:
            Journal.read(path).drop()
    return Result(forgotten=existed)


def keep_as(name: str, later: str, check: bool, folder: str = UNDO) -> None:
    """Keep under another name what is kept under ``name``."""
    path = kept_path(folder, name)
    if not check and os.path.exists(path):
        with locked(folder):
            os.rename(path, kept_path(folder, later))
            sync_directory(folder)


def apply(step: Step, aside: str | None) -> None:
    """Make one change."""
    item = step.item
    path, state = item["dest"], item["state"]
    if state == "file":
        write(path, item["text"].encode("utf-8"), item["uid"], item["gid"], item["bits"])
    elif state == "link":
        link(path, item["target"])
    elif state == "directory":
        if step.before is None:
            os.mkdir(path, 0o700)
        os.chown(path, item["uid"], item["gid"])
        os.chmod(path, item["bits"])
        sync_directory(os.path.dirname(path))
    elif aside is not None:
        os.rename(path, aside)
        sync_directory(os.path.dirname(path))
    else:
        os.unlink(path)
        sync_directory(os.path.dirname(path))

"""One run at a time: the lock of a host, and the journal of what the runs did."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...contract import names
from ...contract.errors import HostError
from ...contract.manifest import app_name
from ..base import atomic, locks
from ..base.boot import boot_id
from . import releases

LOCK = names.LOCK
JOURNAL = names.JOURNAL
WORK = names.WORK
"""Locked (flock) by every step that changes the host, while it does."""

REBOOTED = "the host was restarted meanwhile"
GONE = "its process is gone"


@dataclass(frozen=True)
class Taken:
    """The result of trying to take the lock."""

    held: Mapping[str, Any] | None = None
    """The lock of who has it; None when it is ours now."""
    busy: bool = False
    """The run that has it is dead, but a step that it started is still running."""
    replaced: Mapping[str, Any] | None = None
    """The lock that was taken over, with the reason as `why`."""


@contextlib.contextmanager
def alone(path: str = WORK) -> Iterator[None]:
    """Hold the right to change the host for one step; waits for a step that is running. Raises locks.Held.

    A step keeps running when its controller dies, so the lock of a dead run does not tell when its last step ends. This one
    does: the kernel frees it with the step's own process, and nothing that a step starts has it.
    """
    locks.prepare(path)
    with locks.hold(path):
        yield


def at_work(path: str = WORK) -> bool:
    """Whether a step is changing the host at this moment."""
    return locks.is_held(path)


@contextlib.contextmanager
def _guard(path: str) -> Iterator[None]:
    """Look at the lock and change it in one go: of two who find a stale one, one takes it over. Raises locks.Held."""
    locks.prepare(path)
    with locks.hold(f"{path}.guard"):
        yield


def _read(path: str) -> dict[str, Any] | None:
    """The lock; None without one, also where the file is not as `take` writes it."""
    held = atomic.read_json(path)
    written = (
        held is not None and {"token", "boot", "purpose", "apps"} <= held.keys() and isinstance(held["apps"], dict)
    )
    return held if written else None


def take(
    owner: Mapping[str, Any],
    roots: Iterable[str],
    gone: str = "",
    path: str = LOCK,
    journal: str = JOURNAL,
    work: str = WORK,
) -> Taken:
    """Take the lock for `owner` (`token`, `who`, `controller`, `pid`, `purpose`, …), unless another run has it.

    `roots` are those of the apps that the run is about; which release each is to get, `note_targets` adds when it is known.
    A lock of an earlier boot is void: its run is no longer running on this host. So is the one with the token
    `gone`, whose process the caller knows to be dead, as soon as its last step is done. The journal gets a line for it.
    """
    entry = {
        **owner,
        "since": releases.now(),
        "started": time.time(),
        "boot": boot_id(),
        "apps": {app_name(root): {"root": root, "from": releases.current(root), "to": None} for root in roots},
    }
    with _guard(path):
        held = _read(path)
        if held and held["token"] == entry["token"]:
            return Taken()
        replaced = None
        if held:
            why = REBOOTED if held["boot"] != entry["boot"] else GONE if held["token"] == gone else ""
            if not why or (why == GONE and at_work(work)):
                return Taken(held=held, busy=bool(why))
            replaced = {**held, "why": why}
            note(held, "interrupted", why, {}, {}, journal)
        atomic.write_json(path, entry)
    return Taken(replaced=replaced)


def token(path: str = LOCK) -> str:
    """Name the run that has the lock; empty without one."""
    return str((_read(path) or {}).get("token", ""))


def note_targets(wanted: Mapping[str, str], path: str = LOCK) -> None:
    """Note in the lock which release the run is to make current, by app's root: if it dies, the journal tells.

    It is the lock of the caller's run: a step of another run would not have begun. A step without a run notes nothing.
    """
    with _guard(path):
        held = _read(path)
        apps = held["apps"] if held else {}
        entries = [(apps.get(app_name(root)), release_id) for root, release_id in wanted.items()]
        news = [(about, release_id) for about, release_id in entries if about and about["to"] != release_id]
        for about, release_id in news:
            about["to"] = release_id
        if held and news:
            atomic.write_json(path, held)


def free(
    token: str,
    outcome: str,
    reason: str,
    wanted: Mapping[str, str | None],
    path: str = LOCK,
    journal: str = JOURNAL,
    held: Mapping[str, str] | None = None,
) -> bool:
    """Give the lock back and write the run into the journal; False when it was not this run's.

    `wanted` are the releases, by app, that the run was about, where it failed before a step could note them. `held` are the
    reasons, by app, for which apps were held back: for them the run has failed.

    Raises:
        HostError: the journal could not be written.
    """
    with _guard(path):
        taken = _read(path)
        if not taken or taken["token"] != token:
            return False
        try:
            note(taken, outcome, reason, wanted, held or {}, journal)
        except OSError as error:
            raise HostError(f"the lock is given back, but the journal has no line for this run: {error}") from error
        finally:
            atomic.remove_file(path)  # also on a full disk: no other step would give it back
    return True


def note(
    taken: Mapping[str, Any],
    outcome: str,
    reason: str,
    wanted: Mapping[str, str | None],
    held: Mapping[str, str],
    journal: str = JOURNAL,
) -> None:
    """Add a line for every app that a run changed, or intended to; nothing for one that had nothing to do."""
    lines = []
    for app, about in taken["apps"].items():
        now = releases.current(about["root"])
        ended, why = ("failed", held[app]) if app in held else (outcome, reason)
        line = {
            "id": taken["token"],
            "purpose": taken["purpose"],
            "app": app,
            "from": about["from"],
            "to": wanted.get(app) or about["to"] or (now if ended == "ok" or now != about["from"] else None),
            "who": taken["who"],
            "controller": taken["controller"],
            "start": taken["since"],
            # When an interrupted run ended is not known.
            "seconds": None if ended == "interrupted" else round(time.time() - taken["started"], 1),
            "outcome": ended,
            "reason": why if ended != "interrupted" else f"{why}; {now or 'nothing'} was current then",
        }
        lines.append(line)
    intended = [line for line in lines if line["to"] != line["from"] or line["app"] in held]
    # A run that failed, or was interrupted, before it knew its releases, gets its lines anyway.
    lines = intended or (lines if outcome != "ok" else [])
    append(lines, journal)


def append(lines: Sequence[Mapping[str, Any]], journal: str = JOURNAL) -> None:
    """Add lines to the journal."""
    if lines:
        os.makedirs(os.path.dirname(journal), 0o755, exist_ok=True)
        # One write of whole lines to a file opened for appending: lines never mix.
        data = "".join(json.dumps(line, ensure_ascii=True) + "\n" for line in lines).encode("ascii")
        descriptor = os.open(journal, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o640)
        try:
            end = os.lseek(descriptor, 0, os.SEEK_END)
            if end and os.pread(descriptor, 1, end - 1) != b"\n":
                data = b"\n" + data  # a full disk cut the last line short
            os.write(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

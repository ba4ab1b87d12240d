"""One run at a time: the lock of a host, and the journal of what the runs did."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from . import files, releases
from .manifest import app_name

LOCK = "/var/lib/slipway/lock.json"
JOURNAL = "/var/log/slipway/journal.jsonl"


def boot_id() -> str:
    """What tells this boot of the host from the next."""
    data = files.read("/proc/sys/kernel/random/boot_id")
    return data.decode().strip() if data else ""


def take(owner: Mapping[str, Any], roots: Sequence[str], gone: str = "", path: str = LOCK) -> dict[str, Any] | None:
    """Take the lock for `owner` (`token`, `who`, `controller`, `pid`, `purpose`); None, or the lock of who has it.

    A lock of an earlier boot is void: whoever had it is no longer at work on this host. So is the one with the token
    `gone`, whose process the caller knows to be dead. The journal gets a line for it.
    """
    own = {
        **owner,
        "since": releases.now(),
        "started": time.time(),
        "boot": boot_id(),
        "apps": {app_name(root): releases.current(root) for root in roots},
    }
    os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
    held = files.read_json(path)
    if held and held["token"] != own["token"]:
        if held["boot"] == own["boot"] and held["token"] != gone:
            return held
        why = "its process is gone" if held["boot"] == own["boot"] else "the host was restarted meanwhile"
        note(
            held,
            "interrupted",
            why,
            {app: releases.current(_root(app, roots)) for app in held["apps"] if _root(app, roots)},
        )
        files.remove_file(path)
    # Complete before it is there: a link to a finished file either succeeds or finds another one's lock.
    draft = f"{path}.{os.getpid()}"
    files.write_json(draft, own)
    try:
        os.link(draft, path)
    except FileExistsError:
        held = files.read_json(path)
        return None if held and held["token"] == own["token"] else held
    finally:
        os.unlink(draft)
    return None


def _root(app: str, roots: Sequence[str]) -> str:
    """The root of an app; empty when the call is not about it."""
    return next((root for root in roots if os.path.basename(root) == app), "")


def free(token: str, outcome: str, reason: str, wanted: Mapping[str, str | None], path: str = LOCK) -> bool:
    """Give the lock back and write the run into the journal; False when it was not this run's.

    `wanted` are the releases the run was about, by app: one that is not current now was not reached.
    """
    held = files.read_json(path)
    if not held or held["token"] != token:
        return False
    note(held, outcome, reason, wanted)
    files.remove_file(path)
    return True


def note(
    held: Mapping[str, Any], outcome: str, reason: str, wanted: Mapping[str, str | None], journal: str = JOURNAL
) -> None:
    """Add a line for every app that a run changed, or meant to."""
    lines = []
    for app, before in held["apps"].items():
        after = wanted.get(app, before)
        if after != before:
            line = {
                "id": held["token"],
                "purpose": held["purpose"],
                "app": app,
                "from": before,
                "to": after,
                "who": held["who"],
                "controller": held["controller"],
                "start": held["since"],
                "seconds": round(time.time() - held["started"], 1),
                "outcome": outcome,
                "reason": reason,
            }
            lines.append(json.dumps(line, ensure_ascii=True) + "\n")
    if lines:
        os.makedirs(os.path.dirname(journal), 0o755, exist_ok=True)
        # One write of whole lines to a file opened for appending: lines never mix.
        with open(os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640), "a", encoding="ascii") as out:
            out.write("".join(lines))
            out.flush()
            os.fsync(out.fileno())

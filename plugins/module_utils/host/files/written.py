"""What the kit has written on this host, by its hashes: so another user's change to a file of the kit is seen, and kept.

A file without a memory (written by a kit that remembered nothing) counts as the kit's own.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NAME = "placed.json"
"""Beside the undo journals, in /var/lib/slipway: path to fingerprint."""
KEPT = "changed"
"""The folder beside it for what cannot stay where it was."""

EVERYTHING = ("sites-enabled", "logrotate.d", "apt.conf.d", "init.d", "cron.d", "rc.d")
"""Folders of which a daemon reads every file, or complains of each name that it does not know."""
SUFFIXES = (".conf", ".nft", ".service", ".socket", ".timer")
"""Endings by which daemons choose what they read; with another one behind it, a file is left alone."""


def fingerprint(kind: str, content: bytes | str) -> str:
    """What is remembered of a file's content or of a link's target."""
    data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape")
    return f"{kind}:{hashlib.sha256(data).hexdigest()}"


def described(before: Mapping[str, Any] | None) -> str | None:
    """The fingerprint of what `paths.snapshot` found; None when nothing was there."""
    if before is None:
        return None
    return fingerprint(before["type"], before.get("data", before.get("target", "")))


@dataclass
class Memory:
    """The fingerprints of one host; `home` is the folder where they are kept."""

    home: str
    known: dict[str, str] = field(default_factory=dict)
    stored: dict[str, str] = field(default_factory=dict)
    """As they are on the disk."""

    @classmethod
    def read(cls, home: str) -> Memory:
        """The memory in ``home``; one that cannot be read is empty, and every file counts as ours."""
        try:
            with open(os.path.join(home, NAME), encoding="utf-8") as handle:
                recorded = json.load(handle)["files"]
        except (OSError, ValueError, KeyError, TypeError):
            recorded = {}
        known = {str(path): str(value) for path, value in recorded.items()} if isinstance(recorded, dict) else {}
        return cls(home, known, dict(known))

    def text(self) -> bytes | None:
        """What is to be written; None when nothing has changed since it was read."""
        if self.known == self.stored:
            return None
        return (json.dumps({"schema": 1, "files": self.known}, indent=0, sort_keys=True) + "\n").encode("utf-8")

    @property
    def path(self) -> str:
        """Where it is kept."""
        return os.path.join(self.home, NAME)

    def set(self, path: str, value: str | None) -> None:
        """Remember what is at ``path`` now; None: nothing that the kit wrote."""
        if value is None:
            self.known.pop(path, None)
        else:
            self.known[path] = value

    def changed(self, path: str, now: str | None) -> bool:
        """Say whether another user or program has changed or removed what was written to ``path``."""
        return path in self.known and self.known[path] != now

    def aside(self, path: str, data: bytes) -> str:
        """Return the name under which a change to ``path`` is kept: beside it, where no daemon reads it there."""
        folder, name = os.path.split(path)
        beside = name.endswith(SUFFIXES) and os.path.basename(folder) not in EVERYTHING
        place = folder if beside else os.path.join(self.home, KEPT, folder.strip("/"))
        first = os.path.join(place, f"{name}.changed-{time.strftime('%Y-%m-%d')}")
        number, candidate = 1, first
        while not _free(candidate, data):
            number += 1
            candidate = f"{first}-{number}"
        return candidate


def _free(path: str, data: bytes) -> bool:
    """Whether nothing is at ``path``, or this very content: a run that is made again keeps it once."""
    try:
        with open(path, "rb") as handle:
            return handle.read(len(data) + 1) == data
    except FileNotFoundError:
        return True
    except OSError:
        return False


def drifted(root: str, home: str) -> list[str]:
    """The paths below ``root`` that another user or program has changed since the kit wrote them."""
    paths = []
    for path, value in sorted(Memory.read(home).known.items()):
        full = path if root == "/" else os.path.join(root, path.lstrip("/"))
        try:
            if os.path.islink(full):
                now = fingerprint("link", os.readlink(full))
            else:
                with open(full, "rb") as handle:
                    now = fingerprint("file", handle.read())
        except OSError:
            now = ""
        if now != value:
            paths.append(path)
    return paths

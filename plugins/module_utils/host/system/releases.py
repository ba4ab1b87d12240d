"""What is known about an app's releases on this host: which is current, which are bad, which was before."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from typing import Any

from ...contract.errors import HostError
from ...contract.manifest import Manifest, read_manifest, release_path
from ...contract.names import RELEASE
from ..base import atomic

TIME = "%Y-%m-%dT%H:%M:%SZ"
"""How a time is recorded, in UTC."""


def current(root: str) -> str | None:
    """The id that the link `current` leads to, whether that release is there or not; None without a link.

    Raises:
        HostError: there is something else in the link's place.
    """
    link = os.path.join(root, "current")
    try:
        folder, release_id = os.path.split(os.readlink(link))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HostError(f"{link} is not a symbolic link to a release: move it away") from error
    if folder not in ("releases", os.path.join(root, "releases")) or not RELEASE.fullmatch(release_id):
        raise HostError(f"{link} leads to {os.path.join(folder, release_id)}, not to releases/<id>: remove the link")
    return release_id


def make_current(root: str, release_id: str | None) -> None:
    """The switch: from one instant to the next, clients get this release (or none)."""
    link = os.path.join(root, "current")
    if release_id is None:
        atomic.remove_file(link)
    else:
        atomic.point(link, os.path.join("releases", release_id))


def manifest_or_none(root: str, release_id: str) -> Manifest | None:
    """The manifest of a release, None when it is gone or cannot be used."""
    try:
        return read_manifest(root, release_id)
    except (HostError, FileNotFoundError):
        return None


def now() -> str:
    """The time, in UTC, as the records here carry it."""
    return time.strftime(TIME, time.gmtime())


def mark_bad(root: str, release_id: str, reason: str) -> None:
    """Record beside the manifest that a release failed on this host. A full disk does not stop the way back."""
    with contextlib.suppress(OSError):
        atomic.write_json(os.path.join(release_path(root, release_id), "bad.json"), {"reason": reason, "when": now()})


def mark_good(root: str, release_id: str) -> bool:
    """Take the mark back; say whether there was one."""
    return atomic.remove_file(os.path.join(release_path(root, release_id), "bad.json"))


def is_bad(root: str, release_id: str) -> bool:
    """Whether the release carries the mark."""
    return os.path.exists(os.path.join(release_path(root, release_id), "bad.json"))


def why_bad(root: str, release_id: str) -> str:
    """Return the reason of the mark; empty without one."""
    return str((atomic.read_json(os.path.join(release_path(root, release_id), "bad.json")) or {}).get("reason", ""))


class Activation:
    """The record of a release's last activation on this host: `activated.json` beside its manifest.

    Written before the switch (`verified` false), and again after a client's request was answered well. So a run that was
    killed in between can be finished, or go back to `previous`.
    """

    def __init__(self, root: str, release_id: str) -> None:
        self._path = os.path.join(release_path(root, release_id), "activated.json")
        data = atomic.read_json(self._path) or {}
        before = str(data.get("previous") or "")
        self.previous = before if RELEASE.fullmatch(before) else None
        self.when = str(data.get("when", ""))
        self.verified = bool(data.get("verified"))

    def write(self, previous: str | None, verified: bool) -> None:
        """Record an activation, replacing the last one."""
        self.previous, self.when, self.verified = previous, now(), verified
        atomic.write_json(self._path, {"previous": previous, "when": self.when, "verified": verified})

    def withdraw(self) -> None:
        """Forget it: the switch was taken back."""
        with contextlib.suppress(OSError):
            atomic.remove_file(self._path)


@dataclass(frozen=True)
class Marks:
    """What was known about a release before a switch to it: the content of `activated.json` and `bad.json`, or None."""

    activated: dict[str, Any] | None = None
    bad: dict[str, Any] | None = None

    @classmethod
    def read(cls, root: str, release_id: str) -> Marks:
        """Read them from beside the manifest."""
        folder = release_path(root, release_id)
        return cls(*(atomic.read_json(os.path.join(folder, name)) for name in ("activated.json", "bad.json")))

    def put_back(self, root: str, release_id: str) -> None:
        """Undo what the switch recorded. A full disk does not stop the way back, and nor does a record that was damaged."""
        folder = release_path(root, release_id)
        with contextlib.suppress(OSError, KeyError, ValueError):
            activated = os.path.join(folder, "activated.json")
            if self.activated is None:
                atomic.remove_file(activated)
            else:
                import calendar  # few calls need it, and all import this module

                atomic.write_json(activated, self.activated)
                then = calendar.timegm(time.strptime(str(self.activated["when"]), TIME))
                os.utime(activated, (then, then))  # releases are kept by the age of this file
            if self.bad is not None:
                atomic.write_json(os.path.join(folder, "bad.json"), self.bad)

"""What is known about an app's releases on this host: which is current, which are bad, which was before.

The mark of a bad release is in its folder, and outlives it in the app's record of marks.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ...contract.errors import HostError
from ...contract.manifest import Manifest, read_manifest, release_path
from ...contract.names import RELEASE
from ..base import atomic

TIME = "%Y-%m-%dT%H:%M:%SZ"
"""How a time is recorded, in UTC."""
MARK = "bad.json"
"""The mark in the folder of a bad release."""
RECORD = "bad-releases.json"
"""The marks of removed bad releases, in the app's folder, which is root's."""
RUNS = 10
"""Runs that the record of an activation names: the last ones that made the release current."""
RECORDED = 100
"""Marks that the record holds; older ones go."""


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


@dataclass(frozen=True)
class Mark:
    """Why a release is bad, and since when; empty texts where the file does not tell."""

    reason: str
    when: str

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Mark:
        """Read it from a JSON object."""
        return cls(str(data.get("reason", "")), str(data.get("when", "")))


def mark_bad(root: str, release_id: str, reason: str) -> None:
    """Record beside the manifest that a release failed on this host. A full disk does not stop the way back."""
    with contextlib.suppress(OSError):
        atomic.write_json(_mark_path(root, release_id), asdict(Mark(reason, now())))


def mark_good(root: str, release_id: str) -> bool:
    """Take the mark back, in the record, too; say whether there was one.

    Raises:
        OSError: the record cannot be written, and the release is still bad.
    """
    recorded = _recorded(root)
    if was_recorded := recorded.pop(release_id, None) is not None:
        _write_record(root, recorded)
    return atomic.remove_file(_mark_path(root, release_id)) or was_recorded


def mark_of(root: str, release_id: str) -> Mark | None:
    """Return a release's mark, also if its folder is gone; None for a good or unknown release."""
    return _mark_in_folder(root, release_id) or _recorded(root).get(release_id)


def is_bad(root: str, release_id: str) -> bool:
    """Whether the release carries the mark."""
    return mark_of(root, release_id) is not None


def why_bad(root: str, release_id: str) -> str:
    """Return the reason of the mark; empty without one."""
    mark = mark_of(root, release_id)
    return mark.reason if mark else ""


def bad(root: str) -> dict[str, Mark]:
    """Return the marks of all bad releases of an app, removed ones too, by release id; the newest first."""
    on_disk = filter(RELEASE.fullmatch, atomic.directories(os.path.join(root, "releases")))
    marks = {name: mark for name in on_disk if (mark := _mark_in_folder(root, name))}
    return _newest_first({**_recorded(root), **marks})


def keep_marks(root: str, release_ids: Iterable[str]) -> None:
    """Record the marks of releases whose folders are about to be removed. Good releases are left out.

    Before the removal, so that a kill in between loses no mark.

    Raises:
        OSError: the record cannot be written.
    """
    before = _recorded(root)
    marks = {name: mark for name in release_ids if (mark := _mark_in_folder(root, name))}
    if marks.items() - before.items():
        _write_record(root, {**before, **marks})


def _mark_path(root: str, release_id: str) -> str:
    return os.path.join(release_path(root, release_id), MARK)


def _mark_in_folder(root: str, release_id: str) -> Mark | None:
    """The mark in a release's folder. A damaged one counts, too."""
    path = _mark_path(root, release_id)
    return Mark.of(atomic.read_json(path) or {}) if os.path.exists(path) else None


def _recorded(root: str) -> dict[str, Mark]:
    """The record's marks by release id; none where it is missing or damaged."""
    data = atomic.read_json(os.path.join(root, RECORD)) or {}
    return {name: Mark.of(one) for name, one in data.items() if RELEASE.fullmatch(name) and isinstance(one, dict)}


def _write_record(root: str, marks: Mapping[str, Mark]) -> None:
    """Replace the record; an empty one is no file.

    Raises:
        OSError: it cannot be written.
    """
    path = os.path.join(root, RECORD)
    newest = dict(list(_newest_first(marks).items())[:RECORDED])
    if newest:
        # Other users may look into the app's folder, and reasons quote what the app says.
        atomic.write_json(path, {name: asdict(mark) for name, mark in newest.items()}, mode=0o600)
    else:
        atomic.remove_file(path)


def _newest_first(marks: Mapping[str, Mark]) -> dict[str, Mark]:
    return dict(sorted(marks.items(), key=lambda one: (one[1].when, one[0]), reverse=True))


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
        runs = data.get("runs")
        self.runs = list(map(str, runs)) if isinstance(runs, list) else []

    def write(self, previous: str | None, verified: bool, run: str) -> None:
        """Record an activation by a run (its token; empty for none), replacing the last one."""
        self.previous, self.when, self.verified = previous, now(), verified
        self.runs = [*(one for one in self.runs if one != run), *filter(None, [run])][-RUNS:]
        about = {"previous": previous, "when": self.when, "verified": verified, "runs": self.runs}
        atomic.write_json(self._path, about)

    def withdraw(self) -> None:
        """Forget it: the switch was taken back."""
        with contextlib.suppress(OSError):
            atomic.remove_file(self._path)


@dataclass(frozen=True)
class Marks:
    """What was known about a release before a switch to it: the content of `activated.json`, and its mark; or None."""

    activated: dict[str, Any] | None = None
    bad: dict[str, Any] | None = None

    @classmethod
    def read(cls, root: str, release_id: str) -> Marks:
        """Read them from the host."""
        mark = mark_of(root, release_id)
        activated = atomic.read_json(os.path.join(release_path(root, release_id), "activated.json"))
        return cls(activated, asdict(mark) if mark else None)

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
                atomic.write_json(os.path.join(folder, MARK), self.bad)

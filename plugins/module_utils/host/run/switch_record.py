"""The record of a run's switch on this host. The switch is undone from it if another host fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...contract import names
from ...contract.manifest import Manifest
from ..base import atomic
from ..system import lock, releases

PATH = names.SWITCH
#: The name under which nginx's previous files are kept while a host switches.
KEPT = "sites"
#: Their name from then on, until the whole run has succeeded: another host may not have switched.
BEFORE = "sites-before"


@dataclass(frozen=True)
class Moved:
    """An app to which the switch gives another release."""

    root: str
    release_id: str
    before: str | None
    """The release that was current."""
    marks_bad: bool
    """Whether the switch marks `before` bad."""
    earlier: releases.Marks
    """What was known about the release before."""


def move(manifest: Manifest, leaving: str) -> Moved | None:
    """Return where a switch to a release begins; None if it is current and verified.

    A switch that an earlier run did not finish counts as this one's.

    Args:
        manifest: the release's.
        leaving: why the release that is left is marked bad; empty if it is not.
    """
    root, release_id = manifest.root, manifest.release_id
    record, before = releases.Activation(root, release_id), releases.current(root)
    earlier = releases.Marks.read(root, release_id)
    if before == release_id:
        if record.verified:
            return None
        before, earlier = record.previous, replace(earlier, activated=None)
    # A mark with the same reason is of a rollback that died.
    marks_bad = bool(before and leaving) and releases.why_bad(root, str(before)) in ("", leaving)
    return Moved(root, release_id, before, marks_bad, earlier)


def write(moved: Sequence[Moved], token: str) -> None:
    """Record the apps of a switch, before anything of it is done.

    Args:
        moved: the apps.
        token: the run's.

    Raises:
        OSError: it cannot be written.
    """
    apps = [
        {
            "root": one.root,
            "release": one.release_id,
            "before": one.before,
            "marks_bad": one.marks_bad,
            "activated": one.earlier.activated,
            "bad": one.earlier.bad,
        }
        for one in moved
    ]
    atomic.write_json(PATH, {"token": token, "apps": apps})


def read(token: str) -> list[Moved] | None:
    """Return the apps of a run's switch; None if it has not begun on this host, or another run has the host now."""
    record = atomic.read_json(PATH)
    if record is None or record["token"] != token or lock.token() not in ("", token):
        return None
    return [
        Moved(
            one["root"],
            one["release"],
            one["before"],
            one["marks_bad"],
            releases.Marks(one["activated"], one["bad"]),
        )
        for one in record["apps"]
    ]


def forget() -> None:
    """Remove the record: there is nothing to undo any more."""
    atomic.remove_file(PATH)

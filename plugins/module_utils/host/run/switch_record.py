"""The record of a run's switch on this host. The switch is undone from it if another host fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...contract import names
from ..base import atomic
from ..system import lock, releases

PATH = names.SWITCH


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


def write(moved: Sequence[Moved]) -> None:
    """Record the apps of a switch, before its first step that clients notice. It belongs to the run that has the lock.

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
    atomic.write_json(PATH, {"token": lock.token(), "apps": apps})


def read() -> list[Moved] | None:
    """Return the apps that this run has switched; None if it has not come to its switch on this host."""
    record = atomic.read_json(PATH)
    if record is None or record["token"] != lock.token():
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

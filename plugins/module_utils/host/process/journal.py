"""Reads systemd's journal."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from ...contract.manifest import HostError
from .running import ask, last


def lines(units: Sequence[str]) -> list[str]:
    """The last lines of some units.

    By fields, not by --unit: what a process said that could not even be set up (a folder of its sandbox is missing)
    is the unit's for that only if it still was there when journald read it.
    """
    which = []
    for name in units:
        which += ["+", "_UID=0", f"UNIT={name}", "+", f"_SYSTEMD_UNIT={name}"]
    with contextlib.suppress(OSError, HostError):
        ask(["journalctl", "--sync"], 20)
        # Of any length: whoever may write into the journal may write a line of megabytes.
        answer = ask(["journalctl", "--quiet", "--no-pager", "--output=cat", "--lines=8", *which[1:]], 20)
        return last(answer.stdout, 8).splitlines()
    return []

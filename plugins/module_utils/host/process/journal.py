"""Reads systemd's journal."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from ...contract.errors import HostError
from .running import ask, last


def lines(units: Sequence[str]) -> list[str]:
    """The last lines of some units.

    By fields, not by --unit. A process may fail before it is set up (a folder of its sandbox is missing). Its lines are
    then the unit's only if the unit still existed when journald read them.
    """
    which = []
    for name in units:
        which += ["+", "_UID=0", f"UNIT={name}", "+", f"_SYSTEMD_UNIT={name}"]
    with contextlib.suppress(OSError, HostError):
        ask(["journalctl", "--sync"], 20)
        # Of any length: a program that may write into the journal may write a line of megabytes.
        answer = ask(["journalctl", "--quiet", "--no-pager", "--output=cat", "--lines=8", *which[1:]], 20)
        return last(answer.stdout, 8).splitlines()
    return []

"""Runs commands below a process of the kit that ends all of them, on hosts without systemd."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Callable, Sequence

from .cells import Cell, Outcome, Sink
from .running import Running


def run(
    command: Sequence[str],
    cell: Cell,
    deadline: float,
    stdin: bytes | int,
    watch: Callable[[], str] | None,
    sink: Sink | None,
) -> Outcome:
    """Run a command below a process that watches over it; see `confine.run`."""
    return _Tree(command, cell).outcome(deadline, stdin, watch, sink)


def watched(command: Sequence[str], cell: Cell, control: int) -> list[str]:
    """A command in its cell, below the process that ends all of it when the other end of the pipe `control` is closed."""
    from ..base import reaper

    # A process that is given this module's own search path: it may be a zip of Ansible's.
    code = f"import sys; sys.path[:0] = {sys.path!r}; from {reaper.__name__} import main; main()"
    return [sys.executable, "-I", "-S", "-c", code, str(control), *_as(cell), *command]


class _Tree(Running):
    """A tree of processes below one that watches over it."""

    def __init__(self, command: Sequence[str], cell: Cell) -> None:
        theirs, self._ours = os.pipe()
        self._theirs = theirs
        super().__init__(watched(command, cell, theirs), cell.unit, [theirs])

    def outcome(
        self, deadline: float, stdin: bytes | int, watch: Callable[[], str] | None, sink: Sink | None = None
    ) -> Outcome:
        try:
            return super().outcome(deadline, stdin, watch, sink)
        finally:
            self._let_go()
            os.close(self._theirs)

    def end(self, process: subprocess.Popen[bytes]) -> None:
        self._let_go()

    def _let_go(self) -> None:
        if self._ours >= 0:
            os.close(self._ours)
            self._ours = -1


def _as(cell: Cell) -> list[str]:
    """The words in front of a command that give it its user and its limits; only root can give another user."""
    limits = {**cell.limits, **cell.apart}
    words = ["prlimit", *(f"--{name}={number}" for name, number in limits.items()), "--"] if limits else []
    if pwd.getpwnam(cell.user).pw_uid != os.geteuid():
        user = [f"--reuid={cell.user}", f"--regid={cell.group}", "--init-groups", "--no-new-privs"]
        words += ["setpriv", *user, "--"]
    return words

"""Puts a set of files on trial: without a word in time, it is taken back."""

from __future__ import annotations

import contextlib
import os
import time

from .commands import run, validated
from .journal import UNDO, Journal, kept_path, locked
from .paths import PUT_BACK, Refused, RolledBack


def prove(name: str, commands: list[list[str]], undo: list[list[str]], seconds: float, folder: str = UNDO) -> bool:
    """Run ``commands`` for the set that was kept under ``name``; say whether the set is now on trial.

    It is, until `forget` names it; after ``seconds`` without that, a process left behind here goes back. It is there
    before the first command is run, which may be the one that cuts the connection.
    """
    kept = kept_path(folder, name)
    if not os.path.exists(kept):
        return False
    watch(kept, undo, seconds, folder)
    try:
        for command in commands:
            validated(command, [])
    except Refused as exc:
        go_back(kept, undo, folder)
        raise RolledBack(f"{exc}\n{PUT_BACK}") from exc
    return True


def go_back(kept: str, undo: list[list[str]], folder: str) -> None:
    """Put back what is kept, if it still is, and have the daemons know."""
    with locked(folder):
        if not os.path.exists(kept):
            return
        Journal.read(kept).restore()
    for command in undo:
        with contextlib.suppress(Refused):
            run(command)


def watch(kept: str, undo: list[list[str]], seconds: float, folder: str) -> None:
    """Leave a process behind that goes back after ``seconds``, unless nothing is kept by then."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    # Twice and with a separate session: no process waits for it, and no terminal or connection takes it along.
    os.setsid()
    if os.fork():
        os._exit(0)
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        os.closerange(3, 1024)  # Ansible waits for the end of the pipes
        deadline = time.monotonic() + seconds
        while os.path.exists(kept) and time.monotonic() < deadline:
            time.sleep(0.2)
        go_back(kept, undo, folder)
    finally:
        os._exit(0)

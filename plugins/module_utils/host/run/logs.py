"""What an instance's log says: the lines worth showing, and the exceptions in it."""

from __future__ import annotations

import fcntl
import itertools
import os
import re
import termios
import time
from collections.abc import Callable, Sequence

from ...contract.manifest import Program
from ..base import atomic
from ..process.units import wait_until

#: Lines of the instance's log that a refusal shows.
LOG_LINES = 20

_RAISED = re.compile(r"[A-Za-z_][\w.]*(?:: .*)?")
"""The last line of a traceback: the exception's name, and what it says."""

_REMARK = re.compile(r"\[WARNING\] slipway: (.*)")
"""A line in which the kit's workers report something to the operator."""
REMARKS, REMARK_LENGTH = 5, 300
"""The most remarks, and the longest: the app writes into the same log."""

_STAMP = re.compile(r"^(?:\[[^\]]*\d[^\]]*\] ?|\d{4}-\d\d-\d\d[T ][\d:.,]+(?:Z|[+-]\d\d:?\d\d)? ?)+")
"""What differs at the beginning of equal lines: times, and process ids."""

_CAUSED = "The above exception was the direct cause of the following exception"


def last_words(program: Program, start: int) -> list[str]:
    """The lines that tell most of those that a program has written since its log was `start` bytes long."""
    if program.log_pipe:
        wait_until(lambda: not _unread(program.log_pipe), 1.0)
        _settle(program.log)
    return telling(united(atomic.tail(program.log, 500, start)))


def _settle(log: str) -> None:
    """Wait until what was read from the pipe is in the file: on a busy host its reader may have to wait for a processor."""
    until, size = time.monotonic() + 1.0, -1
    while size != (size := atomic.size(log)) and time.monotonic() < until:
        time.sleep(0.2)


def _unread(pipe: str) -> bool:
    """Whether something is in the pipe of a log, on its way there."""
    try:
        descriptor = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    with os.fdopen(descriptor, "rb", buffering=0):
        return fcntl.ioctl(descriptor, termios.FIONREAD, b"\0" * 4) != b"\0" * 4


def remarks(program: Program, start: int, hide: Callable[[str], str]) -> list[str]:
    """What the kit's workers have reported since a program's log was `start` bytes long, each thing once.

    `hide` masks secrets, before a line is cut: a part of a secret could not be recognised any more.
    """
    matches = map(_REMARK.search, atomic.tail(program.log, 500, start))
    return list(dict.fromkeys(hide(match[1])[:REMARK_LENGTH] for match in matches if match))[:REMARKS]


def united(lines: Sequence[str]) -> list[str]:
    """The lines, where those that repeat are one with their number: they would push out what tells more."""
    runs = (list(run) for _, run in itertools.groupby(lines, lambda line: _STAMP.sub("", line)))
    return [f"{run[-1]} ({len(run)} times)" if len(run) > 1 and run[-1] else run[-1] for run in runs]


def telling(lines: list[str]) -> list[str]:
    """The lines of a log that tell most: the last ones, and before them the app's last exception if they lack it.

    A master whose workers fail to boot may write its own long traceback after theirs.
    """
    end = len(lines) - LOG_LINES
    starts = [number for number, line in enumerate(lines) if "Exception in worker process" in line]
    if not starts or starts[-1] >= end:
        return lines[-LOG_LINES:]
    first = starts[-1]
    after = next((n for n in range(first + 1, len(lines)) if lines[n].startswith("[")), len(lines))
    return [*lines[first:after][-LOG_LINES * 2 // 3 :], "...", *lines[max(after, len(lines) - LOG_LINES // 3) :]]


def exceptions(lines: Sequence[str]) -> list[str]:
    """The last line of each traceback, in order; of exceptions that caused each other, each has one, with what caused it."""
    raised: list[str] = []
    inside, caused = False, False
    for line in lines:
        if line.startswith("Traceback (most recent call last)"):
            inside = True
        elif line.startswith(_CAUSED):
            caused = bool(raised)
        elif inside and not line.startswith((" ", "\t", "+", "|")):
            inside = False
            if _RAISED.fullmatch(line):
                raised.append(f"{line}, because of {raised[-1]}" if caused else line)
            caused = False
    return raised


def repeated(lines: Sequence[str], times: int) -> str:
    """The exception that ends the log's last traceback, when it is there `times` times at least; else an empty text."""
    raised = exceptions(lines)
    return raised[-1] if raised and raised.count(raised[-1]) >= times else ""

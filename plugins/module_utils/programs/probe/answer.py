"""The probe's answer: one line on the real standard output."""

from __future__ import annotations

import _thread
import json
import os
import sys
import time
from typing import Any, NoReturn

from .masking import masked

sleep, clock, leave = time.sleep, time.monotonic, os._exit
"""Taken before the app can replace them, as gevent does."""


class Answer:
    """The real stdout, and the one line that is written to it."""

    def __init__(self) -> None:
        sys.stdout.flush()
        self._out = os.dup(1)  # not inherited by programs that the app starts
        os.dup2(2, 1)
        self._process = os.getpid()
        self._once = _thread.allocate_lock()

    def give(self, report: dict[str, Any]) -> NoReturn:
        """Write REPORT and end the process at once: no exit handler or thread of the app holds us up."""
        if os.getpid() != self._process:
            leave(0)  # a child that the app forked came back through its import
        if not self._once.acquire(blocking=False):
            while True:  # the other thread is about to end the process
                sleep(1)
        for key in ("message", "hint", "detail"):
            if key in report:
                report[key] = masked(report[key])
        line = json.dumps(report).encode("ascii") + b"\n"
        while line:
            line = line[os.write(self._out, line) :]
        leave(0)

"""Has systemd judge the schedules of timers that only it reads."""

from __future__ import annotations

import datetime
import os
import re
import subprocess
from collections.abc import Sequence
from itertools import pairwise

from ...contract.manifest import Timer
from .errors import BuildError

LOOKS = 20
"""Moments of a schedule that are compared with the timer's timeout."""


def check(timers: Sequence[Timer]) -> None:
    """Refuse schedules that systemd does not understand, that never come, or that are faster than their timer may take.

    Raises:
        BuildError: with the key, and what systemd says.
    """
    for timer in timers:
        if timer.moments is None:
            _check(timer)


def _check(timer: Timer) -> None:
    result = subprocess.run(
        ["systemd-analyze", "calendar", f"--iterations={LOOKS}", "--", timer.schedule],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
    )
    shown = f"timers.{timer.name}.schedule is {timer.schedule!r}"
    if result.returncode:
        raise BuildError(f"{shown}, which systemd does not understand: {' '.join(result.stderr.split())[:300]}")
    texts = re.findall(
        r"(?m)^[ \t]*(?:Next elapse|Iteration #\d+|Iter\. #\d+): \w+ (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)", result.stdout
    )
    moments = [datetime.datetime.strptime(text, "%Y-%m-%d %H:%M:%S") for text in texts]  # all in UTC
    if not moments:
        raise BuildError(f"{shown}, which never comes")
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(moments)]
    if gaps and min(gaps) < timer.timeout:
        raise BuildError(
            f"timers.{timer.name}.timeout is {timer.timeout} s, but its schedule has a run every {min(gaps):.0f} s at times; lower it"
        )

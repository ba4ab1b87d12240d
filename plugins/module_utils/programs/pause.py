"""Wait before a process that crashes again and again starts: 1, 2, 4, … up to 60 seconds.

    python3 pause.py FILE

systemd runs it as root before each start (`ExecStartPre`). systemd's own growing pauses (`RestartSteps`) came with version 254,
and they never shrink again. FILE holds when the last start was, and how many starts followed each other quickly.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time

QUICK = 60.0
"""Seconds beyond its pause that a process must have run for the next pause to be the shortest again."""
LONGEST = 60


def due(path: str, now: float) -> int:
    """The seconds to wait, and the record of this start for the next one."""
    began, quick = -QUICK, 0
    with contextlib.suppress(OSError, ValueError), open(path, encoding="ascii") as handle:
        first, second = handle.read(100).split()
        began, quick = float(first), int(second)
    quick = quick + 1 if 0 < now - began < QUICK else 0
    pause = min(LONGEST, 2 ** min(quick, 6)) if quick else 0
    with contextlib.suppress(OSError):
        descriptor = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as handle:
            handle.write(f"{now + pause} {quick}")
        os.rename(f"{path}.new", path)
    return pause


def main() -> None:
    """Run the command line of this process."""
    [path] = sys.argv[1:]
    time.sleep(due(path, time.clock_gettime(time.CLOCK_BOOTTIME)))


if __name__ == "__main__":
    main()

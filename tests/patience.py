"""How long tests wait: the slower the machine, the longer.

`tests.run` measures once how slow the machine is, and passes it on in SLIPWAY_SLOWNESS. The tests read it, and so do the
inventories of scenarios whose apps have short timeouts. `python -m tests.patience` prints it for a run by hand.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

VARIABLE = "SLIPWAY_SLOWNESS"
WORK = "import hashlib; [hashlib.sha256(bytes(1 << 16)).digest() for _ in range(1500)]; sum(i * i for i in range(1_000_000))"
"""A process that starts and computes, as most of what tests wait for."""
REFERENCE = 0.40
"""Seconds that it takes where each core has one of them and nothing else to do, on two cores of a rented machine."""
MOST = 5.0
"""No limit grows by more: beyond that a test proves nothing."""


def measure() -> float:
    """How many times longer than on the reference machine work takes here and now, from 1 to `MOST`."""

    def once() -> float:
        begun = time.monotonic()
        work = [subprocess.Popen([sys.executable, "-I", "-S", "-c", WORK]) for _ in range(os.cpu_count() or 1)]
        for process in work:
            process.wait()
        return time.monotonic() - begun

    middle = sorted(once() for _ in range(3))[1]
    return round(min(max(middle / REFERENCE, 1.0), MOST), 1)


def slowness() -> float:
    """What `measure` said at the beginning of the run; 1 in a run by hand that did not ask."""
    return float(os.environ.get(VARIABLE) or 1)


def patience(seconds: float) -> float:
    """The limit for something that may take so long on the reference machine.

    A machine that has become busier since the measurement shows it by its load: the processes that want each core.
    """
    return seconds * min(max(slowness(), os.getloadavg()[0] / (os.cpu_count() or 1)), MOST)


if __name__ == "__main__":
    print(measure())

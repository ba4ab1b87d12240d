"""The user's own processes: whether they stay up, and how they end.

Such a process answers no request. So it is good when its main process has run for its soak without a restart.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from ...contract.manifest import Manifest, Program
from ..build import lacking
from ..process.managers import Manager
from ..process.units import KILL_MARGIN, wait_until
from .health import NotHealthy, age
from .logs import last_words
from .verdicts import Fault

#: Seconds between two looks at a process.
LOOK = 0.2
#: Seconds that a step waits for processes that were asked to end. Most end at once. The manager watches those with a long task.
PATIENCE = 3.0


def steady(manager: Manager, program: Program, current: bool) -> bool:
    """Whether a process is up, and has stayed up for its soak; that of a current release has proved that before."""
    process = manager.process(program.unit)
    return process.alive and process.ready and process.pid > 0 and (current or age(process.pid) >= program.soak)


def ailing(manager: Manager, manifest: Manifest) -> str:
    """Which process that should run beside another release's is not up any more; empty where all are."""
    for program in manifest.processes:
        if program.overlap and not steady(manager, program, current=False):
            return f"the process {program.name} did not stay up ({manager.process(program.unit).detail})"
    return ""


def soak(manager: Manager, manifest: Manifest, program: Program, begin: int) -> None:
    """Start a process unless it runs, and wait until it has stayed up for its soak.

    One that is still ending, since it was asked to, ends first. `begin` is where in its log this start begins, in bytes.

    Raises:
        NotHealthy: with reason, hint, and its last log lines.
    """
    wait_until(lambda: not manager.process(program.unit).ending, program.stop + KILL_MARGIN)
    if not manager.process(program.unit).alive:
        manager.start(program.unit)
    until, seen = time.monotonic() + manifest.timeouts.boot + program.soak, 0
    while True:
        process = manager.process(program.unit)
        if not process.alive or (seen and process.pid != seen):
            again = " and was started again" if process.alive else ""
            raise _refusal(manager, program, begin, f"it ended{again} ({process.detail})")
        seen = process.pid if process.ready else 0
        if seen and age(seen) >= program.soak:
            return
        if time.monotonic() > until:
            raise _refusal(
                manager, program, begin, f"it did not start within {manifest.timeouts.boot:g} s ({process.detail})"
            )
        time.sleep(LOOK)


def _refusal(manager: Manager, program: Program, begin: int, what: str) -> NotHealthy:
    """A process that did not stay up, with its last words."""
    hint = "a process must keep running: see its last log lines for why it ended"
    refusal = NotHealthy(Fault(f"the process {program.name} did not stay up for {program.soak:g} s: {what}", hint))
    refusal.log, refusal.source = last_words(program, begin), program.log
    refusal.hint = lacking.absent("\n".join(refusal.log)) or hint
    if not refusal.log:
        refusal.log, refusal.source = manager.words(program.unit), f"what {manager.name} says about {program.unit}"
    return refusal


def end(manager: Manager, units: Sequence[str]) -> list[str]:
    """Ask processes to end permanently, and forget those that have ended soon; returns the units of the others.

    The manager kills them at their deadline. The next run forgets them.
    """
    if not units:
        return []
    manager.disable(units)
    manager.let_end(units)
    remaining = list(units)

    def gone() -> bool:
        remaining[:] = [unit for unit in remaining if not manager.process(unit).ended]
        return not remaining

    wait_until(gone, PATIENCE)
    manager.uninstall([unit for unit in units if unit not in remaining])
    return remaining

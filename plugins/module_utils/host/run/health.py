"""Asking an app whether it works: over its own socket before the switch, through nginx after it.

A process manager's "started" proves nothing: gunicorn says so before it has forked a worker. Neither do a few good answers,
since workers that crash are replaced quickly. So the gate requires good answers in a row *and* the same workers all the
while. When it refuses an instance, it says why and what to do.
"""

from __future__ import annotations

import http.client
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ...contract.manifest import Manifest
from ..base import atomic
from ..build import lacking
from ..files.reloading import workers_of
from ..process.managers import Manager
from .asking import Answer, Page, ask, follow
from .logs import last_words, repeated
from .verdicts import Fault, booting, failing, judge, silence

#: How often, and for how many seconds, one and the same exception must come back until nothing else is expected.
SAME, SAME_FOR = 5, 2.0
#: If fewer seconds than these are left of the deadline, a timeout says nothing about the app.
SHORT = 2.0


class NotHealthy(Exception):
    """The gate has refused an instance."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.reason)
        self.reason = fault.reason
        self.hint = fault.hint
        self.log: list[str] = []
        self.source = ""


def ask_instance(manifest: Manifest, timeout: float, look: Callable[[], None] = lambda: None) -> Answer:
    """Ask the instance over its own socket, with the headers that nginx would send for a client.

    Raises as `asking.ask` and `asking.follow` do; `timeout` seconds are for everything.
    """
    health, end = manifest.health, time.monotonic() + timeout

    def get(page: Page, headers: Mapping[str, str]) -> Answer:
        proxied = {
            "Host": health.host,
            "X-Forwarded-For": "127.0.0.1",
            "X-Forwarded-Proto": page.scheme,
            "X-Forwarded-Host": health.host,
        }
        left = end - time.monotonic()
        return ask(manifest.socket, page.path, {**proxied, **headers}, left, health.body, look)

    return lead(manifest, get, Page(health.scheme, health.path), lambda page: True, health.host)


def lead(
    manifest: Manifest,
    get: Callable[[Page, Mapping[str, str]], Answer],
    page: Page,
    may: Callable[[Page], bool],
    host: str,
) -> Answer:
    """The answer to judge: where the health rule says nothing of redirects, the one at their end, within the app's mount."""
    if not manifest.health.follow:
        return get(page, {})
    below = manifest.mount.rstrip("/") + "/"
    return follow(get, page, host, lambda other: other.path.startswith(below) and may(other))


def youngest(master: int) -> float:
    """Seconds since a gunicorn master last began a worker, for which none was replaced; 0 when it has none."""
    return min(map(age, workers_of(master) or ()), default=0.0)


def age(pid: int) -> float:
    """Seconds since a process began (proc(5), field 22 of stat: ticks since the boot); 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as handle:
            began = int(handle.read().rpartition(")")[2].split()[19])
    except OSError:
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - began / os.sysconf("SC_CLK_TCK")


@dataclass
class _Watch:
    """Watches an instance's processes while it gets requests: raises as soon as one of them has died permanently."""

    manager: Manager
    manifest: Manifest
    master: int = 0
    workers: frozenset[int] = frozenset()
    seen: set[int] = field(default_factory=set)
    answering: bool = False

    def __call__(self) -> None:
        if not self.master:
            process = self.manager.process(self.manifest.unit)
            if not process.alive:
                raise self._died(process.detail)
            self.master = process.pid
        if not self.master:
            return
        workers = workers_of(self.master)
        if workers is None:
            raise self._died(self.manager.process(self.manifest.unit).detail)
        lost = self.workers - workers
        self.workers = workers
        self.seen |= workers
        if lost and self.answering:
            raise NotHealthy(
                Fault(
                    f"a worker died after the app had answered (pid {min(lost)}); it would keep crashing",
                    "see the log for the worker's last words; a worker killed by a signal may have run out of memory",
                )
            )
        # Each worker may be replaced once and more before we call it a loop: a slow import can hit gunicorn's timeout.
        if len(self.seen) > 8 + 4 * len(workers):
            raise NotHealthy(
                Fault(
                    f"workers die while they load the app ({len(self.seen) - len(workers)} so far)",
                    "something ends the process at import, or with its first request: sys.exit(), app.run(), a crashing extension "
                    "module; see the log",
                )
            )

    def answered(self) -> None:
        """From the first answer on, each child of the master's that ends is a worker that died.

        One that ended before may be something else. The launcher, in the same process, forks once to detach the process
        that keeps the socket. What gunicorn loads may start programs, too.
        """
        if not self.answering:
            self.answering, self.workers = True, frozenset()

    def settled(self) -> Fault | None:
        """What is still missing though the answers are good: the manager's own word.

        Raises NotHealthy unless it says what it said at first: a master may die and come back between two looks.
        """
        process = self.manager.process(self.manifest.unit)
        if not process.alive or process.pid != self.master:
            raise self._died(process.detail)
        if process.ready:
            return None
        return Fault(
            f"it answers, but its unit does not become ready ({process.detail})",
            "gunicorn's configuration tells systemd so when a worker has loaded the app (post_worker_init): look at "
            "gunicorn_extra, and at unit_extra",
        )

    def _died(self, detail: str) -> NotHealthy:
        when = "after the app had answered" if self.answering else "before the app answered"
        return NotHealthy(
            Fault(
                f"the process ended {when} ({detail})",
                "see its last log lines: an exception at import, a missing package, variable or file",
            )
        )


def gate(
    manager: Manager, manifest: Manifest, log_start: int = 0, answering: Callable[[], None] = lambda: None
) -> Answer:
    """Wait until an instance that was just started has proved itself; return its last answer.

    Healthy means all of this within the boot timeout:

    - `successes` accepted answers in a row, while all workers serve.
    - The last answer at least `soak` seconds after the first, and after the last worker began. gunicorn takes its time
      from one worker to the next.
    - The same master, and no worker lost in between.
    - A unit that its manager calls ready.

    Args:
        manager: runs the instance.
        manifest: the release's.
        log_start: offset in the log at which this start begins, in bytes; older lines are not shown.
        answering: called at each accepted answer.

    Raises:
        NotHealthy: with reason, hint, and the instance's last log lines.
    """
    try:
        return _Gate(manager, manifest, log_start, answering).pass_()
    except NotHealthy as refusal:
        refusal.log, refusal.source = last_words(manifest.web, log_start), manifest.log
        refusal.hint = lacking.absent("\n".join(refusal.log)) or refusal.hint
        if not refusal.log:
            refusal.log, refusal.source = (
                manager.words(manifest.unit),
                f"what {manager.name} says about {manifest.unit}",
            )
        raise


class _Gate:
    """Asks one instance until it is healthy or refused."""

    def __init__(self, manager: Manager, manifest: Manifest, log_start: int, answering: Callable[[], None]) -> None:
        self._manifest, self._log_start, self._answering = manifest, log_start, answering
        self._watch = _Watch(manager, manifest)
        self._begin = time.monotonic()
        self._end = self._begin + manifest.timeouts.boot
        self._fault: Fault | None = None
        self._since = self._begin
        """When the present fault was first seen."""

    def pass_(self) -> Answer:
        """Return the answer with which the instance is through. Raises NotHealthy."""
        health = self._manifest.health
        successes, first, pause = 0, 0.0, 0.01
        while True:
            asked = time.monotonic()
            answer, fault = self._ask(asked)
            now = time.monotonic()
            if fault is None:
                successes += 1
                first = first if successes > 1 else now
                self._answering()
                left = health.soak - min(now - first, youngest(self._watch.master))
                if successes >= health.successes and left <= 0:
                    fault = self._watch.settled()
                    if fault is None and answer is not None:
                        return answer
                pause = min(health.interval, left) if successes >= health.successes and left > 0 else health.interval
            else:
                successes = 0
                pause = min(pause * 1.5, health.interval)
            self._note(fault, asked, now)
            if now + pause > self._end:
                raise NotHealthy(self._fault or self._unsteady())
            time.sleep(pause)

    def _ask(self, asked: float) -> tuple[Answer | None, Fault | None]:
        """One answer, or what is wrong with it. Raises NotHealthy when the processes have died meanwhile."""
        manifest = self._manifest
        self._watch()
        answer = None
        try:
            left = max(0.1, min(manifest.timeouts.request, self._end - asked))
            answer = ask_instance(manifest, left, self._watch)
            fault = judge(answer, manifest.health, manifest.health.path)
            if fault is None:
                self._watch.answered()
                fault = booting(answer, manifest)
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, TimeoutError) and self._fault and self._end - asked < SHORT:
                fault = self._fault  # the deadline cut the request short: the fault before it explains more
            else:
                fault = silence(error, manifest, time.monotonic() - (asked if self._watch.answering else self._begin))
        self._watch()
        return answer, fault

    def _note(self, fault: Fault | None, asked: float, now: float) -> None:
        """Remember what is wrong. Raises NotHealthy when it will not change by waiting."""
        if fault is not None:
            if self._fault is None or self._fault.reason != fault.reason:
                self._since = asked
            if now - self._since >= fault.patience:
                raise NotHealthy(fault)
            if now - self._since >= SAME_FOR:
                line = repeated(atomic.tail(self._manifest.log, 500, self._log_start), SAME)
                if line:
                    raise NotHealthy(failing(fault, line, self._manifest))
        self._fault = fault

    def _unsteady(self) -> Fault:
        health, boot = self._manifest.health, self._manifest.timeouts.boot
        return Fault(
            f"it did not give {health.successes} good answers in a row over {health.soak:g} s within {boot:g} s",
            "raise the boot timeout, or lower health.soak",
        )


def answers(manifest: Manifest, most: float = math.inf) -> Fault | None:
    """Ask a running instance once, for `most` seconds; what is wrong, or None."""
    begin = time.monotonic()
    try:
        return judge(
            ask_instance(manifest, min(manifest.timeouts.request, most)), manifest.health, manifest.health.path
        )
    except (OSError, http.client.HTTPException) as error:
        return silence(error, manifest, time.monotonic() - begin)

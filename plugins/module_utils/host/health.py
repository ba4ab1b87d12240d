"""Asking an app whether it works: over its own socket before the switch, through nginx after it.

A process manager's "started" proves nothing (gunicorn says so before it has forked a worker), and neither do a few good
answers (workers that crash are replaced quickly). So the gate wants good answers in a row *and* the same workers all
the while, and when it refuses an instance it says why and what to do.
"""

from __future__ import annotations

import http.client
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from . import files
from .asking import Answer, ask
from .managers import Manager
from .manifest import Health, Manifest

#: Lines of the instance's log that a refusal shows.
LOG_LINES = 20


@dataclass(frozen=True)
class Fault:
    """Why an answer, or its absence, is not accepted. `patience`: after how many seconds of nothing else it is final."""

    reason: str
    hint: str
    patience: float = float("inf")


class NotHealthy(Exception):
    """The gate has refused an instance."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.reason)
        self.reason = fault.reason
        self.hint = fault.hint
        self.log: list[str] = []
        self.source = ""


def ask_instance(manifest: Manifest, timeout: float, look: Callable[[], None] = lambda: None) -> Answer:
    """Ask the instance over its own socket, with the headers that nginx would send for a visitor."""
    health = manifest.health
    headers = {
        "Host": health.host,
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Proto": health.scheme,
        "X-Forwarded-Host": health.host,
    }
    return ask(manifest.socket, health.path, headers, timeout, health.body, look)


def ask_visitor(manifest: Manifest, timeout: float) -> Answer:
    """Ask nginx on this host, as a visitor (behind a load balancer, when the scheme is https) would."""
    visit = manifest.visit
    headers = {"Host": visit.host, **({"X-Forwarded-Proto": "https"} if manifest.health.scheme == "https" else {})}
    return ask(("127.0.0.1", visit.port), visit.path, headers, timeout, manifest.health.body)


def judge(answer: Answer, health: Health, path: str) -> Fault | None:
    """What is wrong with an answer; None when it is as the app's health rule wants it.

    Answers that do not change by waiting become final after a short while; 5xx may mean "not yet".
    """
    status = answer.status
    said = f"GET {path} (Host: {health.host}) was answered {status}"
    if any(low <= status <= high for low, high in health.status):
        if health.body is None or health.body in answer.body:
            return None
        begin = " ".join(answer.body[:120].split())
        return Fault(
            f"{said}, but {health.body!r} is not in the answer, which begins {begin!r}",
            "correct health.body, or health.path, or what the app answers",
            _settled(health),
        )
    if 300 <= status <= 399:
        return Fault(
            f"{said}, a redirect to {answer.location or 'nowhere'}", _redirect(answer, health, path), _settled(health)
        )
    if status in (401, 403):
        hint = (
            "the path wants credentials: choose a health.path that is open, or accept the answer with "
            f"health.status: [{status}]"
        )
    elif status == 404:
        hint = "there is nothing at that path: set health.path to one that the app answers (and mount, if it has one)"
    elif status == 400:
        hint = f"if the app checks the Host header, allow {health.host!r} (Django: ALLOWED_HOSTS), or set health.host"
    elif status == 405:
        hint = "the path does not take GET: set health.path to one that does"
    elif status in (408, 425, 429) or status > 500:
        return Fault(said, "the app says that it is not ready; if it only needs longer, raise the boot timeout")
    elif status == 500:
        return Fault(
            said,
            "the app raised an exception (see its log): often an environment variable, a database or a migration is "
            "missing",
            max(10.0, 5 * health.soak),
        )
    else:
        hint = "choose another health.path, or accept the answer with health.status"
    return Fault(said, hint, _settled(health))


def _settled(health: Health) -> float:
    return max(2.0, health.soak)


def _redirect(answer: Answer, health: Health, path: str) -> str:
    asked, target = urlsplit(path), urlsplit(answer.location)
    host = target.netloc.rpartition("@")[2].lower()
    if target.scheme == "https" and health.scheme == "http" and host.split(":")[0] == health.host.split(":")[0].lower():
        return "the app sends visitors to https: set health.scheme: https"
    if host and host != health.host.lower():
        return f"the app wants to be called by another name: set health.host: {host}"
    if target.path != asked.path and not any(word in target.path for word in ("login", "signin", "auth")):
        return f"ask where it leads: set health.path: {target.path or '/'}"
    return "the path wants a login: choose a health.path that is open, or accept the answer with health.status"


def silence(error: Exception, manifest: Manifest, waited: float) -> Fault:
    """What the lack of an answer over the instance's socket means."""
    if isinstance(error, FileNotFoundError):
        return Fault(
            f"no socket after {waited:.0f} s: {manifest.socket} does not exist",
            "the app is not bound yet or the master hangs; see the log, or raise the boot timeout",
        )
    if isinstance(error, TimeoutError):
        return Fault(
            f"GET {manifest.health.path} had no answer after {waited:.0f} s",
            "the app hangs: a blocking call at import (app.run()?), a service that it waits for without a timeout, or "
            "an import that takes longer than the boot timeout",
        )
    if isinstance(error, ConnectionRefusedError):
        return Fault(f"nobody listens on {manifest.socket}", "the master is gone or restarts; see the log")
    if isinstance(error, http.client.HTTPException) and not isinstance(error, ConnectionError):
        return Fault(
            f"what came over {manifest.socket} is not HTTP: {error!r}", "is another program bound to the socket?"
        )
    return Fault(
        f"the connection broke before an answer came ({error or type(error).__name__})",
        "a worker died while it answered; see the log",
    )


def workers_of(master: int) -> frozenset[int] | None:
    """The children of a gunicorn master; None when it is gone."""
    try:
        with open(f"/proc/{master}/task/{master}/children", encoding="ascii") as handle:
            return frozenset(map(int, handle.read().split()))
    except OSError:
        return None


def youngest(master: int) -> float:
    """Seconds since a gunicorn master last began a worker, for which none was replaced; 0 when it has none."""
    return min(map(_age, workers_of(master) or ()), default=0.0)


def _age(pid: int) -> float:
    """Seconds since a process began (proc(5), field 22 of stat: ticks since the boot); 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as handle:
            began = int(handle.read().rpartition(")")[2].split()[19])
    except OSError:
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - began / os.sysconf("SC_CLK_TCK")


@dataclass
class _Watch:
    """Looks after an instance's processes while it is asked: raises as soon as one of them has died for good."""

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
                    f"a worker died after the app had answered (pid {min(lost)}); it would go on crashing",
                    "see the log for the worker's last words; a worker killed by a signal may have run out of memory",
                )
            )
        # Each worker may be replaced once and more before we call it a loop: a slow import can hit gunicorn's timeout.
        if len(self.seen) > 8 + 4 * len(workers):
            raise NotHealthy(
                Fault(
                    f"workers die while they load the app ({len(self.seen) - len(workers)} so far)",
                    "something ends the process at import: sys.exit(), app.run(), a crashing extension module; see the log",
                )
            )

    def same_master(self) -> None:
        """Raise unless the manager still says what it said at first (a master may die and come back between looks)."""
        process = self.manager.process(self.manifest.unit)
        if not process.alive or process.pid != self.master:
            raise self._died(process.detail)

    def _died(self, detail: str) -> NotHealthy:
        when = "after the app had answered" if self.answering else "before the app answered"
        return NotHealthy(
            Fault(
                f"the process ended {when} ({detail})",
                "see its last log lines: an exception at import, a missing package, variable or file",
            )
        )


def telling(lines: list[str]) -> list[str]:
    """The lines of a log that tell most: the last ones, and before them the app's last exception if they lack it.

    A master whose workers fail to boot may write a long traceback of its own after theirs.
    """
    end = len(lines) - LOG_LINES
    starts = [number for number, line in enumerate(lines) if "Exception in worker process" in line]
    if not starts or starts[-1] >= end:
        return lines[-LOG_LINES:]
    first = starts[-1]
    after = next((n for n in range(first + 1, len(lines)) if lines[n].startswith("[")), len(lines))
    return [*lines[first:after][-LOG_LINES * 2 // 3 :], "...", *lines[max(after, len(lines) - LOG_LINES // 3) :]]


def gate(
    manager: Manager, manifest: Manifest, log_start: int = 0, answering: Callable[[], None] = lambda: None
) -> float:
    """Wait until an instance that was just started has proved itself; return the seconds that it took.

    Healthy means: `successes` accepted answers in a row, the last one at least `soak` seconds after the first and after
    the last worker began (gunicorn takes its time from one to the next), with the same master and no worker lost in
    between, all of it within the boot timeout.

    Args:
        manager: runs the instance.
        manifest: the release's.
        log_start: offset in the log at which this start begins, in bytes; older lines are not shown.
        answering: called at each accepted answer.

    Raises:
        NotHealthy: with reason, hint, and the instance's last log lines.
    """
    try:
        return _gate(manager, manifest, answering)
    except NotHealthy as refusal:
        refusal.log, refusal.source = telling(files.tail(manifest.log, 500, log_start)), manifest.log
        if not refusal.log:
            refusal.log, refusal.source = manager.words(manifest.unit), f"what {manager.name} says of {manifest.unit}"
        raise


def _gate(manager: Manager, manifest: Manifest, answering: Callable[[], None]) -> float:
    health, boot = manifest.health, manifest.timeouts.boot
    watch = _Watch(manager, manifest)
    begin = time.monotonic()
    end = begin + boot
    pause, successes, since, same_since = 0.02, 0, 0.0, begin
    fault: Fault | None = None
    while True:
        watch()
        asked = time.monotonic()
        try:
            answer = ask_instance(manifest, max(0.1, min(manifest.timeouts.request, end - asked)), watch)
            found = judge(answer, health, health.path)
        except (OSError, http.client.HTTPException) as error:
            found = silence(error, manifest, time.monotonic() - (asked if watch.answering else begin))
        watch()
        now = time.monotonic()
        if found is None:
            successes += 1
            since = since if successes > 1 else now
            watch.answering = True
            answering()
            left = health.soak - min(now - since, youngest(watch.master))
            if successes >= health.successes and left <= 0:
                watch.same_master()
                return now - begin
            pause = min(health.interval, left) if successes >= health.successes and left > 0 else health.interval
        else:
            successes = 0
            if fault is None or fault.reason != found.reason:
                same_since = asked
            if now - same_since >= found.patience:
                raise NotHealthy(found)
            pause = min(pause * 1.5, health.interval)
        fault = found
        if now + pause > end:
            raise NotHealthy(
                fault
                or Fault(
                    f"it did not give {health.successes} good answers in a row over {health.soak:g} s within {boot:g} s",
                    "raise the boot timeout, or lower health.soak",
                )
            )
        time.sleep(pause)


def answers(manifest: Manifest) -> Fault | None:
    """Ask a running instance once; what is wrong, or None."""
    begin = time.monotonic()
    try:
        return judge(ask_instance(manifest, manifest.timeouts.request), manifest.health, manifest.health.path)
    except (OSError, http.client.HTTPException) as error:
        return silence(error, manifest, time.monotonic() - begin)


def visit(manifest: Manifest, patience: float) -> Fault | None:
    """Ask through nginx until the answer is as the health rule wants it; what is wrong after `patience` seconds.

    nginx may just be reloading its configuration, so the first answers need not be the last word.
    """
    url = f"http://127.0.0.1:{manifest.visit.port}{manifest.visit.path}"
    end, pause = time.monotonic() + patience, 0.05
    while True:
        try:
            answer = ask_visitor(manifest, max(manifest.timeouts.request, patience))
            fault = judge(answer, manifest.health, manifest.visit.path)
            if fault is None:
                return None
            if answer.status == 502:
                hint = f"nginx cannot reach {manifest.socket}: see nginx's error log for the reason"
            elif answer.status == 504:
                hint = "the app does not answer within its request timeout"
            else:
                hint = f"the instance itself answers well, so look at nginx's configuration first; {fault.hint}"
            fault = Fault(f"through nginx ({url}), {fault.reason}", hint)
        except ConnectionRefusedError:
            fault = Fault(f"nobody listens on {url}", "is nginx running, and is this its port? try: nginx -t")
        except http.client.RemoteDisconnected:
            fault = Fault(
                f"nginx closed the connection to {url} without an answer",
                f"it refuses the host name {manifest.visit.host!r}: is the app's site enabled?",
            )
        except (OSError, http.client.HTTPException) as error:
            fault = Fault(f"no answer from {url}: {error or type(error).__name__}", "see nginx's error log")
        if time.monotonic() + pause > end:
            return fault
        time.sleep(pause)
        pause = min(pause * 1.5, 0.5)

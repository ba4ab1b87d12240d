"""What the hosts answered about their apps: one row for each program, and a sentence for each thing that is not well.

One module, though a long one: a flat list of small functions, one for each thing that may not be well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from . import drift_steps, next_commands
from .contract import typed
from .contract.names import TRAFFIC_WINDOW
from .contract.words import CONFLICT, STOPPED, counted

WEB = "web"
NONE = "-"
"""A cell without a value."""
FULL = 90
"""Percent of a disk from which it is nearly full."""
CERTIFICATE_DAYS = 14
"""Days before its end at which a certificate should have been renewed."""
ERROR_SHARE, ERROR_COUNT = 0.01, 5
"""The share of server errors that is not well, and how many there must be."""
QUEUE = 10
"""Connections that wait for a worker from which the app is too slow."""
TWICE = re.compile(rf'{CONFLICT} "(?P<name>[^"]*)"')
"""What nginx says about a name that two sites have."""
YOUNG = 600
"""Seconds within which a restart counts: an older one is over."""
WORSE = ("origin", "origins", "unserved")
"""The kinds of drift that each have a line in the overview: no deploy, or no client, reaches the app."""
UNSTARTED = ("unit", "masked")
"""Those that have a line, too: they are an outage after the next boot."""


@dataclass(frozen=True)
class Problem:
    """One thing that is not well."""

    host: str
    app: str
    """Empty where it is about the host."""
    text: str
    next: str
    """The next command to type, or what else to do."""

    def __str__(self) -> str:
        return f"{self.host}: {f'{self.app} ' if self.app else ''}{self.text}. Next: {self.next}"


@dataclass(frozen=True)
class Row:
    """One program of an app on a host."""

    host: str
    app: str
    program: str
    release_id: str | None = field(metadata=typed.written_as("release"))
    """Of the processes that run; None where none does."""
    since: int | None
    """When they were started, as a time."""
    workers: int
    workers_wanted: int | None
    requests_per_second: float | None
    error_share: float | None
    p95_ms: int | None
    memory: int
    """Bytes."""
    restarts: int | None
    queue: int | None
    counts: Sequence[int] = field(default_factory=list)
    """Requests in each part of the last five minutes, and how many of them failed."""
    failed: Sequence[int] = field(default_factory=list)


@dataclass(frozen=True)
class Timer:
    """One timer of an app on a host."""

    host: str
    app: str
    timer: str
    schedule: str
    result: str | None
    """Of the last run: `success`, `failed` or `timeout`; None before the first one."""
    status: str
    """Its exit status, or the signal that ended it."""
    release_id: str | None = field(metadata=typed.written_as("release"))
    """In which it ran."""
    began: int | None
    """When it began, as a time."""
    seconds: int | None
    """How long it took."""
    running: int | None
    """When the present run began, as a time."""
    next: int | None
    """When the next run is, as a time; None where the host does not tell."""


@dataclass(frozen=True)
class HostState:
    """What is said of a host, beside its apps."""

    host: str
    disk_percent: int | None
    disk_path: str
    reboot_pending: bool
    certificate_days: int | None
    drift: int


@dataclass(frozen=True)
class Overview:
    """All hosts."""

    rows: list[Row]
    timers: list[Timer]
    hosts: list[HostState]
    problems: list[Problem]

    def plain(self) -> dict[str, Any]:
        """For programs."""
        return {"well": not self.problems, **typed.plain(self)}


def overview(states: Mapping[str, Mapping[str, Any]], now: float) -> Overview:
    """The overview of what each host answered."""
    rows: list[Row] = []
    timers: list[Timer] = []
    hosts: list[HostState] = []
    problems: list[Problem] = []
    for host, state in states.items():
        if trouble := state.get("trouble"):
            problems.append(Problem(host, "", f"does not answer: {trouble}", f"ssh {host}"))
            hosts.append(HostState(host, None, "", False, None, 0))
            continue
        about = state["host"]
        days = [one["days"] for one in about["certificates"] if one["days"] is not None]
        # A site beside the kit's own may be there to stay.
        kinds = [one["kind"] for part in (about, *state["apps"]) for one in part["drift"]]
        drift = sum(kind != "site" for kind in kinds)
        hosts.append(
            HostState(
                host, about["disk"]["percent"], about["disk"]["path"], about["reboot"], min(days, default=None), drift
            )
        )
        bare = not about["nginx"] and bool(state["apps"]) and all(app["current"] is None for app in state["apps"])
        problems += _of_host(host, about, sum(kind not in (*WORSE, *UNSTARTED, "site") for kind in kinds), bare)
        for app in state["apps"]:
            rows += _rows(host, app, [one for one in state["traffic"] if one["app"] == app["app"]])
            timers += _timers(host, app)
            problems += [] if bare else _of_app(host, app, now)
            problems += _unstarted(host, app["drift"])
        problems += [problem for row in rows if row.host == host for problem in _of_row(row)]
    return Overview(rows, timers, hosts, [*problems, *_unlike(states)])


def _unlike(states: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    """The hosts with other code of an app than the host on which it was activated last, though all are to have the same source.

    A release's id tells nothing here: it differs between hosts with another Python.
    """
    groups: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for host, state in states.items():
        for app in state.get("apps") or ():
            if app.get("code") and app["app"] in state.get("sources", {}):
                groups.setdefault((app["app"], state["sources"][app["app"]]), {})[host] = app
    for (name, _source), hosts in groups.items():
        last = max(hosts, key=lambda host: hosts[host].get("activated") or "")
        newest = hosts[last]
        for host, app in hosts.items():
            if (app.get("version"), app["code"]) != (newest.get("version"), newest["code"]):
                text = (
                    f"has other code ({app['current']}) than {last} ({newest['current']}), where it was activated last"
                )
                yield Problem(host, name, text, f"ansible-playbook playbooks/deploy.yml -e app={name}")


def _of_host(host: str, about: Mapping[str, Any], drift: int, bare: bool) -> Iterator[Problem]:
    """The problems of a host itself; one is enough for a `bare` one, which has neither nginx nor an app."""
    disk = about["disk"]
    if bare:
        text = "is not set up: nginx does not run, and no app is on this host"
        yield Problem(host, "", text, f"ansible-playbook site.yml --limit {host}")
    elif not about["nginx"]:
        yield Problem(host, "", "nginx does not run, so no client reaches an app", f"ssh {host} systemctl start nginx")
    conflicts = [match["name"] for line in about["complaints"] if (match := TWICE.search(line))]
    for name in dict.fromkeys(conflicts):
        text = f"two of nginx's sites have the name {name}, and nginx serves the first one alone"
        yield Problem(host, "", text, f"ssh {host} nginx -T, to find the other one")
    for line in about["complaints"]:
        if not TWICE.search(line) and not bare:
            yield Problem(host, "", f"nginx would not start again: {line}", f"ssh {host} nginx -t")
    if disk["percent"] >= FULL:
        yield Problem(
            host, "", f"the disk of {disk['path']} is {disk['percent']} % full", f"ssh {host} du -xh -d2 {disk['path']}"
        )
    if about["reboot"]:
        yield Problem(host, "", "an update waits for a reboot", f"ssh {host} reboot")
    for one in about["certificates"]:
        if one["days"] is None:
            yield Problem(host, "", f"the certificate of {one['site']} cannot be read", "ansible-playbook site.yml")
        elif one["days"] < CERTIFICATE_DAYS:
            text = f"ends in {counted(one['days'], 'day')}" if one["days"] >= 0 else "has expired"
            yield Problem(host, "", f"the certificate of {one['site']} {text}", "ansible-playbook site.yml")
    yield from _drifted(host, about, drift)


def _drifted(host: str, about: Mapping[str, Any], others: int) -> Iterator[Problem]:
    """What is not as the kit left it: the worse kinds one by one, and how many `others` are on the host."""
    step = f"ansible-playbook playbooks/drift.yml --limit {host}"
    for one in about["drift"]:
        if one["kind"] in WORSE:
            yield Problem(host, "", f"{one['subject']} {one['detail']}", step)
    yield from _unstarted(host, about["drift"])
    if others:
        yield Problem(host, "", f"{counted(others, 'thing is', 'things are')} not as Slipway left it", step)


def _unstarted(host: str, drift: Sequence[Mapping[str, str]]) -> Iterator[Problem]:
    """The units that do not start at boot."""
    for one in drift:
        if one["kind"] in UNSTARTED:
            yield Problem(host, one["app"], f"{one['subject']} {one['detail']}", drift_steps.step(host, one))


def _rows(host: str, app: Mapping[str, Any], traffic: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    for program in app["programs"]:
        web = program["name"] == WEB
        requests = sum(one["requests"] for one in traffic)
        errors = sum(one["errors"] for one in traffic)
        times = [one["p95"] for one in traffic if one["p95"] is not None]
        yield Row(
            host=host,
            app=app["app"],
            program=program["name"],
            release_id=program["release"],
            since=program["since"],
            workers=program["processes"],
            workers_wanted=app["workers"] if web else None,
            requests_per_second=round(requests / TRAFFIC_WINDOW, 2) if web and traffic else None,
            error_share=round(errors / requests, 4) if web and requests else None,
            p95_ms=max(times, default=None) if web else None,
            memory=program["memory"],
            restarts=program["restarts"],
            queue=app["queue"] if web else None,
            counts=[sum(parts) for parts in zip(*(one["counts"] for one in traffic), strict=True)] if web else [],
            failed=[sum(parts) for parts in zip(*(one["failed"] for one in traffic), strict=True)] if web else [],
        )


def _timers(host: str, app: Mapping[str, Any]) -> Iterator[Timer]:
    for one in app["timers"]:
        last = one["last"] or {}
        yield Timer(
            host=host,
            app=app["app"],
            timer=one["name"],
            schedule=one["schedule"],
            result=last.get("result"),
            status=last.get("status", ""),
            release_id=last.get("release"),
            began=last.get("began"),
            seconds=last.get("seconds"),
            running=one["running"],
            next=one["next"],
        )


def _of_timers(host: str, app: Mapping[str, Any], now: float) -> Iterator[Problem]:
    """A timer that does not run, and one whose last run failed."""
    name = app["app"]
    for one in app["timers"]:
        if one["fault"]:
            deploy = f"ansible-playbook playbooks/deploy.yml -e app={name} --limit {host}"
            yield Problem(host, name, f"timer {one['name']} {one['fault']}", deploy)
        last = one["last"]
        if last and last["result"] != "success":
            since = age(now - last["began"])
            how = ending(last["result"], last["status"], last["seconds"])
            # Logs of more than a year are not kept.
            hours = min(8760, max(0, int(now - last["began"])) // 3600 + 1)
            yield Problem(
                host, name, f"timer {one['name']} {how}, {since} ago",
                f"ansible-playbook playbooks/logs.yml -e app={name} --limit {host} -e since={hours}h",
            )  # fmt: skip


def ending(result: str, status: str, seconds: int) -> str:
    """How a run of a timer ended, in words."""
    if result == "success":
        return "succeeded"
    if result == "timeout":
        return f"exceeded its timeout and was killed after {age(seconds)}"
    if status.isdigit():
        return f"failed with exit status {status}"
    return f"was killed by SIG{status}" if status else "failed"


def _of_app(host: str, app: Mapping[str, Any], now: float) -> Iterator[Problem]:
    name, current = app["app"], app["current"]
    deploy = f"ansible-playbook playbooks/deploy.yml -e app={name} --limit {host}"
    logs = f"ansible-playbook playbooks/logs.yml -e app={name} --limit {host}"
    if current is None:
        yield Problem(host, name, "is in the inventory, and not on this host", deploy)
        return
    if not app["programs"]:
        yield Problem(host, name, f"cannot be looked at: {app['answers'] or f'{current} has no manifest'}", deploy)
        return
    for program in app["programs"]:
        what = "" if program["name"] == WEB else f"{program['name']} "
        if not program["alive"]:
            # Its log says why a program ended, and not who stopped it.
            remedy = deploy if program["detail"] == STOPPED else logs
            yield Problem(host, name, f"{what}does not run: {program['detail']}", remedy)
            continue
        if program["release"] and program["release"] != current:
            yield Problem(host, name, f"{what}runs {program['release']}, and {current} is current", deploy)
        restarts, since = program["restarts"], program["since"]
        if restarts and since is not None and now - since < YOUNG:
            times = "once" if restarts == 1 else f"{restarts} times"
            yield Problem(host, name, f"{what}crashed and was started again {times}, the last time just now", logs)
        if program["name"] == WEB and app["workers"] and program["processes"] < app["workers"]:
            yield Problem(host, name, f"has {program['processes']} of its {counted(app['workers'], 'worker')}", logs)
    yield from _of_timers(host, app, now)
    if app["answers"] and any(program["alive"] for program in app["programs"] if program["name"] == WEB):
        yield Problem(host, name, f"runs and does not answer well: {app['answers'].splitlines()[0]}", logs)


def _of_row(row: Row) -> Iterator[Problem]:
    logs = f"ansible-playbook playbooks/logs.yml -e app={row.app} --limit {row.host}"
    failed = sum(row.failed)
    if row.error_share and row.error_share >= ERROR_SHARE and failed >= ERROR_COUNT:
        yield Problem(
            row.host,
            row.app,
            f"answered {counted(failed, 'request')} ({row.error_share:.0%}) with a server error",
            f"{logs} -e since=5m",
        )
    if row.queue and row.queue >= QUEUE:
        yield Problem(
            row.host,
            row.app,
            f"has {counted(row.queue, 'request that waits', 'requests that wait')} for a worker",
            logs,
        )


def within(problems: Sequence[Problem], inventories: Sequence[str]) -> list[Problem]:
    """The problems with commands to type, as `next_commands.here` writes them for these inventories."""
    return [replace(one, next=next_commands.here(one.next, inventories)) for one in problems]


def reached(problems: Iterable[Problem], states: Mapping[str, Mapping[str, Any]]) -> list[Problem]:
    """The problems with commands by ssh that reach their hosts, which may have another address than their name."""
    return [
        replace(one, next=next_commands.reached(one.next, one.host, states[one.host].get("by"))) for one in problems
    ]


def silent(states: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A sentence for each host that did not answer."""
    return list(map(str, reached(missing(states), states)))


def missing(states: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    """The hosts that did not answer, for a report about something else."""
    for host, state in states.items():
        if trouble := state.get("trouble"):
            yield Problem(host, "", f"does not answer: {trouble}", f"ssh {host}")


def table(rows: Sequence[Sequence[str]]) -> str:
    """Cells in aligned columns; the first row is the heading."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


HEADING = (
    "host", "app", "release", "since", "workers", "req/s", "5xx", "p95", "memory", "restarts", "queue",
    "disk", "certificate", "drift", "",
)  # fmt: skip


TIMERS = ("host", "app", "timer", "schedule", "last run", "took", "result", "next run", "")


def text(it: Overview, now: float) -> str:
    """The overview for people."""
    states = {one.host: one for one in it.hosts}
    troubled = {(problem.host, problem.app) for problem in it.problems}
    rows: list[Sequence[str]] = [HEADING]
    for row in it.rows:
        state = states[row.host]
        bad = (row.host, row.app) in troubled or (row.host, "") in troubled
        rows.append((*cells(row, now), *host_cells(state), "!" if bad else ""))
    for state in it.hosts:
        if not any(row.host == state.host for row in it.rows):
            bad = any(host == state.host for host, _app in troubled)
            rows.append((state.host, *(NONE for _ in range(10)), *host_cells(state), "!" if bad else ""))
    lines = [table(rows), ""]
    if it.timers:
        lines += [table([TIMERS, *((*timer_cells(one, now), "!" if failed(one) else "") for one in it.timers)]), ""]
    lines += [f"! {problem}" for problem in it.problems] or ["All is well."]
    return "\n".join(lines)


def cells(row: Row, now: float) -> tuple[str, ...]:
    """The cells of a row, up to those of its host."""
    name = row.app if row.program == WEB else f"{row.app} {row.program}"
    wanted = f"{row.workers}/{row.workers_wanted}" if row.workers_wanted else NONE
    return (
        row.host,
        name,
        row.release_id or "down",
        age(now - row.since) if row.since is not None else NONE,
        wanted,
        _shown(row.requests_per_second, "{:.1f}"),
        _shown(row.error_share, "{:.1%}"),
        _shown(row.p95_ms, "{} ms"),
        f"{row.memory / 1e6:.0f} MB",
        _shown(row.restarts, "{}"),
        _shown(row.queue, "{}"),
    )


def host_cells(state: HostState) -> tuple[str, ...]:
    """The cells of a host."""
    return (
        _shown(state.disk_percent, "{} %"),
        _shown(state.certificate_days, "{} d"),
        str(state.drift) if state.disk_percent is not None else NONE,
    )


def failed(timer: Timer) -> bool:
    """Whether the last run of a timer is not well."""
    return timer.result not in (None, "success")


def timer_cells(one: Timer, now: float) -> tuple[str, ...]:
    """The cells of a timer."""
    following = "running" if one.running is not None else NONE
    if one.next is not None and one.running is None:
        following = f"in {age(one.next - now)}"
    return (
        one.host,
        one.app,
        one.timer,
        one.schedule,
        f"{age(now - one.began)} ago" if one.began is not None else NONE,
        age(one.seconds) if one.seconds is not None else NONE,
        _result(one),
        following,
    )


def _result(one: Timer) -> str:
    """The result of the last run in a word or two."""
    if one.result == "failed" and one.status:
        return f"failed: {one.status}"
    return one.result or NONE


def _shown(value: Any, form: str) -> str:
    return NONE if value is None else form.format(value)


def age(seconds: float) -> str:
    """A time in its two largest units."""
    left = max(0, int(seconds))
    parts = [(left // 86400, "d"), (left % 86400 // 3600, "h"), (left % 3600 // 60, "m"), (left % 60, "s")]
    first = next((number for number, (count, _unit) in enumerate(parts) if count), 3)
    return " ".join(f"{count}{unit}" for count, unit in parts[first : first + 2] if count) or "0s"

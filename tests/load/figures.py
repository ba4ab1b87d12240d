"""Turns the load generator's notes into figures: counts per event, judges, makes a table, and writes it into a page."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from .generator import CONTROL, Note

STALLED = 1.0
"""A control, a plain file, takes milliseconds. It takes so many seconds only where the machine stands still."""
OUTDATED = 1.0
"""Seconds after the first answer of a release within which nginx may still pass requests to the one before. They are the limits
of a kept connection's age and idle time, and hold on a slow machine as well."""
WAITED = "504"
"""The outcome of a request whose answer nginx awaited for `request_timeout`."""
MOSTLY = 0.01
"""The share of requests that may be lost to the machine. With more of them, nothing is proved."""


@dataclass(frozen=True)
class Span:
    """An event, from the first request that it may hit until nothing of it is left (seconds of time.monotonic).

    `acted` is the moment of the action. `why` says how the event costs requests: without it none may be
    lost. `closes`: nginx may close kept-alive connections that seem idle to it.
    """

    event: str
    begin: float
    acted: float
    end: float
    why: str = ""
    closes: bool = False
    most: Mapping[str, int] = field(default_factory=dict)
    """The most requests that the event may cost a host, where there is such a number."""
    waits: bool = False
    """Whether the app starts again in the event while requests wait for it. One that waited for `request_timeout` (504) shows how
    long the start took, which is the machine's and the app's. It is shown and is no fault. Nothing else may be lost."""


@dataclass
class Tally:
    """What the clients of one host got during one event. Times are in seconds."""

    requests: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    lost_numbers: list[int] = field(default_factory=list)
    """The numbers of the lost requests, for the logs."""
    stalled: Counter[str] = field(default_factory=Counter)
    """Those that were late while the control was late, too: the fault is the machine's."""
    control: float = 0.0
    """The slowest control."""
    closed: int = 0
    again: int = 0
    """Those that were sent again, since the server said by HTTP/2 that it had not begun with them."""
    moved: int = 0
    """Those that http led to https."""
    slowest: float = 0.0
    """The slowest of the requests that an idle machine answers at once."""
    served_again: float = 0.0
    """From the action until the last lost request was sent."""
    releases: set[str] = field(default_factory=set)
    outdated: int = 0
    """Requests that a release answered although they were sent later than `OUTDATED` after another one had answered."""
    late: float = 0.0
    """The longest delay between the due time and the generator's own sending."""


def read(path: Path) -> list[Note]:
    """The notes of one generator."""
    return [Note(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def tally(notes: Sequence[Note], span: Span) -> Tally:
    """Count what was sent during an event."""
    result = Tally()
    controls = [note for note in notes if note.stream == CONTROL.name]
    result.outdated = outdated([note for note in notes if span.begin <= note.sent < span.end])
    for note in notes:
        if not span.begin <= note.sent < span.end:
            continue
        if note.stream == CONTROL.name:
            result.control = max(result.control, note.seconds)
            continue
        result.requests += 1
        result.late = max(result.late, note.late)
        result.again += bool(note.again)
        result.moved += note.moved
        if note.release:
            result.releases.add(note.release)
        if note.outcome == "ok":
            if "slow" not in note.stream:
                result.slowest = max(result.slowest, note.seconds)
        elif note.outcome == "closed" and span.closes:
            result.closed += 1
        elif _is_late(note) and stall(note, controls) >= STALLED:
            result.stalled[note.outcome] += 1
        else:
            result.lost[note.outcome] += 1
            result.lost_numbers.append(note.number)
            result.served_again = max(result.served_again, note.sent - span.acted)
    return result


def outdated(notes: Iterable[Note]) -> int:
    """Count the requests that a release answered long after another one had begun to. No release comes back meanwhile."""
    answered = [note for note in notes if note.release]
    begins: dict[str, float] = {}
    for note in answered:
        end = note.sent + note.seconds
        begins[note.release] = min(end, begins.get(note.release, end))
    order = sorted(begins, key=begins.__getitem__)
    ends = {release: begins[after] + OUTDATED for release, after in pairwise(order)}
    # A request that its generator sent late left that much later.
    return sum(note.sent + note.late > ends.get(note.release, float("inf")) for note in answered)


def _is_late(note: Note) -> bool:
    """Whether the request was lost to a timeout: a slow machine has no other effect on it."""
    return note.outcome == WAITED or note.outcome.startswith("no answer")


def stall(note: Note, controls: Iterable[Note]) -> float:
    """The time of the slowest control that was in flight at the same time as the request."""
    end = note.sent + note.seconds
    return max((one.seconds for one in controls if one.sent < end and one.sent + one.seconds > note.sent), default=0.0)


def faults(span: Span, tallies: Mapping[str, Tally]) -> list[str]:
    """What must not happen: a request lost where no process was killed, or an event without requests."""
    messages = []
    for host, counted in tallies.items():
        if not counted.requests:
            messages.append(f"{span.event}: nothing was asked of {host}")
        if counted.stalled.total() > MOSTLY * counted.requests:
            number = f"{counted.stalled.total()} of {counted.requests} requests"
            messages.append(f"{span.event}: {host} lost {number} while the machine stood still, which proves nothing")
        lost = Counter({kind: number for kind, number in counted.lost.items() if not (span.waits and kind == WAITED)})
        most = span.most.get(host)
        if most is not None and lost.total() > most:
            number = f"{lost.total()} requests, and at most {most} were being answered"
            messages.append(f"{span.event}: {host} lost {number}")
        if counted.outdated:
            messages.append(
                f"{span.event}: {host} answered {counted.outdated} requests by a release that was replaced before"
            )
        if lost and not span.why:
            kinds = ", ".join(f"{number} x {outcome}" for outcome, number in lost.most_common())
            messages.append(f"{span.event}: {host} lost {lost.total()} of {counted.requests} requests: {kinds}")
    return messages


def table(rows: Sequence[tuple[Span, Mapping[str, Tally]]]) -> str:
    """The figures as a Markdown table, one event a line."""
    hosts = list(rows[0][1])
    lines = [
        "| event | " + " | ".join(f"requests, {host} | lost" for host in hosts) + " | slowest | |",
        "|---|" + "---:|---:|" * len(hosts) + "---:|---|",
    ]
    for span, tallies in rows:
        cells = [span.event]
        for host in hosts:
            cells += [f"{tallies[host].requests}", f"{tallies[host].lost.total()}"]
        cells += [f"{max(one.slowest for one in tallies.values()):.1f} s", _remark(span, tallies)]
        lines.append(f"| {' | '.join(cells)} |")
    totals = [
        f"{sum(t[host].requests for _, t in rows)} | {sum(t[host].lost.total() for _, t in rows)}" for host in hosts
    ]
    lines.append(f"| **all** | {' | '.join(totals)} | | |")
    return "\n".join(lines)


def _remark(span: Span, tallies: Mapping[str, Tally]) -> str:
    remarks = []
    if span.why and any(one.lost for one in tallies.values()):
        remarks.append(span.why)
        remarks += [f"{host}: the last one {one.served_again:.1f} s later" for host, one in tallies.items() if one.lost]
    if span.waits and any(WAITED in one.lost for one in tallies.values()):
        remarks.append("504: the start took longer than `request_timeout`")
    if stalled := sum(one.stalled.total() for one in tallies.values()):
        slowest = max(one.control for one in tallies.values())
        remarks.append(f"{stalled} more while the machine stood still: a plain file took {slowest:.1f} s")
    if closed := sum(one.closed for one in tallies.values()):
        remarks.append(f"{closed} kept-alive connections closed under a request")
    if again := sum(one.again for one in tallies.values()):
        remarks.append(f"{again} sent again after a GOAWAY")
    if moved := sum(one.moved for one in tallies.values()):
        remarks.append(f"{moved} led from http to https")
    return "; ".join(remarks)


def insert(page: str, figures: str, name: str) -> str:
    """The page with the figures between the marks of that name.

    Raises:
        ValueError: the page has no such marks.
    """
    marks = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, begin, rest = page.partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not begin or not end:
        raise ValueError(f"the page lacks {marks[0]} or {marks[1]}")
    return f"{before}{begin}\n{figures}\n{end}{after}"

"""What the load generator noted, as figures: counted per event, judged, shown as a table, written into a page."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .generator import Note


@dataclass(frozen=True)
class Span:
    """An event, from when on requests may be hit by it until nothing of it is left (seconds of time.monotonic).

    `acted` is the moment at which something was done. `why` says how the event costs requests: without it none may be
    lost. `closes`: nginx may close kept-alive connections that seem idle to it.
    """

    event: str
    begin: float
    acted: float
    end: float
    why: str = ""
    closes: bool = False


@dataclass
class Tally:
    """What the visitors of one host got during one event. Times are in seconds."""

    requests: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    closed: int = 0
    slowest: float = 0.0
    """Of the requests that are answered at once on a good day."""
    served_again: float = 0.0
    """From the deed until the last request was sent that got lost."""
    releases: set[str] = field(default_factory=set)
    late: float = 0.0
    """How much later than due the generator itself sent a request."""


def read(path: Path) -> list[Note]:
    """The notes of one generator."""
    return [Note(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def tally(notes: Iterable[Note], span: Span) -> Tally:
    """Count what was sent during an event."""
    found = Tally()
    for note in notes:
        if not span.begin <= note.sent < span.end:
            continue
        found.requests += 1
        found.late = max(found.late, note.late)
        if note.release:
            found.releases.add(note.release)
        if note.outcome == "ok":
            if "slow" not in note.stream:
                found.slowest = max(found.slowest, note.seconds)
        elif note.outcome == "closed" and span.closes:
            found.closed += 1
        else:
            found.lost[note.outcome] += 1
            found.served_again = max(found.served_again, note.sent - span.acted)
    return found


def faults(span: Span, tallies: Mapping[str, Tally]) -> list[str]:
    """What must not be: a request lost where no process was killed, or an event that nobody watched."""
    found = []
    for host, counted in tallies.items():
        if not counted.requests:
            found.append(f"{span.event}: nothing was asked of {host}")
        if counted.lost and not span.why:
            kinds = ", ".join(f"{number} x {outcome}" for outcome, number in counted.lost.most_common())
            found.append(f"{span.event}: {host} lost {counted.lost.total()} of {counted.requests} requests: {kinds}")
    return found


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
    told = []
    if span.why and any(one.lost for one in tallies.values()):
        told.append(span.why)
        told += [f"{host}: the last one {one.served_again:.1f} s later" for host, one in tallies.items() if one.lost]
    if closed := sum(one.closed for one in tallies.values()):
        told.append(f"{closed} kept-alive connections closed under a request")
    return "; ".join(told)


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

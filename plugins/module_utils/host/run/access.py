"""nginx's access log: its lines, whether written as text or as JSON, and what they say about the last minutes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ...contract import bounded
from ...contract.names import TRAFFIC_WINDOW as WINDOW

BUCKETS = 30
"""In how many parts the window is counted for the charts."""
LIMIT = 16 << 20
"""Bytes that are read of a log, from its end."""
TEXT = re.compile(
    r'\S+ - \S{1,64} \[(?P<time>[^\]]{19,35})\] "(?P<request>[^"]*)" (?P<status>\d{3}) \d+ '
    r'"[^"]*" "[^"]*" (?P<host>\S+) (?P<seconds>\d{1,9}\.\d{1,6})'
)
"""The beginning of a line in the format `slipway`: nginx writes a quote in a value as letters."""


@dataclass(frozen=True)
class Request:
    """One line."""

    when: float
    path: str
    status: int
    seconds: float


def parse(line: str) -> Request | None:
    """The request of a line; None for a line of another format."""
    fields: dict[str, Any]
    try:
        if line.startswith("{"):
            fields = bounded.loads(line, bounded.LINE)
            fields = {**fields, "seconds": fields["request_time"]}
        else:
            match = TEXT.match(line)
            if not match:
                return None
            fields = match.groupdict()
        words = str(fields["request"]).split()
        return Request(
            when=datetime.fromisoformat(str(fields["time"])).timestamp(),
            path=words[1].partition("?")[0] if len(words) > 1 else "",
            status=int(fields["status"]),
            seconds=float(fields["seconds"]),
        )
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


def backwards(descriptors: Sequence[int], limit: int = LIMIT) -> Iterator[str]:
    """The lines of a log, the last one first.

    Args:
        descriptors: of the log, then of the earlier ones that rotation has left.
        limit: bytes that are read of each.
    """
    for descriptor in descriptors:
        end = os.fstat(descriptor).st_size
        at, rest = end, b""
        while at > max(0, end - limit):
            begin = max(0, at - (256 << 10), end - limit)
            first, *lines = (os.pread(descriptor, at - begin, begin) + rest).split(b"\n")
            at, rest = begin, first
            for line in reversed(lines):
                if line:
                    yield line.decode("utf-8", "replace")
            if len(rest) > (1 << 20):  # no line of nginx's
                rest = b""
        if rest and at == 0:
            yield rest.decode("utf-8", "replace")


def figures(lines: Iterable[str], mounts: Sequence[str], now: float) -> dict[str, dict[str, Any]]:
    """What the requests of the last minutes were, by mount.

    Args:
        lines: the last one first.
        mounts: of the apps of the site; a request belongs to the longest that its path begins with.
        now: the time.
    """
    taken: dict[str, list[Request]] = {mount: [] for mount in mounts}
    longest = sorted(mounts, key=len, reverse=True)
    for line in lines:
        request = parse(line)
        if request is None:
            continue
        if request.when < now - WINDOW - 60:  # a line is written when its answer ends: they are nearly in order
            break
        if not now - WINDOW <= request.when <= now + 60:
            continue
        mount = next((one for one in longest if _below(request.path, one)), None)
        if mount is not None:
            taken[mount].append(request)
    return {mount: _figures(requests, now) for mount, requests in taken.items()}


def _below(path: str, mount: str) -> bool:
    return mount == "/" or path == mount or path.startswith(f"{mount}/")


def _figures(requests: Sequence[Request], now: float) -> dict[str, Any]:
    counts, errors = [0] * BUCKETS, [0] * BUCKETS
    for request in requests:
        number = min(BUCKETS - 1, max(0, int((request.when - (now - WINDOW)) * BUCKETS / WINDOW)))
        counts[number] += 1
        errors[number] += request.status >= 500
    times = sorted(request.seconds for request in requests if request.status != 101)
    return {
        "requests": len(requests),
        "errors": sum(errors),
        # Nearest rank: the smallest time that 95 of 100 requests did not exceed.
        "p95": round(times[-(-len(times) * 95 // 100) - 1] * 1000) if times else None,
        "counts": counts,
        "failed": errors,
    }

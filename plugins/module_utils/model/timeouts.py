"""One number sets the timeouts of an app: its `request_timeout`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import schema


@dataclass(frozen=True)
class Timeouts:
    """Seconds."""

    request: int
    longest: int
    """Of `request` and those of `locations`."""
    connect: int
    gunicorn: int
    graceful: int
    stop: int
    drain: int
    linger: int
    stream: int
    boot: int
    build: int


def derive(entry: Mapping[str, Any]) -> Timeouts:
    """All timeouts of an app, from its `request_timeout` and its exceptions.

    The distances are measured. With gunicorn's timeout 5 s above nginx's, 504 always means too slow, and 502 that the
    process is gone. 10 s more let the last graceful worker exit before the manager kills it.
    """
    given = entry.get("timeouts", {})
    request = entry.get("request_timeout", schema.table(schema.APP)["request_timeout"].default)
    longest = max(request, *(one.get("request_timeout", 0) for one in entry.get("locations", {}).values()), 0)
    fixed = schema.table(schema.TIMEOUTS)
    graceful = given.get("graceful", longest + 5)
    return Timeouts(
        request=request,
        longest=longest,
        connect=given.get("connect", fixed["connect"].default),
        gunicorn=given.get("gunicorn", longest + 5),
        graceful=graceful,
        stop=given.get("stop", graceful + 10),
        drain=given.get("drain", longest),
        linger=given.get("linger", longest),
        stream=given.get("stream", fixed["stream"].default),
        boot=given.get("boot", fixed["boot"].default),
        build=given.get("build", fixed["build"].default),
    )

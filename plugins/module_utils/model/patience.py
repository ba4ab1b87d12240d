"""How long one call to a host may take: longer than all that it may wait for there, by the apps' own timeouts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import durations, schema
from .checks import parse_duration
from .timeouts import derive

DAY = 86400.0
"""Seconds for what only a template tells."""
TIMES = 3
"""How often a step of an app may happen in one call. When the guess at its interface was wrong, a second virtualenv is built.
The source's own build commands may take as long again. When an instance fails, the previous one begins again."""
ELSEWHERE = frozenset({"stream"})
"""Timeouts for which no call waits."""


def seconds(apps: Any) -> float:
    """What all apps of an inventory may take one after the other, as on a host with one core.

    Args:
        apps: as the inventory has them: a mapping, a list, or something that is yet to be templated.
    """
    if isinstance(apps, str):
        return DAY
    entries = apps.values() if isinstance(apps, Mapping) else apps or ()
    return sum(_of(entry) for entry in entries if isinstance(entry, Mapping))


def waits(value: Any) -> float:
    """The sum of all numbers in settings of timeouts, however deep they lie; a day for one that is yet to be templated."""
    if isinstance(value, Mapping):
        return sum(map(waits, value.values()))
    if isinstance(value, (list, tuple)):
        return sum(map(waits, value))
    if isinstance(value, str):
        return DAY if "{{" in value else 0
    return float(value) if isinstance(value, (int, float)) else 0


def _of(entry: Mapping[str, Any]) -> float:
    entry = durations.in_seconds(entry)
    timeouts = entry.get("timeouts")
    timeouts = timeouts if isinstance(timeouts, Mapping) else {"all": timeouts}
    request = entry.get("request_timeout")
    known: dict[str, Any] = {"timeouts": {name: value for name, value in timeouts.items() if isinstance(value, int)}}
    if isinstance(request, int):
        known["request_timeout"] = request
    family = vars(derive(known))
    # Whatever is no number is a template, or a fault that the preflight names.
    unknown = [value for value in (request, *timeouts.values()) if not isinstance(value, (int, float))]
    return (
        TIMES * sum(value for name, value in family.items() if name not in ELSEWHERE)
        + waits(unknown)
        + waits(entry.get("hooks"))
        + TIMES * _processes(entry.get("processes"))
    )


def _processes(value: Any) -> float:
    """How long processes may take to end and to prove themselves."""
    if not isinstance(value, Mapping):
        return waits(value)
    known = schema.table(schema.PROCESS)
    total = 0.0
    for one in value.values():
        given = one if isinstance(one, Mapping) else {}
        for name in ("stop_timeout", "soak"):
            given_or_default = given.get(name, known[name].default)
            try:
                total += parse_duration(given_or_default)
            except ValueError:
                total += waits(given_or_default)
    return total

"""Schedules of timers: a time of the day, cron's five fields, or systemd's calendar form."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..contract.manifest import Moments
from . import calendar_form
from .spelling import as_yaml

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
"""cron's fields, each with its limits. Sunday is 0 and 7."""
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_PART = re.compile(r"(\*|[0-9a-z]+)(?:-([0-9a-z]+))?(?:/([0-9]+))?")
_CALENDAR = re.compile(r"[A-Za-z0-9*,./:~+ _-]{1,120}")
_YEARS = 8
"""In eight years each date comes once, also the 29th of February."""
_BEGIN = datetime.datetime(2027, 1, 1)  # no zone: a schedule is in the host's own time
_ENOUGH = 3000
"""Moments from which the shortest distance is read."""


def parse(text: str) -> Moments | None:
    """The moments of a schedule; None for systemd's calendar form.

    Raises:
        ValueError: it is none; the text says what is wrong.
    """
    if clock := _CLOCK.fullmatch(text):
        return _moments([clock[2].lstrip("0") or "0", clock[1].lstrip("0") or "0", "*", "*", "*"])
    if re.fullmatch(r"[0-9]{1,2}:[0-9]{1,2}", text):
        raise ValueError('must be a time from "00:00" to "23:59", in quotes')
    parts = text.split(" ")
    if len(parts) == 5 and all(re.fullmatch(r"[0-9a-z*,/-]+", part.lower()) for part in parts):
        return _moments([part.lower() for part in parts])
    if text.startswith("@") or not _CALENDAR.fullmatch(text) or not (":" in text or "-" in text or text.isalpha()):
        raise ValueError('must be a time such as "03:30", five fields of cron, or a calendar form of systemd')
    return None


def _moments(parts: list[str]) -> Moments:
    values = [_field(part, *limits) for part, limits in zip(parts, FIELDS, strict=True)]
    minute, hour, day, month, weekday = values
    weekday = tuple(sorted({number % 7 for number in weekday}))
    # cron: where both name days, one of them is enough.
    either = not parts[2].startswith("*") and not parts[4].startswith("*")
    return Moments(minute, hour, day, month, weekday, either)


def _field(text: str, name: str, low: int, high: int) -> tuple[int, ...]:
    names = {
        "month": {word: n for n, word in enumerate(MONTHS, 1)},
        "weekday": {word: n for n, word in enumerate(DAYS)},
    }
    chosen: set[int] = set()

    def number(word: str) -> int:
        value = names.get(name, {}).get(word, int(word) if word.isdigit() else -1)
        if not low <= value <= high:
            raise ValueError(f"has {as_yaml(word)} as its {name}; must be from {low} to {high}")
        return value

    for part in text.split(","):
        match = _PART.fullmatch(part)
        if not match or (match[1] == "*" and match[2]):
            raise ValueError(f"has {as_yaml(part)} as its {name}, which cron does not know")
        step = int(match[3] or 1)
        first = low if match[1] == "*" else number(match[1])
        last = high if match[1] == "*" or (match[3] and not match[2]) else number(match[2] or match[1])
        if step < 1 or first > last:
            raise ValueError(f"has {as_yaml(part)} as its {name}, which never comes")
        chosen.update(range(first, last + 1, step))
    return tuple(sorted(chosen))


def occurrences(moments: Moments) -> Iterator[datetime.datetime]:
    """The moments of some years, in order."""
    for days in range(_YEARS * 366):
        day = _BEGIN + datetime.timedelta(days)
        if moments.on(day.month, day.day, day.isoweekday() % 7):
            for hour in moments.hour:
                for minute in moments.minute:
                    yield day + datetime.timedelta(hours=hour, minutes=minute)


def shortest(moments: Moments) -> int | None:
    """The fewest seconds from one moment to the next; None where there is none at all."""
    last, least = None, None
    for count, moment in enumerate(occurrences(moments)):
        if last is not None:
            gap = int((moment - last).total_seconds())
            least = gap if least is None else min(least, gap)
        last = moment
        if count > _ENOUGH:
            break
    if last is None:
        return None
    return _YEARS * 366 * 86400 if least is None else least


def calendar(moments: Moments) -> tuple[str, ...]:
    """The same for systemd (systemd.time(7)), one line each."""
    clock = f"{_list(moments.hour, 24)}:{_list(moments.minute, 60)}:00"
    month, day = _list(moments.month, 12), _list(moments.day, 31)
    weekdays = ",".join(DAYS[number].capitalize() for number in moments.weekday)
    named = "" if len(moments.weekday) == 7 else f"{weekdays} "
    if moments.either:
        return (f"*-{month}-{day} {clock}", f"{weekdays} *-{month}-* {clock}")
    return (f"{named}*-{month}-{day} {clock}",)


def _list(numbers: tuple[int, ...], all_of_them: int) -> str:
    return "*" if len(numbers) == all_of_them else ",".join(f"{number:02}" for number in numbers)


def fault(text: str) -> str | None:
    """What is wrong with a schedule, as far as the controller can say it."""
    try:
        moments = parse(text)
    except ValueError as error:
        return str(error)
    if moments is None:
        return calendar_form.fault(text)
    return "never comes: no month has that day" if shortest(moments) is None else None


def for_systemd(entries: Any) -> bool:
    """Whether one of the timers has a schedule that only systemd reads."""
    given = entries.values() if isinstance(entries, Mapping) else ()
    texts = [str(one.get("schedule", "")) for one in given if isinstance(one, Mapping)]
    return any(not fault(text) and parse(text) is None for text in texts)

"""systemd's calendar form (systemd.time(7)), as far as the controller can judge it: the host's systemd has the last word.

It refuses what no systemd reads. A time zone is the host's to know, and is not judged.
"""

from __future__ import annotations

import re

from .spelling import as_yaml

NAMED = (
    *("minutely", "hourly", "daily", "weekly", "monthly", "quarterly", "yearly", "annually", "anually"),
    *("semiannually", "semi-annually", "biannually", "bi-annually"),
)
"""Words that are a whole schedule. systemd also reads the misspelt one."""
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY = f"(?:{'|'.join(f'{day}|{day[:3]}' for day in DAYS)})"
_WEEKDAYS = re.compile(rf"{_DAY}(?:(?:,|\.\.|-){_DAY})*,?", re.IGNORECASE)
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+/-]*")
_NUMBER = r"[0-9]+"
_ITEM = re.compile(rf"({_NUMBER})(?:\.\.({_NUMBER}))?(?:/({_NUMBER}))?")
_SECOND = re.compile(r"([0-9]+(?:\.[0-9]+)?)(?:\.\.([0-9]+(?:\.[0-9]+)?))?(?:/([0-9]+(?:\.[0-9]+)?))?")
_LIMITS = {"year": (0, 2199), "month": (1, 12), "day": (1, 31), "hour": (0, 23), "minute": (0, 59), "second": (0, 60)}


def fault(text: str) -> str | None:
    """What no systemd reads in a schedule, as the end of a sentence that begins with its key; None for nothing."""
    words = text.split()
    rest = list(words)
    if (rest and rest[0].lower() in NAMED) or (rest and _WEEKDAYS.fullmatch(rest[0])):
        del rest[0]
    if rest and ":" not in rest[0] and re.match(r"[0-9*]", rest[0]) and (problem := _date(rest.pop(0))):
        return problem
    if rest and ":" in rest[0] and (problem := _clock(rest.pop(0))):
        return problem
    if len(rest) == 1 < len(words) and _ZONE.fullmatch(rest[0]) and not _WEEKDAYS.fullmatch(rest[0]):
        del rest[0]
    return f"has {as_yaml(rest[0])}, which systemd reads neither as weekdays nor as a date or a time" if rest else None


def _date(word: str) -> str | None:
    """The fault of a date: year, month and day, of which the year may be left out."""
    parts = re.split(r"[-~]", word)
    if len(parts) not in (2, 3) or "~" in word[: max(map(word.rfind, "-~"))]:
        return f"has the date {as_yaml(word)}; must be such as 2027-01-31, *-*-01 or *-02~01"
    return _components(("year", "month", "day")[-len(parts) :], parts)


def _clock(word: str) -> str | None:
    """The fault of a time of the day: hour, minute and perhaps second."""
    parts = word.split(":")
    if len(parts) not in (2, 3):
        return f"has the time {as_yaml(word)}; must be such as 04:00, *:0/10 or 04:00:30"
    return _components(("hour", "minute", "second")[: len(parts)], parts)


def _components(names: tuple[str, ...], parts: list[str]) -> str | None:
    for name, part in zip(names, parts, strict=True):
        if part != "*" and (problem := _component(name, part)):
            return problem
    return None


def _component(name: str, part: str) -> str | None:
    """The fault of a list of numbers, each perhaps with the end of a range and a step."""
    low, high = _LIMITS[name]
    for item in part.split(","):
        match = (_SECOND if name == "second" else _ITEM).fullmatch(item)
        if not match:
            return f"has {as_yaml(item)} as its {name}; must be numbers such as 1, 1..5 or 0/2, or *"
        first, last, step = (float(number) if number else None for number in match.groups())
        if first is not None and last is not None and step:
            last -= max(last - first, 0) % step  # the last one that the steps reach
        if any(number is not None and not low <= number <= high for number in (first, last)):
            return f"has {as_yaml(item)} as its {name}; must be from {low} to {high}"
        if step == 0 or (first is not None and last is not None and last < first):
            return f"has {as_yaml(item)} as its {name}, which never comes"
        # Of days, a date that counts from the end of the month has other limits.
        if first is not None and last is None and step and name != "day" and first + step > high:
            return f"has {as_yaml(item)} as its {name}, whose step leads beyond {high}; leave the step out"
    return None

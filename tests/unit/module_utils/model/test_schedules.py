"""Schedules of timers: what is refused, and that systemd and the kit's own runner read the same."""

from __future__ import annotations

import datetime
import re
import subprocess

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.contract.manifest import Moments
from ansible_collections.slipway.kit.plugins.module_utils.model import calendar_form, schedules
from ansible_collections.slipway.kit.plugins.module_utils.programs import timer
from hypothesis import given, settings
from hypothesis import strategies as st


def moments(text: str) -> Moments:
    parsed = schedules.parse(text)
    assert parsed is not None
    return parsed


@pytest.mark.parametrize(
    ("text", "calendar", "shortest"),
    [
        ("03:30", ["*-*-* 03:30:00"], 86400),
        ("00:00", ["*-*-* 00:00:00"], 86400),
        ("*/15 * * * *", ["*-*-* *:00,15,30,45:00"], 900),
        ("* * * * *", ["*-*-* *:*:00"], 60),
        ("0 6-8/2 * jan,MAR *", ["*-01,03-* 06,08:00:00"], 7200),
        ("5 4 * * 1-5", ["Mon,Tue,Wed,Thu,Fri *-*-* 04:05:00"], 86400),
        ("5 4 * * 7", ["Sun *-*-* 04:05:00"], 604800),
        ("5 4 1 * mon", ["*-*-01 04:05:00", "Mon *-*-* 04:05:00"], 86400),
        ("0 0 29 2 *", ["*-02-29 00:00:00"], 4 * 365 * 86400 + 86400),
    ],
)
def test_schedules_for_systemd(text: str, calendar: list[str], shortest: int) -> None:
    assert list(schedules.calendar(moments(text))) == calendar
    assert schedules.shortest(moments(text)) == shortest


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("24:00", 'must be a time from "00:00" to "23:59"'),
        ("60 * * * *", "has '60' as its minute; must be from 0 to 59"),
        ("* * * * 8", "has '8' as its weekday"),
        ("5-1 * * * *", "which never comes"),
        ("*/0 * * * *", "which never comes"),
        ("a * * * *", "has 'a' as its minute"),
        ("0 0 31 2 *", "no month has that day"),
        ("@daily", "must be a time such as"),
        ("soon; rm -rf /", "must be a time such as"),
        ("* * * *\n*", "must be a time such as"),
        ("", "must be a time such as"),
    ],
)
def test_bad_schedules(text: str, words: str) -> None:
    assert words in (schedules.fault(text) or "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dayly", "has 'dayly', which systemd reads neither as weekdays nor as a date or a time"),
        ("Mno *-*-* 04:00", "has 'Mno', which systemd reads neither"),
        ("Mon *-13-01 04:00", "has '13' as its month; must be from 1 to 12"),
        ("*-*-32 04:00", "has '32' as its day; must be from 1 to 31"),
        ("*-* * 04:00", "has '*', which systemd reads neither"),
        ("*~01-02 04:00", "has the date '*~01-02'"),
        ("Mon 24:00", "has '24' as its hour; must be from 0 to 23"),
        ("Mon 04:60", "has '60' as its minute; must be from 0 to 59"),
        ("*:*/10", "has '*/10' as its minute; must be numbers such as 1, 1..5 or 0/2, or *"),
        ("*:10..5", "has '10..5' as its minute, which never comes"),
        ("*:0/90", "has '0/90' as its minute, whose step leads beyond 59"),
        ("04:00 Mon", "has 'Mon'"),
    ],
)
def test_calendar_forms_that_no_systemd_reads(text: str, words: str) -> None:
    assert words in (schedules.fault(text) or "")
    assert subprocess.run(["systemd-analyze", "calendar", "--", text], capture_output=True, check=False).returncode


DAY = st.sampled_from(["Mon", "tue", "Wednesday", "Thu,Sat", "Mon..Fri", "Fri-Sun", "Mon,", "Mno", ""])


def chain(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high + 1).map(str)
    item = st.tuples(number, st.just("") | number.map("..{}".format), st.just("") | number.map("/{}".format)).map(
        "".join
    )
    return st.just("*") | st.lists(item, min_size=1, max_size=2).map(",".join)


DATE = st.tuples(chain(2027, 2028), chain(1, 12), chain(1, 31)).flatmap(
    lambda parts: st.sampled_from(["-".join(parts), "-".join(parts[1:]), f"{parts[0]}-{parts[1]}~{parts[2]}", ""])
)
CLOCK = st.tuples(chain(0, 23), chain(0, 59), chain(0, 59)).flatmap(
    lambda parts: st.sampled_from([":".join(parts), ":".join(parts[:2]), ""])
)


@settings(max_examples=60, deadline=None)
@given(st.tuples(DAY, DATE, CLOCK, st.sampled_from(["", "UTC"])).map(lambda words: " ".join(filter(None, words))))
def test_no_calendar_form_is_refused_that_systemd_reads(text: str) -> None:
    words = ["systemd-analyze", "calendar", "--", text]
    if text and subprocess.run(words, capture_output=True, check=False).returncode == 0:
        assert calendar_form.fault(text) is None


@pytest.mark.parametrize(
    "text", ["Mon *-*-1..7 04:00", "hourly", "*:0/10", "*:*:0/0.5", "*:*:0..1.5/0.25", "Sat,Sun 12:00 Europe/Berlin"]
)
def test_what_only_systemd_reads(text: str) -> None:
    assert schedules.fault(text) is None
    assert schedules.parse(text) is None
    assert schedules.for_systemd({"clean": {"schedule": text}})


FIELDS = [st.lists(st.integers(low, high), min_size=1, max_size=3) | st.none() for _name, low, high in schedules.FIELDS]


@settings(max_examples=25, deadline=None)
@given(st.tuples(*FIELDS))
def test_systemd_and_the_runner_are_due_at_the_same_times(values: tuple[list[int] | None, ...]) -> None:
    text = " ".join("*" if numbers is None else ",".join(map(str, numbers)) for numbers in values)
    parsed = moments(text)
    first = next(schedules.occurrences(parsed), None)
    if first is None:
        return
    data = vars(parsed)
    assert timer.on(data, first.timetuple())
    begin = datetime.datetime(2026, 12, 31, 23, 59, 59)
    nearest: list[str] = []
    for line in schedules.calendar(parsed):
        command = ["systemd-analyze", "calendar", f"--base-time={begin:%Y-%m-%d %H:%M:%S} UTC", "--", line]
        output = subprocess.run(
            command, capture_output=True, text=True, check=True, env={"TZ": "UTC", "LC_ALL": "C"}
        ).stdout
        nearest += re.findall(r"Next elapse: \w+ (\S+ \S+)", output)
    assert min(nearest) == f"{first:%Y-%m-%d %H:%M:%S}", text

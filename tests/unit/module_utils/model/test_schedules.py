"""Schedules of timers: what is refused, and that systemd and the kit's own runner read the same."""

from __future__ import annotations

import datetime
import re
import subprocess

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.contract.manifest import Moments
from ansible_collections.slipway.kit.plugins.module_utils.model import schedules
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


@pytest.mark.parametrize("text", ["Mon *-*-1..7 04:00", "hourly", "*:0/10", "Sat,Sun 12:00 Europe/Berlin"])
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

"""Logs: merged by time, a request's lines in all of them, and none lost or doubled while they are rotated and apps are deployed."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from daily import HOSTS, SCENARIO, SYSTEMD, rows

from tests.patience import patience

CLIENT = r"""
import http.client, os, sys, time
number = 0
while not os.path.exists("/tmp/stop"):
    connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=20)
    connection.request("GET", f"/{sys.argv[1]}-{number}.", headers={"Host": "shop.test"})
    assert connection.getresponse().status == 200
    number += 1
    time.sleep(0.05)
print(number)
"""
VISIT = r"""
import http.client, json, sys
connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=60)
connection.request("GET", sys.argv[1], headers={"Host": "shop.test"})
print(json.dumps(connection.getresponse().status))
"""
SIZES = r"""
import glob, json, os
print(json.dumps({os.path.basename(path): os.path.getsize(path) for path in glob.glob("/var/log/slipway/shop/*")}))
"""


TOKEN = secrets.token_hex(4)
NUMBER = re.compile(rf"/{TOKEN}-(\d+)\.")
SOURCES = ("web", "nginx")


@pytest.mark.parametrize("host", HOSTS)
def test_a_request_is_found_in_all_logs(host: str) -> None:
    assert SCENARIO.python(host, VISIT, "/boom") == 500
    _, [*entries] = rows("logs", app="shop", since="2m", grep="/boom")
    request_id = next(re.search(r"[0-9a-f]{32}", one["text"]) for one in reversed(entries) if one["host"] == host)
    assert request_id
    _, matches = rows("logs", app="shop", grep=request_id[0])
    assert {one["host"] for one in matches} == {host}
    assert Counter(one["source"] for one in matches) == {"web": 2, "nginx": 1}
    trace = next(one["text"] for one in matches if "Traceback" in one["text"])
    assert trace.startswith("[") and trace.splitlines()[-1] == rf"ValueError: boom\x1b[31m of {request_id[0]}"
    shown = SCENARIO.play("logs", app="shop", grep=request_id[0]).stdout
    assert "\x1b" not in shown and "    | Traceback" in shown
    times = [one["at"] for one in entries]
    assert times == sorted(times)


def test_wrong_requests_get_one_message() -> None:
    completed = SCENARIO.play("logs", app="shop", grep="(", since="soon")
    assert (
        completed.returncode
        and "grep is no regular expression" in completed.stdout
        and "since must be a duration" in completed.stdout
    )


def rotated_and_deployed(lines: Sequence[str]) -> dict[str, int]:
    """Rotate and deploy while clients make requests; returns how many each host got. `lines` are those that were followed."""
    argv = ["podman", "exec", "-i"]
    clients = {
        host: subprocess.Popen(
            [*argv, SCENARIO.container(host), "python3", "-c", CLIENT, TOKEN],
            env=SCENARIO.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for host in HOSTS
    }
    try:
        until(lambda: all(seen(lines, host, "web") for host in HOSTS), lambda: lines[-20:])
        for host in HOSTS:
            SCENARIO.within(host, "logrotate", "-f", "/etc/logrotate.d/slipway")
            SCENARIO.within(host, "logrotate", "-f", "/etc/logrotate.d/nginx")
            assert SCENARIO.python(host, VISIT, "/flood") == 200
            wait_for_large_file(host)
        completed = SCENARIO.play("deploy", greeting=f"while logs are followed, {time.time()}")
        assert completed.returncode == 0, completed.stdout
        for host in HOSTS:
            SCENARIO.within(host, "logrotate", "-f", "/etc/logrotate.d/slipway")
        completed = SCENARIO.play("rollback", app="shop")
        assert completed.returncode == 0, completed.stdout
    finally:
        for host in HOSTS:
            SCENARIO.within(host, "touch", "/tmp/stop")
        outputs = {host: client.communicate(timeout=patience(30))[0] for host, client in clients.items()}
    return {host: int(output) for host, output in outputs.items()}


def wait_for_large_file(host: str) -> None:
    """Wait until a log was moved by its size: logrotate, which compresses the file, comes later."""
    until(
        lambda: any(size >= 20_000_000 for size in SCENARIO.python(host, SIZES).values()),
        lambda: SCENARIO.python(host, SIZES),
    )


def seen(lines: Sequence[str], host: str, source: str) -> Counter[int]:
    """How often the line of each request was shown, of one source on a host.

    A line without a time, after another program's in the same answer, may stand before an older one.
    """
    about = [line for line in [*lines] if f" {host} {source} | " in line]
    return Counter(int(match[1]) for line in about if (match := NUMBER.search(line)))


def test_no_line_is_lost_or_doubled() -> None:
    """While the logs are followed: rotated by age and by size, over a deploy and a rollback."""
    for host in HOSTS:
        SCENARIO.within(host, "rm", "-f", "/tmp/stop")
    follow = subprocess.Popen(
        SCENARIO.command("logs", app="shop", since="5m", follow=True, grep=f"{TOKEN}|tick ticker"),
        env=SCENARIO.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(follow.stdout or ()))
    reader.start()
    try:
        counts = rotated_and_deployed(lines)
        wanted = {host: Counter(range(count)) for host, count in counts.items()}
        places = [(host, source) for host in HOSTS for source in SOURCES]
        until(
            lambda: all(len(seen(lines, host, source)) == counts[host] for host, source in places),
            lambda: [
                follow.poll(),
                {place: (wanted[place[0]] - seen(lines, *place), max(seen(lines, *place))) for place in places},
                [line for line in lines if TOKEN not in line][-20:],
            ],
        )
    finally:
        follow.terminate()
        follow.wait(patience(30))
        reader.join(patience(30))
    for host in HOSTS:
        for source in SOURCES:
            assert seen(lines, host, source) == wanted[host], (host, source)
        ticks_are_whole(lines, host)
    # And a later look finds no line twice. It reads the end of each file, so the flood hides what came just before it.
    _, matches = rows("logs", app="shop", since="20m", grep=f"page /{TOKEN}")
    for host in HOSTS:
        texts = [one["text"] for one in matches if one["host"] == host]
        assert Counter(texts).most_common(1)[0][1] == 1 and len(texts) >= counts[host] / 2, (
            host,
            len(texts),
            counts[host],
        )


TICK = re.compile(r" tick ticker-(\d+)-(\d+)\.")


def ticks_are_whole(lines: Sequence[str], host: str) -> None:
    """A process writes a number every 0.1 s. Each instance's are all there once, from the first to the last."""
    shown = [line for line in [*lines] if f" {host} ticker.1 | " in line]
    by_instance: dict[str, list[int]] = {}
    for match in filter(None, map(TICK.search, shown)):
        by_instance.setdefault(match[1], []).append(int(match[2]))
    assert len(by_instance) >= 3, by_instance  # before the deploy, after it and after the rollback
    for process, numbers in by_instance.items():
        if sorted(numbers) != list(range(min(numbers), max(numbers) + 1)):
            pytest.fail(
                f"{host} {process}: {numbers}\n{''.join(line for line in shown if f'-{process}-' in line)}", False
            )


FLOOD = r"""
import glob, gzip, json, subprocess, time
start = ["systemctl", "start", "slipway-shop.timer.floods.service"]
rotate = ["logrotate", "-f", "/etc/logrotate.d/slipway"]
for _ in range(2):
    run = subprocess.Popen(start)
    while run.poll() is None:
        subprocess.run(rotate, check=True)
        time.sleep(1.1)  # the new name has the second
    assert run.returncode == 0
count, names = 0, glob.glob("/var/log/slipway/shop/timer.floods.log*")
for path in names:
    with gzip.open(path) if path.endswith(".gz") else open(path, "rb") as log:
        text = log.read()
        count += text.count(b"x") - text.count(b"exit status")
print(json.dumps([count, len(names)]))
"""


def test_a_timers_log_is_whole_while_it_is_rotated_by_size_and_by_logrotate() -> None:
    count, files = SCENARIO.python(SYSTEMD, FLOOD)
    assert count == 2 * 300_000 * 99 and files >= 4
    _, matches = rows("logs", app="shop", since="5m", grep="slipway: the run ended with exit status 0")
    assert {one["source"] for one in matches} == {"timer.floods"}


def until(condition: Callable[[], bool], what: Callable[[], object]) -> None:
    """Wait for a condition."""
    end = time.monotonic() + patience(90)
    while not condition():
        assert time.monotonic() < end, what()
        time.sleep(0.2)


def test_the_result_for_programs_is_one_line() -> None:
    completed = SCENARIO.play("logs", app="shop", since="1m", format="json")
    assert isinstance(json.loads(completed.stdout), list)


def test_no_line() -> None:
    *_, last = SCENARIO.play("logs", app="shop", grep=f"never {TOKEN}").stdout.splitlines()
    assert last == "no line"
    shown = SCENARIO.play("logs", app="never", apps={"never": {"state": "absent"}}).stdout
    assert shown.strip() == "no line: no host has a release of the app"

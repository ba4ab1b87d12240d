"""An app's log holds what the app wrote, all of it, and the app cannot take it back."""

from __future__ import annotations

import json
import re

import pytest
from sandbox import HOSTS, SUPERVISOR, SYSTEMD, python, within

CUT = """
import http.client, json, os, time
def ask(path):
    connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=30)
    connection.request("GET", path, headers={"Host": "burglar.test"})
    return json.loads(connection.getresponse().read())
ask("/say?from=0&to=9")
end = time.monotonic() + 30
while (size := os.stat("/srv/burglar/current/log").st_size) <= 1000 and time.monotonic() < end:
    time.sleep(0.1)
print(json.dumps([ask("/cut"), size, os.stat("/srv/burglar/current/log").st_size]))
"""

SAY = """
import gzip, http.client, glob, json, os, subprocess, sys, threading, time
CHUNK, DISTURBANCES = 200, json.loads(sys.argv[1])
log = os.path.realpath("/srv/burglar/current/log")
over, said, faults = threading.Event(), [], []
numbers = iter(range(1000, 10**9, CHUNK))
def ask(first):
    connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=30)
    connection.request("GET", f"/say?from={first}&to={first + CHUNK}", headers={"Host": "burglar.test"})
    return connection.getresponse().status
def talk():
    while not over.is_set():
        first = next(numbers)
        (said if ask(first) == 200 else faults).append(first)
def disturb(command):
    subprocess.run(["sh", "-c", command], check=True, capture_output=True)
for path in glob.glob(log + "[.-]*"):
    os.unlink(path)
talkers = [threading.Thread(target=talk) for _ in range(3)]
for talker in talkers:
    talker.start()
for command in DISTURBANCES:
    time.sleep(0.7)
    disturb(command)
time.sleep(1)
over.set()
for talker in talkers:
    talker.join()
def read():
    text = ""
    for path in sorted(glob.glob(log + "[.-]*"), key=os.path.getmtime) + [log]:
        with (gzip.open if path.endswith(".gz") else open)(path, "rt") as file:
            text += file.read()
    whole = {}
    for block in text.split("said ")[1:]:
        number, _, rest = block.partition("\\n")
        if rest.startswith("Traceback (most recent call last):\\n") and f"RuntimeError: trouble {number}\\n" in rest:
            whole[int(number)] = whole.get(int(number), 0) + 1
    return whole
wanted = [number for first in said for number in range(first, first + CHUNK)]
end = time.monotonic() + 30
while set(wanted) - set(whole := read()) and time.monotonic() < end:
    time.sleep(0.5)
print(json.dumps({
    "lines": len(wanted), "lost": [number for number in wanted if number not in whole][:20],
    "twice": [number for number, count in whole.items() if count > 1][:20], "faults": faults,
    "rotated": len(glob.glob(log + "[.-]*")),
}))
"""

ROTATE = "logrotate --force /etc/logrotate.d/slipway"
RESTART = {
    SYSTEMD: "systemctl restart slipway-burglar-$(basename $(readlink /srv/burglar/current))",
    SUPERVISOR: "/opt/slipway/supervisor-*/bin/supervisorctl -c /etc/slipway/supervisord.conf status >&2",
}
KILL_READER = "systemctl kill --signal=KILL slipway-burglar-*-log.service"


@pytest.mark.parametrize("host", HOSTS)
def test_an_app_cannot_cut_its_log(host: str) -> None:
    outcomes, before, after = python(host, CUT)
    assert [why for why in outcomes if not why] == []
    assert after >= before > 1000


@pytest.mark.parametrize("host", HOSTS)
def test_no_line_is_lost(host: str) -> None:
    """Neither by rotations nor by restarts of the app and of the log's reader; and tracebacks stay in one piece."""
    disturbances = [
        ROTATE,
        RESTART[host],
        ROTATE,
        *([KILL_READER, RESTART[host], KILL_READER] if host == SYSTEMD else []),
    ]
    record = python(host, SAY, json.dumps(disturbances))
    assert record["rotated"] == 2
    assert record["lines"] > 1000
    assert (record["lost"], record["twice"], record["faults"]) == ([], [], [])


@pytest.mark.parametrize("host", HOSTS)
def test_a_new_log_has_the_rights_of_the_one_before(host: str) -> None:
    rights = within(host, "sh", "-c", f"{ROTATE}; stat -c '%a %U %G' /var/log/slipway/burglar/*.log")
    assert set(rights.splitlines()) == {"640 root burglar"}


def test_a_reader_stays_small() -> None:
    """What each instance costs: the process that copies to its log."""
    command = "grep ^Pss: /proc/$(systemctl show -P MainPID slipway-burglar-*-log.service)/smaps_rollup"
    match = re.search(r"(\d+) kB", within(SYSTEMD, "sh", "-c", command))
    assert match and int(match[1]) < 10_000

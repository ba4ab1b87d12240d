"""Status and drift: hosts in order, then one of them broken in many ways, each of which is named."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils import next_commands
from daily import HOSTS, SCENARIO, SUPERVISOR, SYSTEMD

from tests.hosts.scenario import ROOT

PLAYBOOK = f"{next_commands.short(SCENARIO.command('status')[0])} -i {os.path.relpath(SCENARIO.inventory, ROOT)}"
"""How a command begins that reads the inventory of the run. The run has no PATH, so the program has its path."""

STATE = r"""
import hashlib, json, os
entries = []
for top in ("/srv/shop", "/etc/nginx", "/etc/systemd/system", "/etc/slipway", "/var/lib/slipway"):
    for folder, _, files in os.walk(top):
        # Each call may place modules, and cron looks each minute which timers are due.
        if "/var/lib/slipway/modules" in folder or "/var/lib/slipway/timers" in folder:
            continue
        for name in files:
            about = os.lstat(os.path.join(folder, name))
            entries.append([os.path.join(folder, name), about.st_mtime_ns, about.st_size, about.st_mode])
print(json.dumps(sorted(entries)))
"""

VISIT = r"""
import http.client, json, sys
statuses = []
for _ in range(int(sys.argv[2])):
    connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=20)
    connection.request("GET", sys.argv[1], headers={"Host": "shop.test"})
    statuses.append(connection.getresponse().status)
print(json.dumps(statuses))
"""

BREAK = r"""
set -e
current=$(readlink -f /srv/shop/current)
echo '# by hand' >> /etc/nginx/slipway/shop.conf
printf 'server { listen 8099; server_name legacy.test; return 204; }\n' > /etc/nginx/conf.d/legacy.conf
printf 'server { listen 80; server_name shop.test; return 204; }\n' >> /etc/nginx/conf.d/legacy.conf # nginx has not read it
sleep 1.1; echo '# by hand' >> $current/code/web.py
systemctl disable --quiet slipway-shop-$(basename $current).service
systemctl stop slipway-shop-$(basename $current).ticker.1.service slipway-shop.timer.floods.timer
systemctl start slipway-shop.timer.fails.service || true
systemctl mask --quiet nginx
touch /run/reboot-required
mount -t tmpfs -o size=1m disk /tmp; dd if=/dev/zero of=/tmp/full bs=1k count=1000 status=none
mkdir -p /etc/slipway/tls/shop.test/1; ln -sfn 1 /etc/slipway/tls/shop.test/current
openssl req -x509 -newkey rsa:2048 -nodes -days 3 -subj /CN=shop.test -keyout /dev/null \
    -out /etc/slipway/tls/shop.test/1/chain.pem 2>/dev/null
"""
MEND = r"""
systemctl start slipway-shop.timer.floods.timer
systemctl unmask --quiet nginx; umount /tmp
rm -rf /etc/slipway/tls /run/reboot-required /etc/nginx/conf.d/legacy.conf
"""


def state() -> dict[str, Any]:
    return {host: SCENARIO.python(host, STATE) for host in HOSTS}


def report(playbook: str) -> tuple[int, dict[str, Any]]:
    """The exit status of status.yml or drift.yml, and its report for programs."""
    completed = SCENARIO.play(playbook, format="json")
    return completed.returncode, json.loads(completed.stdout.splitlines()[-1])


def test_hosts_in_order_are_well(tmp_path: Path) -> None:
    for host in HOSTS:
        SCENARIO.python(host, VISIT, "/", "30")
    before = state()
    status, data = report("status")
    assert status == 0 and data["well"] and not data["problems"], data["problems"]
    assert Counter((row["host"], row["program"]) for row in data["rows"]) == Counter(
        (host, program) for host in HOSTS for program in ("web", "ticker.1")
    )
    assert {(one["host"], one["timer"]) for one in data["timers"] if one["next"] > time.time()} == {
        (host, timer) for host in HOSTS for timer in ("fails", "floods")
    }
    for row in (row for row in data["rows"] if row["program"] == "web"):
        current = Path(SCENARIO.within(row["host"], "readlink", "/srv/shop/current").strip()).name
        assert row["release"] == current and row["workers"] == row["workers_wanted"] == 2
        # The tests of the logs have asked for an error.
        assert row["requests_per_second"] >= 0.1 and row["error_share"] < 0.05 and row["memory"] > 5e6
        assert sum(row["counts"]) >= 30 and row["restarts"] == 0 and row["queue"] == 0
    status, data = report("drift")
    assert status == 0 and data == {"well": True, "drift": [], "silent": []}
    completed = SCENARIO.play("status", report="html", report_file=str(tmp_path / "status.html"))
    assert completed.returncode == 0 and "All is well." in completed.stdout, completed.stdout
    theirs = SCENARIO.play("status", environment={"ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default"})
    assert "All is well." in theirs.stdout, "other callbacks show it, too"
    page = (tmp_path / "status.html").read_text()
    assert "All is well" in page and page.count("<tr ") == 8 and "http" not in page.replace("http-equiv", "")
    assert state() == before


@pytest.fixture(scope="module")
def broken() -> Iterator[None]:
    """One host is broken in many ways, the other one in those that supervisor knows."""
    SCENARIO.within(SYSTEMD, "sh", stdin=BREAK)
    assert SCENARIO.python(SYSTEMD, VISIT, "/bad", "20") == [503] * 20
    SCENARIO.within(SUPERVISOR, "sh", "-c", "rm /etc/slipway/supervisor.d/slipway-shop-*.conf")
    yield
    SCENARIO.within(SYSTEMD, "sh", stdin=MEND)


def test_status_names_all_that_is_broken(broken: None) -> None:
    completed = SCENARIO.play("status")
    assert completed.returncode == 2
    lines = [line for line in completed.stdout.splitlines() if line.startswith(f"! {SYSTEMD}: ")]
    for words in (
        "the disk of /tmp is 9",
        "an update waits for a reboot",
        "two of nginx's sites have the name shop.test, and nginx serves the first one alone",
        "the certificate of shop.test ends in 2 days",
        f"server error. Next: {PLAYBOOK} playbooks/logs.yml -e app=shop --limit bookworm",
        "shop ticker.1 does not run",
        f"shop timer floods is stopped. Next: {PLAYBOOK} playbooks/deploy.yml -e app=shop --limit bookworm",
        "shop timer fails failed with exit status 3, ",
        f"things are not as Slipway left it. Next: {PLAYBOOK} playbooks/drift.yml --limit bookworm",
    ):
        assert any(words in line for line in lines), (words, completed.stdout)
    assert all(". Next: " in line for line in lines)
    unstarted = [
        line
        for line in completed.stdout.splitlines()
        if line.startswith(f"! {SUPERVISOR}: ") and "start at boot" in line
    ]
    assert len(unstarted) == 2 and all("playbooks/deploy.yml" in line for line in unstarted), completed.stdout


def test_drift_names_every_change_and_changes_nothing(broken: None) -> None:
    before = state()
    status, data = report("drift")
    assert status == 2 and not data["well"]
    named = {(row["kind"], row["subject"]): row["detail"] for row in data["drift"] if row["host"] == SYSTEMD}
    current = Path(SCENARIO.within(SYSTEMD, "readlink", "/srv/shop/current").strip()).name
    # A file that did not change between two releases is one file, and is named for the current one.
    assert named == {
        ("file", "/etc/nginx/slipway/shop.conf"): "was changed since Slipway wrote it",
        ("site", "/etc/nginx/conf.d/legacy.conf"): "is a site that Slipway does not manage",
        ("release", current): "was changed on the disk: code/web.py",
        ("unit", f"slipway-shop-{current}"): "is disabled, so it does not start at boot",
        ("timer", "slipway-shop.timer.floods.timer"): "is stopped",
        ("masked", "nginx.service"): "is masked, so it does not start at boot",
    }
    others = [row for row in data["drift"] if row["host"] == SUPERVISOR]
    assert [row["kind"] for row in others] == ["unit", "unit"]
    assert all("does not start at boot" in row["detail"] for row in others)
    assert state() == before
    text = SCENARIO.play("drift").stdout
    assert text.count(". Next: ") == len(data["drift"]), text


@pytest.mark.parametrize("host", HOSTS)
def test_processes_of_another_release_and_none_at_all(host: str, broken: None) -> None:
    """The link says one thing, and /proc another."""
    before = SCENARIO.within(host, "readlink", "/srv/shop/current").strip()
    old = SCENARIO.within(host, "sh", "-c", "ls -d /srv/shop/releases/*").split()
    other = next(path for path in old if not path.endswith(before))
    SCENARIO.within(host, "ln", "-sfn", f"releases/{Path(other).name}", "/srv/shop/current")
    try:
        texts = [one["text"] for one in report("status")[1]["problems"] if one["host"] == host]
        wanted = f"runs {Path(before).name}, and {Path(other).name} is current"
        assert wanted in texts, texts
        details = [row for row in report("drift")[1]["drift"] if row["host"] == host and row["kind"] == "process"]
        unit = f"slipway-shop-{Path(before).name}"
        # One host's ticker was stopped.
        assert [row["subject"] for row in details] == [unit, *([f"{unit}.ticker.1"] if host == SUPERVISOR else [])]
    finally:
        SCENARIO.within(host, "ln", "-sfn", before, "/srv/shop/current")


def test_looking_starts_no_instance_that_was_stopped(broken: None) -> None:
    """Under systemd, the first request to its socket would."""
    unit = f"slipway-shop-{Path(SCENARIO.within(SYSTEMD, 'readlink', '/srv/shop/current').strip()).name}.service"
    SCENARIO.within(SYSTEMD, "systemctl", "stop", unit)
    try:
        for _ in range(2):
            texts = [one["text"] for one in report("status")[1]["problems"] if one["host"] == SYSTEMD]
            assert "does not run: stopped" in texts, texts
        assert SCENARIO.attempt(SYSTEMD, "systemctl", "is-active", unit).stdout.strip() == "inactive"
    finally:
        SCENARIO.within(SYSTEMD, "systemctl", "start", unit)

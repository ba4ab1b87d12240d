"""Imports and hooks run as an app's user besides its instance: in the same sandbox, and no process outlives them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sandbox import HOSTS, SUPERVISOR, SYSTEMD, exposure, play, python, wait_for, within, without_systemd
from test_walls import PLANT, SANDBOX

from tests.judge.host import EXPOSURE

PROCESSES = r"""
import json, os, pwd, re
uid = pwd.getpwnam("saboteur").pw_uid
found = []
for pid in filter(str.isdecimal, os.listdir("/proc")):
    try:
        if os.stat(f"/proc/{pid}").st_uid == uid:
            found.append(open(f"/proc/{pid}/cmdline").read().replace("\0", " ").strip())
    except OSError:
        pass
print(json.dumps([line for line in found if line and "gunicorn" not in line]))
"""
"""The processes of the app's user except its instance."""

DAEMON = {"command": ["python", "web.py", "daemon"]}


def sabotage(how: str, **more: Any) -> str:
    """Deploy a saboteur that fails at its import, and return what the deploy said."""
    completed = play("deploy", app="saboteur", sabotage=how, **more)
    assert completed.returncode == 2, completed.stdout
    return completed.stdout


def tried(host: str, path: str = "/srv/saboteur/shared/tried.json") -> set[str]:
    """The attempts to leave the sandbox that succeeded."""
    return {name for name, why in json.loads(within(host, "cat", path)).items() if not why}


@pytest.fixture(params=["as it is", "without systemd"])
def host_kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """The host with supervisor as it is, and as one that has no systemd: it looks so to the kit."""
    if request.param == "as it is":
        yield request.param
        return
    with without_systemd(SUPERVISOR):
        yield request.param


def test_nothing_that_an_import_or_a_hook_starts_outlives_it(host_kind: str) -> None:
    limit = ["--limit", SUPERVISOR] if host_kind == "without systemd" else []
    hooks = {"before_activate": DAEMON, "after_activate": DAEMON}
    if not limit:  # what a run that died left behind under the same name is no obstacle
        within(SYSTEMD, "systemd-run", "--quiet", "--collect", "--unit=slipway-saboteur-hook", "sleep", "600")
    completed = play("deploy", *limit, app="saboteur", sabotage_hooks=hooks, other_host=host_kind)
    assert completed.returncode == 0, completed.stdout
    for host in [SUPERVISOR] if limit else HOSTS:
        assert python(host, PROCESSES) == []
    failed = play("deploy", *limit, app="saboteur", sabotage="daemon", other_host=host_kind)
    assert failed.returncode == 2 and "RuntimeError: done" in failed.stdout, failed.stdout
    for host in [SUPERVISOR] if limit else HOSTS:
        assert python(host, PROCESSES) == []


def test_an_import_has_the_instances_walls() -> None:
    for host in HOSTS:
        python(host, PLANT)
    # With its network closed by systemd, the app cannot reach the other host.
    others = {host: within(host, "getent", "ahostsv4", other).split()[0] for host, other in (HOSTS, HOSTS[::-1])}
    for host, address in others.items():
        completed = play("deploy", "--limit", host, app="saboteur", sabotage="try", other_host=address)
        assert completed.returncode == 2 and "RuntimeError: done" in completed.stdout, completed.stdout
    assert tried(SYSTEMD) == set()
    assert tried(SUPERVISOR) >= {"read /home", "see other users' processes", "reach another host"}


def test_a_hook_has_the_instances_walls() -> None:
    for host in HOSTS:
        python(host, PLANT)
    script = 'python web.py 1 > "$SLIPWAY_SHARED/tried.json"'
    completed = play("deploy", app="burglar", burglary={"before_activate": {"command": ["sh", "-c", script]}})
    assert completed.returncode == 0, completed.stdout
    assert tried(SYSTEMD, "/srv/burglar/shared/tried.json") == set()
    assert tried(SUPERVISOR, "/srv/burglar/shared/tried.json") == SANDBOX


def test_a_probe_is_as_little_exposed_as_an_instance() -> None:
    hooks = {"before_activate": {"command": ["sleep", "15"]}}
    levels: list[float] = []

    def judge() -> None:
        wait_for(SYSTEMD, "slipway-saboteur-hook.service")
        levels.append(exposure(SYSTEMD, "slipway-saboteur-hook.service"))

    watcher = threading.Thread(target=judge)
    watcher.start()
    completed = play("deploy", "--limit", SYSTEMD, app="saboteur", sabotage_hooks=hooks, other_host="judged")
    watcher.join()
    assert completed.returncode == 0, completed.stdout
    assert levels and levels[0] <= EXPOSURE, levels


def test_what_floods_is_cut_short() -> None:
    output = sabotage("flood")
    assert "RuntimeError: done" in output
    assert len(output) < 100_000
    hooks = {"before_activate": {"command": ["sh", "-c", "python web.py flood; exit 3"]}}
    completed = play("deploy", app="saboteur", sabotage_hooks=hooks, other_host="flooded")
    assert completed.returncode == 2 and "failed with status 3" in completed.stdout, completed.stdout
    assert len(completed.stdout) < 100_000


def test_an_app_that_answers_for_the_probe_fails_alone() -> None:
    completed = play("deploy", sabotage="empty", burglary={})
    assert completed.returncode == 2
    assert "web:app ended the import probe (status 0) before it could answer" in completed.stdout, completed.stdout
    assert "KeyError" not in completed.stdout
    for host in HOSTS:
        assert python(host, PROCESSES) == []

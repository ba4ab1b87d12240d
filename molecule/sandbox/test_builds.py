"""What a package can do while a virtualenv is built from it: no harm to others, and nothing after the build."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from sandbox import HOSTS, SUPERVISOR, exposure, play, python, wait_for, within, without_systemd
from test_walls import PLANT

from tests.hosts.scenario import ROOT

EXPOSURE = 2.0
"""The highest exposure that `systemd-analyze security` may give to a build's unit."""
SOURCE = ROOT / "tests/fixtures/apps/saboteur"

LOOK = r"""
import glob, json, os, pwd, stat
root = "/srv/saboteur"
(venv,) = {os.path.realpath(f"{root}/current/venv")}
entries = [os.path.join(place, name) for place, folders, names in os.walk(venv) for name in (*folders, *names)]
infos = {path: os.lstat(path) for path in entries}
(report,) = glob.glob(f"{venv}/lib/python*/site-packages/saboteur_report.json")
print(json.dumps({
    "report": json.load(open(report)),
    "builder": pwd.getpwnam("saboteur_build").pw_uid,
    "marks": glob.glob("/root/*-ran-as-root"),
    "owners": sorted({info.st_uid for info in infos.values()}),
    "odd modes": [p for p, i in infos.items() if not stat.S_ISLNK(i.st_mode) and stat.S_IMODE(i.st_mode) & 0o7022],
    "bytecode": [p for p in entries if p.endswith(".pyc") and "gunicorn/app" in p][:1],
    "written into the code": [p for p in glob.glob(f"{root}/current/code/**/*", recursive=True) if p.endswith((".egg-info", "/build"))],
    "legacy": glob.glob(f"{venv}/lib/python*/site-packages/saboteur_legacy.py"),
    "hidden beside it": glob.glob(f"{root}/venvs/.*"),
    "top": [stat.S_IMODE(os.stat(venv).st_mode), os.stat(venv).st_gid == pwd.getpwnam("saboteur").pw_gid],
}))
"""

LEFT = r"""
import json, os, pwd
uid = pwd.getpwnam("saboteur_build").pw_uid
pids = [pid for pid in os.listdir("/proc") if pid.isdecimal()]
def owner(pid):
    try: return os.stat(f"/proc/{pid}").st_uid
    except OSError: return -1
def files(place):
    found = (os.path.join(top, name) for top, folders, names in os.walk(place) for name in (*folders, *names))
    return [path for path in found if os.lstat(path).st_uid == uid]
print(json.dumps(
    [open(f"/proc/{pid}/cmdline").read() for pid in pids if owner(pid) == uid]
    + [path for place in ("/tmp", "/var/tmp", "/dev/shm", "/run/lock") for path in files(place)]
))
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of the saboteur that a test may tell what to do."""
    return Path(shutil.copytree(SOURCE, tmp_path / "saboteur"))


def deploy(source: Path, mode: str, *options: str, **more: Any) -> subprocess.CompletedProcess[str]:
    (source / "package/mode").write_text(f"{mode}\n")
    return play("deploy", *options, app="saboteur", saboteur=str(source), **more)


def test_a_build_reaches_nothing_but_what_it_builds(source: Path) -> None:
    for host in HOSTS:
        python(host, PLANT)
    completed = deploy(source, "")
    assert completed.returncode == 0, completed.stdout
    for host in HOSTS:
        traces = python(host, LOOK)
        assert traces["report"]["uid"] == traces["builder"], "neither root nor the app's user"
        assert len(traces["report"]["groups"]) == 1
        assert [name for name, why in traces["report"]["attempts"].items() if not why] == []
        assert traces["marks"] == [], "root ran what a package brought"
        assert (traces["owners"], traces["odd modes"], traces["top"]) == ([0], [], [0o750, True])
        assert traces["bytecode"] and traces["legacy"], "built as any other"
        assert traces["written into the code"] == []
        assert traces["hidden beside it"] == [], "neither uv's cache nor what the build user made outlives the build"
        assert python(host, LEFT) == [], "a daemon or a program outlived the build"


def test_without_systemd_a_build_reaches_what_any_user_reaches(source: Path) -> None:
    python(SUPERVISOR, PLANT)
    with without_systemd(SUPERVISOR):
        completed = deploy(source, "# anew, without systemd", "--limit", SUPERVISOR)
    assert completed.returncode == 0, completed.stdout
    traces = python(SUPERVISOR, LOOK)
    assert {name for name, why in traces["report"]["attempts"].items() if not why} == {
        "read /home",
        "read what others left in /tmp",
        "write where everybody may",
        "see other users' processes",
        "see the host's devices",
    }
    assert (traces["marks"], traces["owners"], traces["odd modes"]) == ([], [0], [])
    assert python(SUPERVISOR, LEFT) == []


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("link", "the link lib/python3.{}/site-packages/shadow leads out of it, to /etc/shadow"),
        ("pipe", "lib/python3.{}/site-packages/pipe is neither a file nor a folder nor a link"),
        ("python", "its bin/python is not /usr/bin/python3"),
    ],
)
def test_what_a_build_plants_is_not_taken_over(source: Path, mode: str, message: str) -> None:
    completed = deploy(source, mode)
    assert completed.returncode == 2
    for minor in (11, 13):
        assert f"the virtualenv of saboteur is not used: {message.format(minor)}" in completed.stdout, completed.stdout
    for host in HOSTS:
        assert within(host, "sh", "-c", "ls /root/*-ran-as-root 2>/dev/null; true") == ""
        assert python(host, LEFT) == []


def test_a_build_that_says_too_much_is_cut_short(source: Path) -> None:
    completed = deploy(source, "flood")
    assert completed.returncode == 2
    assert "the dependencies of saboteur (requirements.txt) could not be installed" in completed.stdout
    assert len(completed.stdout) < 100_000


def test_a_build_has_a_deadline_and_a_sandbox(source: Path) -> None:
    """Its unit is judged while it runs."""
    levels: dict[str, float] = {}
    slices: dict[str, str] = {}
    memory: dict[str, str] = {}

    def judge(host: str) -> None:
        wait_for(host, "slipway-saboteur-build.service")
        levels[host] = exposure(host, "slipway-saboteur-build.service")
        slices[host] = within(host, "systemctl", "show", "-P", "Slice", "slipway-saboteur-build.service").strip()
        memory[host] = within(host, "systemctl", "show", "-P", "MemoryMax", slices[host]).strip()

    watchers = [threading.Thread(target=judge, args=(host,)) for host in HOSTS]
    for watcher in watchers:
        watcher.start()
    completed = deploy(source, "hang", build_timeout=15)
    for watcher in watchers:
        watcher.join()
    assert completed.returncode == 2
    assert "the virtualenv of saboteur was not built within 15 s; raise timeouts.build" in completed.stdout, (
        completed.stdout
    )
    for host in HOSTS:
        assert levels[host] <= EXPOSURE, levels
        assert slices[host] == "system-slipwaybuilds.slice", "builds share their limit"
        assert memory[host].isdecimal()
        assert python(host, LEFT) == []
    assert json.loads(within(HOSTS[0], "cat", "/srv/saboteur/current/manifest.json"))["builder"] == "saboteur_build"

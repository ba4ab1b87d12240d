"""Removing an app that does not want to go: daemons, folders too deep for a path, and files that cannot be removed."""

from __future__ import annotations

from typing import Any

import pytest
from sandbox import HOSTS, play, python, within

from tests.hosts.scenario import ROOT

LODGER = {
    "module": "web:app",
    "source": {"path": str(ROOT / "tests/fixtures/apps/good_wsgi")},
    "domains": ["lodger.test"],
    "workers": 1,
}
SETTLE = r"""
import json, os, pwd
user, run = pwd.getpwnam("lodger"), "/run/lodger/" + os.path.basename(os.readlink("/srv/lodger/current"))
def deep(path, levels):
    here = os.open(path, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
deep(run, 5000)
child = os.fork()
if not child:
    os.setresgid(*[user.pw_gid] * 3)
    os.setgroups([])
    os.setresuid(*[user.pw_uid] * 3)
    deep("/srv/lodger/shared", 5000)
    os.symlink("/etc", "/srv/lodger/shared/out")
    for place in ("/tmp", "/var/tmp", "/dev/shm"):
        os.makedirs(place + "/lodger-left/deep")
        os.symlink("/etc/passwd", place + "/lodger-left/deep/out")
    os.setsid()
    if os.fork():
        os._exit(0)
    for stream in (0, 1, 2):
        os.dup2(os.open("/dev/null", os.O_RDWR), stream)
    os.execvp("sleep", ["sleep", "1000"])
os.waitpid(child, 0)
print(json.dumps({"run": run, "uid": user.pw_uid}))
"""
LOOK = r"""
import json, os, sys
uid = int(sys.argv[1])
pids = [pid for pid in os.listdir("/proc") if pid.isdigit()]
print(json.dumps({
    "processes": [pid for pid in pids if os.path.exists("/proc/" + pid) and os.stat("/proc/" + pid).st_uid == uid],
    "users": [line.split(":")[0] for line in open("/etc/passwd") if line.startswith("lodger")],
    "groups": [line.split(":")[0] for line in open("/etc/group") if line.startswith("lodger")],
    "paths": [path for path in ("/srv/lodger", "/run/lodger", "/var/log/slipway/lodger", "/tmp/lodger-left",
                                "/var/tmp/lodger-left", "/dev/shm/lodger-left") if os.path.lexists(path)],
    "etc": os.path.exists("/etc/passwd"),
}))
"""


def deploy(**more: Any) -> str:
    completed = play("deploy", apps={"lodger": {**LODGER, **more}})
    assert completed.returncode == 0, completed.stdout
    return completed.stdout


def test_an_app_that_does_not_want_to_go() -> None:
    deploy()
    settled = {host: python(host, SETTLE) for host in HOSTS}
    deploy(environment={"ANOTHER": "release"})
    for host in HOSTS:
        assert within(host, "sh", "-c", f"ls -d {settled[host]['run']} 2>&1 || true").startswith("ls: cannot access")
        assert python(host, LOOK, str(settled[host]["uid"]))["processes"]
    completed = play("remove", apps={"lodger": LODGER}, app="lodger", purge=True)
    assert completed.returncode == 0, completed.stdout
    nothing = {"processes": [], "users": [], "groups": [], "paths": [], "etc": True}
    assert {host: python(host, LOOK, str(settled[host]["uid"])) for host in HOSTS} == dict.fromkeys(HOSTS, nothing)
    deploy()
    try:
        for host in HOSTS:
            assert int(within(host, "id", "-u", "lodger")) != settled[host]["uid"], "files of the old user may be left"
    finally:
        assert play("remove", apps={"lodger": LODGER}, app="lodger", purge=True).returncode == 0


def test_what_cannot_be_removed_is_named_and_the_rest_goes() -> None:
    deploy()
    for host in HOSTS:
        within(host, "sh", "-ec", "mkdir /srv/lodger/shared/media; mount -t tmpfs tmpfs /srv/lodger/shared/media")
        within(host, "sh", "-ec", "echo precious > /srv/lodger/shared/media/one; echo x > /srv/lodger/shared/gone")
    completed = play("remove", apps={"lodger": LODGER}, app="lodger", purge=True)
    message = "/srv/lodger/shared/media could not be removed: a file system is mounted there; unmount it first"
    assert completed.returncode
    assert completed.stdout.count(message) >= len(HOSTS), completed.stdout
    for host in HOSTS:
        assert within(host, "find", "/srv/lodger", "-type", "f").split() == ["/srv/lodger/shared/media/one"]
        within(host, "umount", "/srv/lodger/shared/media")
    completed = play("remove", apps={"lodger": LODGER}, app="lodger", purge=True)
    assert completed.returncode == 0, completed.stdout
    for host in HOSTS:
        assert (
            within(host, "sh", "-c", "ls -d /srv/lodger 2>/dev/null; getent passwd lodger lodger_build || true") == ""
        )


@pytest.mark.parametrize("host", HOSTS)
def test_nothing_of_the_kit_is_left_in_the_way(host: str) -> None:
    assert within(host, "sh", "-c", "ls /var/lib/slipway/lock.json 2>/dev/null || true") == ""

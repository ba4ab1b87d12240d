"""File systems that are full or read-only: each deploy ends with a sentence that names it, and leaves all as it was."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator

import pytest
from sandbox import SUPERVISOR, play, python, within

from tests.hosts.scenario import ROOT

HOST = SUPERVISOR
"""Under systemd, the app's processes see separate file systems."""
APP = {
    "module": "web:app",
    "source": {"path": str(ROOT / "tests/fixtures/apps/good_wsgi")},
    "domains": ["crowded.test"],
    "workers": 1,
}
LOOK = r"""
import http.client, json, os
connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=10)
connection.request("GET", "/", headers={"Host": "crowded.test"})
releases = "/srv/crowded/releases"
print(json.dumps({
    "status": connection.getresponse().status,
    "current": os.readlink("/srv/crowded/current"),
    "bad": [name for name in os.listdir(releases) if os.path.exists(f"{releases}/{name}/bad.json")],
    "halves": [name for name in os.listdir(releases) if not os.path.exists(f"{releases}/{name}/manifest.json")],
    "lock": os.path.exists("/var/lib/slipway/lock.json"),
    "litter": [name for name in os.listdir("/var/lib/slipway") if name.startswith(".slipway-")],
}))
"""
# A small disk with room for the existing files, and for a given number of kilobytes more.
SMALL = """
mkdir -p /mnt
mount -t tmpfs -o size=300M,mode=$(stat -c %a {place}) tmpfs /mnt
cp -a {place}/. /mnt/
mount --move /mnt {place}
"""
TIGHT = {
    "space": "mount -o remount,size=$(($(df --output=used -k {place} | tail -1) + 4))k {place}",
    "inodes": "mount -o remount,nr_inodes=$(($(df --output=iused {place} | tail -1) + 1)) {place}",
    "writing": "mount -o remount,ro {place}",
}
WIDE = {
    "space": "mount -o remount,size=300M {place}",
    "inodes": "mount -o remount,nr_inodes=100000 {place}",
    "writing": "mount -o remount,rw {place}",
}


def run(script: str, place: str) -> None:
    within(HOST, "sh", "-ec", script.format(place=place))


@pytest.fixture(scope="module", autouse=True)
def crowded() -> Iterator[None]:
    """An app whose folders are small disks; /run is one on every host."""
    completed = deploy("0")
    assert completed[0] == 0, completed[1]
    places = ("/var/lib/slipway", "/srv/crowded", "/tmp")
    try:
        for place in places:
            run(SMALL, place)
        # In a container mounts do not reach the file systems that the confined daemons see, as they do on a host.
        run("systemctl restart slipway-supervisor nginx", "")
        end = time.monotonic() + 60
        while python(HOST, LOOK)["status"] != 200:
            assert time.monotonic() < end, "the app does not come back"
        yield
    finally:
        for place in places:
            run("umount --lazy {place}", place)
        play("remove", f"--limit={HOST}", apps={"crowded": APP}, app="crowded", purge=True)


@contextlib.contextmanager
def tight(place: str, lacks: str) -> Iterator[None]:
    run(TIGHT[lacks], place)
    try:
        yield
    finally:
        run(WIDE[lacks], place)


def deploy(value: str) -> tuple[int, str]:
    """Deploy a separate release for each value."""
    completed = play("deploy", f"--limit={HOST}", apps={"crowded": {**APP, "environment": {"VALUE": value}}})
    return completed.returncode, completed.stdout


@pytest.mark.parametrize(
    ("place", "lacks", "message"),
    [
        ("/var/lib/slipway", "space", "/var/lib/slipway is full ("),
        ("/var/lib/slipway", "inodes", " inodes left; remove files there"),
        ("/var/lib/slipway", "writing", "/var/lib/slipway is mounted read-only; find out why"),
        ("/srv/crowded", "space", "/srv/crowded is full ("),
        ("/srv/crowded", "inodes", " inodes left; remove files there"),
        ("/srv/crowded", "writing", "/srv/crowded is mounted read-only; find out why"),
        ("/run", "inodes", " inodes left; remove files there"),
        ("/tmp", "space", ""),
    ],
)
def test_a_deploy_names_what_is_full_and_leaves_all_as_it_was(place: str, lacks: str, message: str) -> None:
    before = python(HOST, LOOK)
    assert (before["status"], before["lock"]) == (200, False)
    with tight(place, lacks):
        status, text = deploy(f"{place} {lacks}")
        now = python(HOST, LOOK)
    assert "Traceback" not in text, text
    if not message:  # what needs this place is done somewhere else
        assert status == 0, text
        return
    assert status, text
    assert message in text and f"{place} " in text, text
    # A lock that could not be given back names a run that is dead: the next one takes it over.
    assert {**now, "lock": False} == before, text
    assert lacks == "writing" or not now["lock"], text


def test_a_deploy_goes_on_when_there_is_room_again() -> None:
    status, text = deploy("room")
    assert status == 0, text
    assert python(HOST, LOOK)["status"] == 200
    lines = within(HOST, "tail", "-n", "1", "/var/log/slipway/journal.jsonl")
    assert json.loads(lines)["outcome"] == "ok"

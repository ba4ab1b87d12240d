"""Whose accounts and folders an app may have: its own, which the kit made, and no others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sandbox import HOSTS, play, python, within

from tests.hosts.scenario import ROOT

FOREIGN = """
set -e
getent passwd git || useradd --system --home-dir /var/lib/git --create-home git
echo precious > /var/lib/git/repository
mkdir -p /srv/photos
echo precious > /srv/photos/one
"""
LOOK = r"""
import grp, json, os, pwd
def ask(get, name):
    try:
        return list(get(name))
    except KeyError:
        return None
names = ("git", "shadow", "docker", "photos", "git_build", "shadow_build", "photos_build")
print(json.dumps({
    "users": {name: ask(pwd.getpwnam, name) for name in names},
    "groups": {name: ask(grp.getgrnam, name) for name in names},
    "srv": {name: os.path.exists("/srv/" + name) for name in names},
    "precious": [open(path).read() for path in ("/var/lib/git/repository", "/srv/photos/one")],
    "key": oct(os.stat("/etc/shadow").st_mode & 0o777),
}))
"""
SAID = (
    "git: the user git (uid ",
    "shadow: the group shadow (gid 42) is there already and is not Slipway's: give the app another name",
    "docker: docker is the name of a user or group of the system's or of a common package's: give the app another name",
    "photos: /srv/photos is there already, holds one and is not Slipway's: move it away, or give the app another name",
)


def app(name: str) -> dict[str, Any]:
    """A small app."""
    source = {"path": str(ROOT / "tests/fixtures/apps/good_wsgi")}
    return {"module": "web:app", "source": source, "domains": [f"{name}.test"], "workers": 1}


APPS = {name: app(name) for name in ("git", "shadow", "docker", "photos")}


@pytest.fixture
def foreign() -> Iterator[None]:
    for host in HOSTS:
        within(host, "sh", "-c", FOREIGN)
    yield
    for host in HOSTS:
        within(host, "sh", "-c", "userdel -r git 2>&1; rm -rf /srv/photos")


def test_nothing_of_others_is_taken_nor_removed(foreign: None) -> None:
    before = [python(host, LOOK) for host in HOSTS]
    completed = play("deploy", apps=APPS)
    assert completed.returncode
    for message in SAID:
        assert completed.stdout.count(message) >= len(HOSTS), completed.stdout
    assert [python(host, LOOK) for host in HOSTS] == before, "before any account is made"
    for name in ("git", "shadow", "photos"):
        completed = play("remove", apps=APPS, app=name, purge=True)
        assert completed.returncode == 0, completed.stdout
    assert "Left, since it was not made for photos: /srv/photos" in completed.stdout
    assert [python(host, LOOK) for host in HOSTS] == before


@pytest.mark.parametrize("host", HOSTS)
def test_the_kit_remembers_what_it_made(host: str) -> None:
    memory = json.loads(within(host, "cat", "/var/lib/slipway/accounts.json"))["made"]
    assert {"keeper", "keeper_build", "burglar", "burglar_build"} <= memory.keys()
    for name in ("keeper", "keeper_build"):
        words = within(host, "getent", "passwd", name).strip().split(":")
        assert [int(words[2]), int(words[3])] == [memory[name]["uid"], memory[name]["gid"]]
        assert words[6].endswith("nologin")
        assert within(host, "id", "-Gn", name).split() == [name]


@pytest.mark.parametrize("host", HOSTS)
def test_the_kit_s_state_is_root_s_alone(host: str) -> None:
    """A user who can read a lock's file can hold it, and then every deploy waits."""
    places = "/run/slipway /etc/slipway /var/lib/slipway /var/cache/slipway /opt/slipway /var/log/slipway"
    open_to_all = f"find {places} -not -type l '(' -writable -o -name '*lock*' -readable ')' 2>/dev/null || true"
    nobody = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
    paths = within(host, *nobody, "sh", "-c", open_to_all)
    assert paths == ""
    assert within(host, "stat", "-c", "%a", "/var/lib/slipway").strip() == "700"

"""An app gets a new name: no request is lost, and the old one leaves only when the new one is there."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.hosts.scenario import ROOT, Scenario

SCENARIO = Scenario("broken")
HOSTS = ("bookworm", "supervised")
CLIENT = """
import http.client, json, os, time
answers = {}
while not os.path.exists("/root/enough"):
    connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=30)
    try:
        connection.request("GET", "/", headers={"Host": "site.test"})
        answer = connection.getresponse()
        answer.read()
        kind = str(answer.status)
    except Exception as error:
        kind = repr(error)
    finally:
        connection.close()
    answers[kind] = answers.get(kind, 0) + 1
    time.sleep(0.01)
print(json.dumps(answers))
"""
"""A client that sends one request after another until it has sent enough, and prints how many answers of each kind it got."""


LOOK = "readlink /srv/pair/current; ls -R /srv/pair/shared /etc/nginx; cat /etc/nginx/conf.d/*; cat /var/lib/slipway/inventories.json"


@contextmanager
def clients() -> Iterator[dict[str, dict[str, int]]]:
    """A client on each host, until the block ends."""
    answers: dict[str, dict[str, int]] = {}

    def one(host: str) -> None:
        answers[host] = json.loads(SCENARIO.within(host, "python3", "-", stdin=CLIENT))

    threads = [threading.Thread(target=one, args=[host]) for host in HOSTS]
    for host in HOSTS:
        SCENARIO.within(host, "rm", "-f", "/root/enough")
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        for host in HOSTS:
            SCENARIO.within(host, "touch", "/root/enough")
        for thread in threads:
            thread.join()


def app(fixture: str, domain: str) -> dict[str, Any]:
    """What the inventory has of an app."""
    path = f"{ROOT}/tests/fixtures/apps/{fixture}"
    return {"module": "web:app", "source": {"path": path}, "requirements": [], "domains": [domain], "workers": 1}


def play(playbook: str, apps: dict[str, Any], fails: bool = False, **variables: Any) -> str:
    """Run a playbook for an inventory with these apps; returns its output."""
    completed = SCENARIO.play(playbook, apps=apps, **variables)
    assert bool(completed.returncode) == fails, completed.stdout
    return completed.stdout


def exists(host: str, path: str) -> bool:
    return SCENARIO.attempt(host, "test", "-e", path).returncode == 0


def test_an_app_gets_a_new_name() -> None:
    play("deploy", {"site": app("good_wsgi", "site.test"), "other": app("good_wsgi", "other.test")})
    for host in HOSTS:
        SCENARIO.within(host, "sh", "-c", "echo kept > /srv/site/shared/data")
    renamed = {"fresh": app("good_wsgi", "site.test"), "site": {"state": "absent"}}
    ailing = {**renamed, "fresh": app("answers_500", "site.test"), "other": app("good_wsgi", "other.test")}
    with clients() as answers:
        output = play("deploy", ailing, fails=True)
        assert "site stays on this host as long as an app is held back." in output
        play("deploy", {**ailing, **renamed}, app="other")
        play("remove", {**ailing, **renamed}, app="other", purge=True)
        assert all(exists(host, "/srv/site/current") for host in HOSTS)
        play("deploy", renamed)
        assert not any(exists(host, "/srv/site/current") for host in HOSTS)
        assert all(exists(host, "/srv/fresh/current") for host in HOSTS)
    for host in HOSTS:
        assert list(answers[host]) == ["200"], answers
        assert answers[host]["200"] > 100
        assert SCENARIO.within(host, "cat", "/srv/site/shared/data") == "kept\n"


def test_an_app_of_another_environment_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two environments share a host, and one of them was copied from the other, names included."""
    copied = SCENARIO.inventory

    def use(environment: str) -> None:
        folder = tmp_path / "inventories" / environment
        if not folder.exists():
            shutil.copytree(copied, folder)
        monkeypatch.setattr(SCENARIO, "inventory", str(folder))

    def state() -> list[str]:
        return [SCENARIO.within(host, "sh", "-c", LOOK) for host in HOSTS]

    ours, theirs = ({"pair": app("good_wsgi", domain)} for domain in ("pair.test", "staging.pair.test"))
    ours["pair"]["timers"] = {"fails": {"command": "false", "schedule": "03:00"}}
    report = tmp_path / "report"
    theirs["pair"]["hooks"] = {"on_failure": {"tasks": str(tmp_path / "hook.yml")}}
    (tmp_path / "hook.yml").write_text(
        f"- ansible.builtin.copy: {{content: ran, dest: {report}}}\n  delegate_to: localhost\n"
    )
    use("production")
    play("deploy", ours)
    before = state()
    use("staging")
    message = "On this host the app pair belongs to inventories/production, and this run reads inventories/staging."
    for playbook, options in (
        ("../site", {}),
        ("deploy", {}),
        ("rollback", {}),
        ("run", {"app": "pair", "command": "touch /srv/pair/shared/ran"}),
        ("remove", {"app": "pair", "purge": True}),
    ):
        assert message in play(playbook, theirs, fails=True, **options), playbook
        assert state() == before, playbook
    assert not report.exists()
    play("deploy", theirs, take_over=True)
    play("deploy", theirs)
    use("production")
    assert "belongs to inventories/staging" in play("deploy", ours, fails=True)
    play("remove", ours, app="pair", purge=True, take_over=True)
    play("deploy", {"pair": ours["pair"]})
    SCENARIO.attempt(HOSTS[0], "systemctl", "start", "slipway-pair.timer.fails.service")
    play("remove", ours, app="pair")
    SCENARIO.within(HOSTS[0], "userdel", "pair")
    use("staging")
    assert message in play("deploy", theirs, fails=True)  # its data is still there
    use("production")
    play("remove", ours, app="pair", purge=True)
    for host in HOSTS:
        assert SCENARIO.within(host, "cat", "/var/lib/slipway/inventories.json").split() == ["{}"]
        assert not SCENARIO.within(host, "systemctl", "list-units", "--all", "--plain", "--no-legend", "slipway-pair*")
        assert not exists(host, "/run/pair")
    # A first deploy that fails, or dies, leaves an app that belongs to its environment.
    assert "was answered 500" in play("deploy", {"pair": app("answers_500", "pair.test")}, fails=True)
    use("staging")
    assert message in play("deploy", theirs, fails=True)
    use("production")
    play("remove", ours, app="pair", purge=True)


def test_no_app_that_the_inventory_lacks_loses_a_domain() -> None:
    before = {host: SCENARIO.within(host, "cat", "/etc/nginx/conf.d/slipway-site-site.test.conf") for host in HOSTS}
    taking = app("good_wsgi", "another.test")
    taking["domains"].append("site.test")
    output = play("deploy", {"another": taking}, fails=True)
    assert "The app fresh on this host serves the clients of site.test, and this inventory does not have it" in output
    assert {
        host: SCENARIO.within(host, "cat", "/etc/nginx/conf.d/slipway-site-site.test.conf") for host in HOSTS
    } == before
    assert not any(exists(host, "/srv/another") for host in HOSTS)

"""Who may write where the app's requests arrive, and what happens to requests during a restart."""

from __future__ import annotations

import json

import pytest
from sandbox import ENVIRONMENT, HOSTS, SCENARIO, SYSTEMD, python, within

from tests.hosts import containers

ASK = """
import http.client, json, sys
connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=30)
connection.request("GET", sys.argv[2], headers={"Host": sys.argv[1]})
print(connection.getresponse().read().decode())
"""

LOAD = """
import collections, http.client, json, subprocess, sys, threading, time
host, path, command = sys.argv[1], sys.argv[2], sys.argv[3:]
over, answers = threading.Event(), collections.Counter()
def come():
    while not over.is_set():
        connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=30)
        connection.request("GET", path, headers={"Host": host})
        answers[connection.getresponse().status] += 1
        connection.close()
visitors = [threading.Thread(target=come, daemon=True) for _ in range(4)]
for visitor in visitors:
    visitor.start()
for _ in range(3):
    time.sleep(2)
    subprocess.run(command, check=True, capture_output=True)
time.sleep(4)
over.set()
for visitor in visitors:
    visitor.join()
print(json.dumps(answers))
"""
"""Four clients, while a command is run three times."""

SOCKETS = """
import grp, json, os, pwd, stat
found = {}
for app in ("keeper", "burglar", "hermit"):
    socket = os.path.realpath(f"/srv/{app}/current/run/app.sock")
    for path in (socket, os.path.dirname(socket), os.path.dirname(os.path.dirname(socket))):
        status = os.stat(path)
        found[path] = [oct(status.st_mode), pwd.getpwuid(status.st_uid).pw_name, grp.getgrgid(status.st_gid).gr_name]
print(json.dumps(found))
"""


@pytest.mark.parametrize("host", HOSTS)
def test_no_app_can_send_its_clients_to_another(host: str) -> None:
    assert "Permission denied" in python(host, ASK, "burglar.test", "/swap")
    assert python(host, ASK, "burglar.test", "/") == "burglar"


@pytest.mark.parametrize("host", HOSTS)
def test_socket_and_folders_are_root_s(host: str) -> None:
    for path, rights in python(host, SOCKETS).items():
        mode, *owner = rights
        if path.endswith(".sock"):  # nginx keeps its connections to those that their owner may execute
            assert mode in ("0o140660", "0o140760"), path
            assert owner == ["root", "www-data"], path
        else:
            assert rights == ["0o40755", "root", "root"], path


def test_a_killed_master_loses_only_what_it_was_answering() -> None:
    """A client that connects during a restart waits, and gets an answer."""
    master = "until pkill -KILL -o -u burglar -f bin/gunicorn; do sleep 0.1; done"
    answers = python(SYSTEMD, LOAD, "burglar.test", "/", "sh", "-c", master)
    assert answers["200"] > 100
    assert answers.get("502", 0) <= 3 * 4, "more than all visitors were being answered"
    assert set(answers) <= {"200", "502"}


def test_a_restart_by_hand_loses_nothing() -> None:
    unit = "slipway-burglar-" + within(SYSTEMD, "readlink", "/srv/burglar/current").strip().rpartition("/")[2]
    answers = python(SYSTEMD, LOAD, "burglar.test", "/", "systemctl", "restart", unit)
    assert answers["200"] > 100
    assert set(answers) == {"200"}


def test_after_a_reboot_the_socket_is_there_again() -> None:
    containers.restart(SCENARIO.container(SYSTEMD), ENVIRONMENT)
    wait = "for i in $(seq 100); do curl -sf -H 'Host: burglar.test' http://127.0.0.1/ && exit; sleep 0.2; done; exit 1"
    assert json.loads(within(SYSTEMD, "sh", "-c", wait)) == "burglar"
    test_socket_and_folders_are_root_s(SYSTEMD)

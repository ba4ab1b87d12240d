"""What an app can do to the host and to other apps: an app tries many attacks from the process that serves its clients."""

from __future__ import annotations

import functools
import json
import re

import pytest
from sandbox import HOSTS, SUPERVISOR, SYSTEMD, exposure, play, python, within

from tests.hosts.scenario import ROOT
from tests.judge.host import EXPOSURE

SANDBOX = {
    "read /home",
    "read what others left in /tmp",
    "see other users' processes",
    "see the host's devices",
    "set its own priority",
    "write where everybody may",
    "leave a setuid program for others",
}
"""What only systemd's sandbox stops: under supervisor an app can do it, as any user of the host can."""

NO_NEW_PRIVILEGES = {"become root by a setuid program", "become root by sudo"}
"""What every user of the host can do, and an app cannot under either manager."""

PLANT = r"""
import os, shutil, subprocess
def write(path, text, mode):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as out:
        out.write(text)
    os.chmod(path, mode)
write("/home/alice/diary", "dear diary", 0o644)
write("/root/diary", "dear diary", 0o644)
write("/tmp/left-by-alice", "a scrap of paper", 0o644)
write("/etc/sudoers.d/burglar", "burglar ALL=(ALL) NOPASSWD: ALL\n", 0o440)
os.makedirs("/srv/media", exist_ok=True)
os.chmod("/srv/media", 0o777)
shutil.copy("/usr/bin/id", "/usr/local/bin/who")
os.chmod("/usr/local/bin/who", 0o4755)
print("null")
"""
"""Plants what an attack could find, with an administrator's careless permissions among it."""

BREAK_IN = r"""
import http.client, json, subprocess, sys
masters = subprocess.run(["pgrep", "-o", "-u", "keeper", "-f", "gunicorn"], capture_output=True, text=True).stdout.split()
script = ["/usr/bin/python3", "-I", "/srv/burglar/current/code/web.py", masters[0]]
connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=30)
connection.request("GET", "/try?pid=" + masters[0], headers={"Host": sys.argv[1] + ".test"})
print(json.dumps({
    "app": json.load(connection.getresponse()),
    "root": json.loads(subprocess.run(script, capture_output=True, text=True, check=True).stdout),
    "user": json.loads(subprocess.run(["runuser", "-u", "burglar", "--", *script], capture_output=True, text=True, check=True).stdout),
}))
"""


REACH = r"""
import http.client, json, sys
app, host = sys.argv[1:]
connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=30)
connection.request("GET", "/reach?host=" + host, headers={"Host": app + ".test"})
print(json.dumps(json.load(connection.getresponse())))
"""


ASK_WHEELS = """
import http.client
connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=30)
connection.request("GET", "/", headers={"Host": "wheels.test"})
print(connection.getresponse().read().decode())
"""


@functools.cache
def outcomes(host: str) -> dict[str, dict[str, str]]:
    """How each attempt ended for the app, for root, and for the app's user outside of its instance."""
    python(host, PLANT)
    attempts: dict[str, dict[str, str]] = python(host, BREAK_IN, "burglar")
    return attempts


@pytest.mark.parametrize("host", HOSTS)
def test_every_attempt_is_one(host: str) -> None:
    """Root succeeds; so that an attempt that fails is stopped by what the app may not, and by nothing else."""
    assert {name: why for name, why in outcomes(host)["root"].items() if why} == {}


@pytest.mark.parametrize("host", HOSTS)
def test_rights_alone_stop_most(host: str) -> None:
    """Files, folders and sockets have the rights that they need, whatever the sandbox does."""
    assert {name for name, why in outcomes(host)["user"].items() if not why} == SANDBOX | NO_NEW_PRIVILEGES


def test_under_systemd_nothing_succeeds() -> None:
    assert [name for name, why in outcomes(SYSTEMD)["app"].items() if not why] == []


def test_under_supervisor_succeeds_what_the_documentation_says() -> None:
    """This supervisord is systemd's, whose unit stops setuid programs; an init script's stops none."""
    successes = {name for name, why in outcomes(SUPERVISOR)["app"].items() if not why}
    assert successes == SANDBOX - {"leave a setuid program for others"}
    page = (ROOT / "docs/architecture/permissions.md").read_text()
    assert [name for name in SANDBOX if name not in page] == []


@pytest.mark.parametrize("host", HOSTS)
def test_compiled_extensions_work_inside(host: str) -> None:
    assert python(host, ASK_WHEELS) == {"numpy": True, "cryptography": "ahoy", "lxml": "ahoy"}


@pytest.mark.parametrize("host", HOSTS)
def test_a_release_lists_what_it_consists_of(host: str) -> None:
    bill = json.loads(within(host, "cat", "/srv/wheels/current/sbom.json"))
    listed = {one["name"]: one["version"] for one in bill["components"]}
    assert set(listed) == {"numpy", "cryptography", "cffi", "pycparser", "lxml", "gunicorn"}
    code = "import numpy, lxml, json; print(json.dumps({'numpy': numpy.__version__, 'lxml': lxml.__version__}))"
    assert json.loads(within(host, "/srv/wheels/current/venv/bin/python", "-c", code)).items() <= listed.items()


def test_a_closed_network_leads_nowhere_but_home() -> None:
    other = within(SYSTEMD, "getent", "ahostsv4", SUPERVISOR).split()[0]
    assert python(SYSTEMD, REACH, "burglar", other) == "", "nothing is to be learned: nobody reaches that host"
    assert "TimeoutError" in python(SYSTEMD, REACH, "hermit", other)
    assert "Temporary failure in name resolution" in python(SYSTEMD, REACH, "hermit", SUPERVISOR)
    assert python(SYSTEMD, REACH, "hermit", "127.0.0.1") == ""


def test_under_supervisor_no_network_can_be_closed() -> None:
    completed = play("deploy", "--limit", SUPERVISOR, hermit="local")
    assert completed.returncode == 2
    assert "apps.hermit.network is local, which only systemd can enforce" in completed.stdout
    assert "no host was touched" in completed.stdout


@pytest.mark.parametrize("host", HOSTS)
def test_exposure(host: str) -> None:
    """Every unit of an app, judged by the systemd of Debian 12 and by that of Debian 13."""
    listed = within(SYSTEMD, "sh", "-c", "ls /etc/systemd/system/slipway-*.service").split()
    assert {re.split(r"slipway-|-local", path)[1] for path in listed} == {
        "keeper",
        "burglar",
        "hermit",
        "wheels",
        "names",
        "greedy",
        "receives",
        "saboteur",
    }
    for path in listed:
        unit = path.rsplit("/", 1)[1]
        if host != SYSTEMD:  # loaded, not run; offline, systemd 252 forgets what directives imply
            here = f"/run/systemd/system/{unit}"
            within(host, "sh", "-c", 'cat > "$0" && systemctl daemon-reload', here, stdin=within(SYSTEMD, "cat", path))
        assert exposure(host, unit) <= EXPOSURE, (host, unit)


@pytest.mark.parametrize("host", HOSTS)
def test_systemd_finds_no_fault_with_a_unit(host: str) -> None:
    """It names the file of a unit only where something is wrong with it: an unknown setting, or a mode. For Debian 13 see above."""
    journal = within(host, "journalctl", "--boot", "--no-pager", "--output=cat", "_PID=1")
    assert [line for line in journal.splitlines() if "/systemd/system/slipway-" in line] == []


def test_holes_in_the_sandbox_let_through_what_they_say() -> None:
    """The last one: it leaves an app with every hole that there is."""
    python(SYSTEMD, PLANT)
    holes = {"allow": ["home", "tmp", "processes", "devices", "priorities"], "write": ["/srv/media"]}
    completed = play("deploy", "--limit", SYSTEMD, app="hermit", holes=holes)
    assert completed.returncode == 0, completed.stdout
    attempts = python(SYSTEMD, BREAK_IN, "hermit")["app"]
    assert {name for name, why in attempts.items() if not why} == SANDBOX - {"leave a setuid program for others"}


def test_a_folder_that_is_not_there_is_reported() -> None:
    completed = play("deploy", "--limit", SYSTEMD, app="hermit", holes={"write": ["/srv/nowhere"]})
    assert completed.returncode == 2
    assert "/srv/nowhere" in completed.stdout and "No such file or directory" in completed.stdout, completed.stdout

"""Deploys that end halfway, and what the next one makes of it; hooks, lock, rollback and journal on real hosts.

Every test leaves its host serving a whole release. Clients send requests all the time. Each unexpected answer is a fault,
except while a host reboots.
"""

from __future__ import annotations

import itertools
import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.hosts import containers
from tests.hosts.scenario import ROOT, Scenario
from tests.patience import patience

SCENARIO = Scenario("faults")
ENVIRONMENT = SCENARIO.environment
KILL = {"ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests/plugins"), "ANSIBLE_CALLBACKS_ENABLED": "kill"}
SYSTEMD, SUPERVISOR = "bookworm", "supervised"
MOMENT = 0.4
"""Seconds: what a step takes at the least, since Ansible itself takes them; one that is done sooner has no middle."""
IN_A_ROW = 3
"""Deploys that are killed one after the other before one may run to its end."""
WORK = ("release", "hook", "instance", "activate", "retire")
"""Modules that work on the host for a while, so that they may outlive the controller."""

LOOK = r"""
import glob, http.client, json, os, subprocess
def lines(*argv):
    return sorted(subprocess.run(argv, capture_output=True, text=True).stdout.splitlines())
def ask(path="/"):
    connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=10)
    connection.request("GET", path, headers={"Host": "probe.test"})
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()
def load(path):
    return json.load(open(path)) if os.path.exists(path) else None
status, headers, body = ask()
root, releases = "/srv/probe", sorted(glob.glob("/srv/probe/releases/*"))
active = lines("systemctl", "list-units", "--plain", "--no-legend", "slipway-probe-*")
print(json.dumps({
    "status": status, "nginx": headers.get("X-Greeting"), "greeting": json.loads(body)["greeting"] if status == 200 else None,
    "environment": json.loads(ask("/environ")[2]) if status == 200 else None,
    "current": os.path.basename(os.readlink(root + "/current")),
    "root": sorted(os.listdir(root)),
    "units": [line.split()[0].removesuffix(".service") + " " + line.split()[2] for line in active],
    "unit files": sorted(glob.glob("/etc/systemd/system/**/slipway-probe-*", recursive=True)),
    "programs": sorted(glob.glob("/etc/slipway/supervisor.d/*")),
    "gunicorns": len(lines("pgrep", "-u", "probe", "-f", "bin/gunicorn")),
    "runtime": sorted(os.listdir("/run/probe")),
    "complete": [os.path.basename(path) for path in releases if os.path.exists(path + "/manifest.json")],
    "halves": [path for path in releases if not os.path.exists(path + "/manifest.json")],
    "venvs": sorted(glob.glob(root + "/venvs/*")),
    "half venvs": [path for path in glob.glob(root + "/venvs/*") if not os.path.exists(path + "/.complete")],
    "litter": sorted({*os.listdir("/var/lib/slipway/undo")} - {".lock"}) + sorted(
        path for place in ("/etc/nginx/**", "/etc/systemd/**", "/etc/slipway/**", "/srv/probe/*", "/srv/probe/releases/*", "/var/lib/slipway/*")
        for path in glob.glob(place + "/.slipway*", recursive=True)),
    "lock": load("/var/lib/slipway/lock.json"),
    "bad": {name: (load(f"{root}/releases/{name}/bad.json") or {}).get("reason") for name in map(os.path.basename, releases)},
    "journal": [json.loads(line) for line in open("/var/log/slipway/journal.jsonl")],
    "workers": load(f"{root}/current/manifest.json")["workers"],
    "hooks": open(root + "/shared/hooks").read().splitlines() if os.path.exists(root + "/shared/hooks") else [],
}))
"""

VISIT = r"""
import http.client, json, os, threading, time
open("/run/visitors.pid", "w").write(str(os.getpid()))
faults, count = open("/run/visitors.faults", "a", buffering=1), [0]
def ask(connection, path, keep):
    connection.request("GET", path, headers={"Host": "probe.test", "Connection": "keep-alive" if keep else "close"})
    return connection.getresponse()
def come(path, keep, pause):
    connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=15)
    while True:
        begun, used = time.strftime("%H:%M:%S"), connection.sock is not None
        try:
            try:
                answer = ask(connection, path, keep)
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                if not used:
                    raise
                # A reload of nginx closes idle connections; who used one at that moment asks again, as browsers do.
                connection.close()
                answer = ask(connection, path, keep)
            body = answer.read()
            if answer.status != 200 or "greeting" not in json.loads(body):
                faults.write(f"{begun} {path}: {answer.status}\n")
            count[0] += 1
        except (OSError, ValueError, http.client.HTTPException) as error:
            faults.write(f"{begun} {path}: {error!r}\n")
            connection.close()
        time.sleep(pause)
for kind in (("/", True, 0.05), ("/pid", False, 0.05), ("/sleep?s=1", False, 0)):
    threading.Thread(target=come, args=kind, daemon=True).start()
while True:
    open("/run/visitors.count", "w").write(str(count[0]))
    time.sleep(0.3)
"""


class Host:
    """One test host, seen from within and from the controller."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.container = SCENARIO.container(name)
        self.numbers = itertools.count(int(time.time()) % 100000)

    # ------------------------------------------------------------------------------------------------ on the host
    def run(self, *argv: str, text: str = "") -> str:
        """A command on the host; its output."""
        return SCENARIO.within(self.name, *argv, stdin=text)

    def look(self) -> dict[str, Any]:
        """The state of the host."""
        state: dict[str, Any] = json.loads(self.run("python3", "-", text=LOOK))
        return state

    def visit(self) -> None:
        """Start the clients that send requests from now on."""
        self.leave()
        argv = ["podman", "exec", self.container, "python3", "-c", VISIT]
        subprocess.Popen(argv, env=ENVIRONMENT)
        self.visited()

    def leave(self) -> None:
        """Send them home."""
        self.run("sh", "-c", "kill $(cat /run/visitors.pid) 2>/dev/null; rm -f /run/visitors.*")

    def visited(self) -> None:
        """Each of them got what it came for, since the last time."""
        # In one call on the host, since a call costs more than a visit.
        script = "c() { cat /run/visitors.count 2>/dev/null || echo 0; }; a=$(c); n=0\n"
        script += "while [ $(c) -le $((a + 5)) ] && [ $n -lt 100 ]; do sleep 0.2; n=$((n + 1)); done\n"
        script += "[ $n -lt 100 ] || echo the visitors hang; cat /run/visitors.faults"
        assert self.run("sh", "-c", script) == ""

    # ------------------------------------------------------------------------------------------------------- runs
    def greeting(self) -> str:
        """A greeting that was never deployed."""
        return f"hello-{next(self.numbers)}"

    def start(
        self, playbook: str = "deploy", env: dict[str, str] | None = None, **variables: Any
    ) -> subprocess.Popen[str]:
        """Begin to run a playbook on this host, in its own process group."""
        return subprocess.Popen(
            SCENARIO.command(playbook, f"--limit={self.name}", **variables),
            cwd=ROOT, env={**ENVIRONMENT, **(env or {})}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def play(
        self, playbook: str = "deploy", fails: bool = False, env: dict[str, str] | None = None, **variables: Any
    ) -> str:
        """Run a playbook to its end; its output."""
        run = self.start(playbook, env, **variables)
        out, _nothing = run.communicate(timeout=patience(240))
        assert (run.returncode != 0) == fails, out
        return out

    def whole(self, greeting: str | None = None) -> dict[str, Any]:
        """Assert that one whole release is served and that nothing is left of anything else. Returns the host's state."""
        self.visited()
        now = self.look()
        unit = f"slipway-probe-{now['current']}"
        assert now["status"] == 200
        assert now["nginx"] == now["greeting"] == (greeting or now["greeting"])
        assert now["runtime"] == [now["current"]], now
        if self.name == SYSTEMD:
            assert now["units"] == [f"{unit}-log active", f"{unit} active", f"{unit}.socket active"]
            assert now["unit files"] == [
                f"/etc/systemd/system/multi-user.target.wants/{unit}.service",
                f"/etc/systemd/system/{unit}-log.service",
                f"/etc/systemd/system/{unit}.service",
                f"/etc/systemd/system/{unit}.socket",
            ]
        else:
            assert now["programs"] == [f"/etc/slipway/supervisor.d/{unit}.conf"]
        assert now["gunicorns"] == now["workers"] + 1, now
        assert now["current"] in now["complete"]
        assert (now["halves"], now["half venvs"], now["litter"], now["lock"]) == ([], [], [], None)
        folders = {"assets", "current", "home", "releases", "shared", "venvs"}
        assert set(now["root"]) <= {*folders, "bad-releases.json"}, now["root"]
        return now

    def killed(self, at: str, greeting: str) -> dict[str, Any]:
        """Have a deploy killed. Returns the host's state right afterwards. Clients notice nothing.

        After killed deploys a step may end before the killer comes, since its work is done already. It may also be faster
        than when it was timed. Then another release gives it work again, for a shorter time.
        """
        number, seconds, how = at.split(":")
        for share, one in ((1, greeting), (2, self.greeting()), (4, self.greeting())):
            moment = f"{number}:{float(seconds) / share:.2f}:{how}"
            run = self.start(env={**KILL, "KILL_AT": moment}, greeting=one, hooks=HOOKS)
            out, _nothing = run.communicate(timeout=patience(240))
            if run.returncode:
                break
        assert run.returncode == -signal.SIGKILL, out
        self.visited()
        return {**self.look(), "wanted": one}


@pytest.fixture(scope="module", params=[SYSTEMD, SUPERVISOR])
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    machine = Host(request.param)
    machine.visit()
    yield machine
    machine.leave()


def only(host: Host, name: str) -> None:
    if host.name != name:
        pytest.skip(f"proved on {name}")


HOOKS = {
    name: {"command": ["sh", "-c", f'echo "{name} $GREETING $(id -un) $(basename $(dirname $(pwd)))" >> /srv/probe/shared/hooks'], "timeout": 20}
    for name in ("before_prepare", "migrate", "before_activate", "after_activate", "on_failure")
}  # fmt: skip


@pytest.fixture(scope="module")
def steps(host: Host, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The steps of a deploy with everything in it, as a deploy itself tells them."""
    record = tmp_path_factory.mktemp("steps") / "steps"
    greeting = host.greeting()
    host.play(env={**KILL, "KILL_RECORD": str(record)}, greeting=greeting, hooks=HOOKS)
    host.whole(greeting)
    recorded = [json.loads(line) for line in record.read_text().splitlines()]
    assert {"lock", *WORK} <= {step["module"] for step in recorded}, recorded
    return recorded


def kills(host: Host, steps: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """What is killed when: the step's name, KILL_AT, and a word for it."""
    if host.name == SYSTEMD:
        points = [(step["name"], f"{step['number']}:0:all", "before") for step in steps]
        long = [step for step in steps if step["seconds"] > MOMENT and step["module"] in WORK]
        return points + [(step["name"], f"{step['number']}:{step['seconds'] / 2:.2f}:all", "amid") for step in long]
    work = [step for step in steps if step["module"] in WORK]
    return [(one["name"], f"{one['number']}:{max(0.2, one['seconds'] / 2):.2f}:alone", "behind") for one in work]


def test_a_controller_killed_at_any_step(host: Host, steps: list[dict[str, Any]]) -> None:
    """Before each step, and amid each that works for a while. Whatever is left, the next deploy makes a whole of it.

    A killed deploy often follows another killed one, so what many leave behind adds up. Its release is the previous one
    or another one, by turns.
    """
    left: dict[str, tuple[str, str, Any]] = {}  # by token: when its run was killed, what was current then, and the lock
    new = host.look()["greeting"]
    wanted = kills(host, steps)
    for number, (step, at, when) in enumerate(wanted, 1):
        begun = time.monotonic()
        old, new = host.look()["greeting"], new if number % 2 else host.greeting()
        now = host.killed(at, new)
        assert now["greeting"] in (old, new, now["wanted"])
        new = now["wanted"]
        if now["lock"]:
            left.setdefault(now["lock"]["token"], (when, now["current"], now["lock"]))
        if number % IN_A_ROW == 0 or number == len(wanted):
            new = new if number % 2 else host.greeting()
            out = host.play(greeting=new)
            after = host.whole(new)
            for token, (killed, current, mine) in left.items():
                lines = [line for line in after["journal"] if line["id"] == token]
                about = mine["apps"]["probe"]
                if not lines and killed == "behind" and about["to"] in (None, about["from"]):
                    continue  # it had only to retire the run before, and that step has given the lock back by itself
                (line,) = lines
                # The last step, after the switch, gives the lock back by itself, whether or not the controller waits for
                # its answer. A late killer may meet it instead of a quick step before.
                ended = line["outcome"] == "ok" and killed != "before" and current == line["to"]
                assert ended or line["outcome"] == "interrupted", line
                assert not now["lock"] or token != now["lock"]["token"] or ended or "took over the lock" in out, out
                assert line["to"] == about["to"] or about["to"] is None, line
            left = {}
        print(
            f"{when:6} {step:85} {'left the lock' if now['lock'] else '-':13} {time.monotonic() - begun:5.1f} s",
            flush=True,
        )


@pytest.mark.parametrize("step", ["instance", "activate", "retire"])
def test_a_host_rebooted_in_the_middle(host: Host, step: str, steps: list[dict[str, Any]]) -> None:
    """Before the start, after it and before the switch, and between the switch and the end of the old one."""
    number = next(one["number"] for one in steps if one["module"] == step)
    old = host.look()["greeting"]
    now = host.killed(f"{number}:0:all", host.greeting())
    lock, new = now["lock"], now["wanted"]
    assert lock["apps"]["probe"]["to"], "the steps before have noted what it is about"
    containers.restart(host.container, ENVIRONMENT)
    end = time.monotonic() + patience(60)
    while True:
        try:
            now = host.look()
            if now["status"] == 200:
                break
        except AssertionError:
            pass
        assert time.monotonic() < end, "the app did not come back"
        time.sleep(0.3)
    assert now["greeting"] == (new if step == "retire" else old)
    assert now["current"] in now["complete"]
    host.visit()
    greeting = host.greeting()
    out = host.play(greeting=greeting)
    # A container that restarts keeps its kernel's boot id, so it is the process that tells; it is gone in any case.
    message = r"took over the lock of \S+ on \S+ \(process \d+\), since \S+, to deploy: (its process is gone|the host was restarted)"
    assert re.search(message, out), out
    lines = [line for line in host.whole(greeting)["journal"] if line["id"] == lock["token"]]
    assert [(line["outcome"], line["to"]) for line in lines] == [("interrupted", lock["apps"]["probe"]["to"])]


def test_requirements_that_cannot_be_had(host: Host) -> None:
    before = host.look()
    greeting = host.greeting()
    host.run("rm", "-f", "/srv/probe/shared/hooks")
    needs = ["left @ http://127.0.0.1:9/left-1.0-py3-none-any.whl"]
    out = host.play(fails=True, greeting=greeting, needs=needs, hooks={"on_failure": HOOKS["on_failure"]})
    assert "could not be installed" in out
    now = host.whole(before["greeting"])
    for key in ("current", "complete", "venvs", "bad"):
        assert now[key] == before[key], key
    assert now["hooks"] == [f"on_failure {before['greeting']} probe {before['current']}"], "nothing was named before"
    line = now["journal"][-1]
    assert (line["outcome"], line["from"]) == ("failed", before["current"])
    assert line["to"] not in (None, before["current"])
    host.play(greeting=greeting)
    host.whole(greeting)


@pytest.mark.parametrize("needs", [[], ["idna==3.10"]])
def test_a_full_disk(host: Host, needs: list[str]) -> None:
    """The app's folder becomes a small disk that is full. There is no room for another release, or for another virtualenv."""
    only(host, SUPERVISOR)  # under systemd, the app's processes see a separate file system
    before = host.look()
    room = 8 if not needs else 400
    host.leave()
    # In a container, new mounts do not reach the file systems that confined daemons see. On a host they do. So they restart.
    host.run("sh", "-ec", """
        mountpoint -q /srv/probe || {
            mount -t tmpfs -o size=200M,mode=0755 tmpfs /mnt; cp -a /srv/probe/. /mnt/; mount --move /mnt /srv/probe
            systemctl restart slipway-supervisor nginx; }""")  # fmt: skip
    end = time.monotonic() + patience(60)
    while host.look()["status"] != 200:
        assert time.monotonic() < end, "the app does not come back"
        time.sleep(0.3)
    host.visit()
    host.run("sh", "-ec", f"""
        mount -o remount,size=$(($(df --output=used -k /srv/probe | tail -1) + {room}))k /srv/probe""")  # fmt: skip
    greeting = host.greeting()
    out = host.play(fails=True, greeting=greeting, needs=needs)
    # uv meets the full disk, or the kit ends the build before, whichever looks first.
    assert "No space left on device" in out or "/srv/probe/venvs is full except for" in out, out
    assert "Traceback" not in out
    now = host.whole(before["greeting"])
    for key in ("current", "complete", "venvs", "bad"):
        assert now[key] == before[key], key
    host.run("mount", "-o", "remount,size=200M", "/srv/probe")
    host.play(greeting=greeting, needs=needs)
    host.whole(greeting)


def test_two_deploys_at_the_same_time(host: Host) -> None:
    only(host, SUPERVISOR)
    host.run("rm", "-f", "/srv/probe/shared/hooks")
    first, second = host.greeting(), host.greeting()
    slow = {"before_activate": {"command": ["sleep", "12"], "timeout": 60}}
    running = host.start(greeting=first, hooks=slow)
    end = time.monotonic() + patience(60)
    while not (lock := host.look()["lock"]):
        assert time.monotonic() < end
        time.sleep(0.3)
    waiting = host.start(greeting=second, lock_wait=120)
    same = host.start(greeting=first, lock_wait=120)
    refused = host.play(fails=True, greeting=second, hooks=HOOKS)
    assert (
        f"another run is at work on this host: {lock['who']} on {lock['controller']} (process {running.pid}), "
        f"since {lock['since']}, to deploy. Wait for it (-e lock_wait=5m)"
    ) in refused
    assert "traceback" not in refused.lower()
    outs = [run.communicate(timeout=patience(240))[0] for run in (running, waiting, same)]
    assert [run.returncode for run in (running, waiting, same)] == [0, 0, 0], outs
    now = host.look()
    assert now["greeting"] in (first, second)
    assert not any(line.startswith("on_failure") for line in now["hooks"]), "a run that was refused calls no hook"
    host.whole()
    assert [line["outcome"] for line in now["journal"][-2:]] == ["ok", "ok"]


def test_hooks(host: Host) -> None:
    host.run("rm", "-f", "/srv/probe/shared/hooks")
    before, greeting = host.look(), host.greeting()
    host.play(greeting=greeting, hooks=HOOKS)
    now = host.whole(greeting)
    old, new = before["current"], now["current"]
    assert now["hooks"] == [
        f"before_prepare {before['greeting']} probe {old}",
        f"migrate {greeting} probe {new}",
        f"before_activate {greeting} probe {new}",
        f"after_activate {greeting} probe {new}",
    ]
    out = host.play(greeting=greeting, hooks=HOOKS)
    assert "changed=0" in out
    assert host.look()["hooks"] == now["hooks"], "a deploy that changes nothing runs none"
    assert host.look()["journal"] == now["journal"], "nor is it told"


@pytest.mark.parametrize("point", ["before_prepare", "migrate", "before_activate"])
def test_a_hook_that_fails_before_the_switch_changes_nothing(host: Host, point: str) -> None:
    host.run("rm", "-f", "/srv/probe/shared/hooks")
    before, greeting = host.look(), host.greeting()
    fails = {"command": ["sh", "-c", "echo the table is locked >&2; exit 3"], "timeout": 20}
    out = host.play(fails=True, greeting=greeting, hooks={**HOOKS, point: fails})
    assert f": hook {point} (sh -c 'echo the table is locked >&2; exit 3') failed with status 3" in out
    assert "    the table is locked" in out
    now = host.whole(before["greeting"])
    assert now["current"] == before["current"]
    assert now["hooks"][-1] == f"on_failure {before['greeting']} probe {before['current']}"
    line = now["journal"][-1]
    assert line["outcome"] == "failed"
    assert f": hook {point} " in line["reason"]
    assert now["bad"].get(line["to"]) is None, "the release is not to blame"
    host.play(greeting=greeting)
    host.whole(greeting)


def test_a_hook_that_takes_too_long_and_one_that_is_a_task_file(host: Host, tmp_path: Path) -> None:
    only(host, SUPERVISOR)
    before, greeting = host.look(), host.greeting()
    hangs = {"command": ["sh", "-c", "echo waiting; sleep 1000 & wait"], "timeout": 2}
    report = tmp_path / "told"
    tasks = tmp_path / "tasks.yml"
    content = "{{ app_name }} {{ app_root }} {{ release_path }}"
    tasks.write_text(
        json.dumps(
            [
                {
                    "ansible.builtin.copy": {"dest": str(report), "content": content},
                    "delegate_to": "localhost",
                    "connection": "local",
                }
            ]
        )
    )
    out = host.play(fails=True, greeting=greeting, hooks={"migrate": hangs, "on_failure": {"tasks": str(tasks)}})
    assert "was not done after 2 s and was killed; raise its timeout or make it faster" in out
    assert "    waiting" in out
    assert "1000" not in host.run("sh", "-c", "pgrep -u probe -a sleep || true")
    assert report.read_text() == f"probe /srv/probe /srv/probe/releases/{before['current']}"
    host.whole(before["greeting"])
    host.play(greeting=greeting, hooks={"migrate": {"tasks": str(tasks)}})
    now = host.whole(greeting)
    assert report.read_text() == f"probe /srv/probe /srv/probe/releases/{now['current']}"
    out = host.play("rollback", greeting=before["greeting"])
    assert f"a migration ran with {now['current']}" in out.replace("\n", " ")
    host.whole(before["greeting"])
    host.play(greeting=greeting, redeploy=True)


def test_a_hook_that_fails_after_the_switch(host: Host) -> None:
    greeting = host.greeting()
    before = host.look()["hooks"]
    hooks = {"after_activate": {"command": ["false"], "timeout": 9}, "on_failure": HOOKS["on_failure"]}
    out = host.play(fails=True, greeting=greeting, hooks=hooks)
    assert "hook after_activate (false) failed with status 1" in out
    assert "Only the hook failed: clients get the new release, and it stays." in out
    now = host.whole(greeting)  # the release stays current, and the old instance has ended
    assert now["hooks"] == before, "on_failure is for a release that clients do not get"
    host.play(greeting=greeting)
    host.whole(greeting)


def test_a_rollback_brings_everything_back_with_nothing_but_the_host(host: Host, tmp_path: Path) -> None:
    first, second = host.greeting(), host.greeting()
    host.play(greeting=first)
    old = host.whole(first)
    migrates = {"migrate": {"command": ["true"], "timeout": 9}}
    host.play(greeting=second, workers=2, needs=["idna==3.10"], hooks=migrates)
    new = host.whole(second)
    assert new["workers"] == 2
    nowhere = {"code": str(tmp_path / "gone"), "package_index_url": "http://127.0.0.1:9/simple"}
    host.play(fails=True, greeting=second, **nowhere)
    out = host.play("rollback", greeting=second, workers=2, **nowhere)
    assert f"probe: from {new['current']} to {old['current']}" in out
    assert f"a migration ran with {new['current']}, after {old['current']}" in out.replace("\n", " ")
    # Code, dependencies, environment, unit and gunicorn's settings; nginx's files are the inventory's.
    now = host.look()
    for key in ("current", "greeting", "environment", "workers", "gunicorns"):
        assert now[key] == old[key], key
    assert now["bad"][new["current"]] == "rolled back"
    line = now["journal"][-1]
    assert (line["purpose"], line["from"], line["to"], line["outcome"]) == (
        "rollback",
        new["current"],
        old["current"],
        "ok",
    )
    # What was left is refused until it is asked for, also after another rollback, with which its folder goes. Its log stays.
    host.play("rollback", greeting=second, workers=2, **nowhere)
    assert new["current"] not in host.look()["complete"]
    assert "Listening at" in host.run("cat", f"/var/log/slipway/probe/{new['current']}.log")
    again = {"greeting": second, "workers": 2, "needs": ["idna==3.10"]}
    out = host.play(fails=True, **again)
    assert f"probe: {new['current']} was marked bad on this host: rolled back. Change the app or its settings" in out
    assert "-e redeploy=true" in out
    host.play(**again, redeploy=True)
    assert host.whole(second)["bad"][new["current"]] is None
    # Any release by its name. A typo gets a suggestion.
    out = host.play("rollback", fails=True, release=old["current"][:-1], greeting=second)
    assert f"no release {old['current'][:-1]} on this host; did you mean {old['current']}?" in out
    host.play("rollback", release=old["current"], greeting=first)
    host.whole(first)


def test_a_rollback_that_dies_is_finished_by_the_next(host: Host, tmp_path: Path) -> None:
    only(host, SYSTEMD)
    record, first, second = tmp_path / "steps", host.greeting(), host.greeting()
    host.play(greeting=first)
    old = host.whole(first)
    host.play(greeting=second)
    run = host.start("rollback", env={**KILL, "KILL_RECORD": str(record)}, greeting=first)
    run.communicate(timeout=patience(240))
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    number = next(line["number"] for line in lines if line["module"] == "retire")
    host.play(greeting=second, redeploy=True)
    run = host.start("rollback", env={**KILL, "KILL_AT": f"{number}:0:all"}, greeting=first)
    run.communicate(timeout=patience(240))
    assert host.look()["current"] == old["current"]
    out = host.play("rollback", greeting=first)
    assert "took over the lock" in out
    assert f"probe: {old['current']} is current already" in out, out
    assert host.whole(first)["current"] == old["current"]


def test_a_release_that_is_bad_shows_its_log(host: Host, tmp_path: Path) -> None:
    before = host.look()
    code = tmp_path / "code"
    code.mkdir()
    text = (ROOT / "tests/fixtures/probe-app/probe.py").read_text()
    (code / "probe.py").write_text(text.replace('"/healthz": _pid', '"/healthz": _raise'))
    out = host.play(fails=True, code=str(code))
    assert "RuntimeError: the probe was asked to fail" in out, out
    assert "Last lines of /var/log/slipway/probe/" in out
    now = host.whole(before["greeting"])
    line = now["journal"][-1]
    assert now["bad"][line["to"]]
    host.run("rm", "-f", "/srv/probe/shared/hooks")
    out = host.play(fails=True, code=str(code), hooks=HOOKS)
    assert out.count("was marked bad on this host") == 1, out
    now = host.whole(before["greeting"])
    assert now["hooks"] == [], "what is refused anyway is announced to nobody"
    assert (now["journal"][-1]["outcome"], now["journal"][-1]["to"]) == ("failed", None)


def test_the_releases_are_shown_to_people_and_machines(host: Host) -> None:
    now = host.look()
    shown = host.play("releases")
    assert re.search(rf"^probe  {re.escape(now['current'])} +\d{{4}}-\S+  \S+ +[\d.]+ kB  current$", shown, re.M), shown
    assert re.search(r"bad: ", shown), shown
    releases = json.loads(host.play("releases", format="json"))
    assert {one["id"] for one in releases} == set(now["complete"])
    (current,) = [one for one in releases if one["current"]]
    assert (current["host"], current["app"], current["id"]) == (host.name, "probe", now["current"])
    assert current["who"]
    for line in now["journal"]:
        assert set(line) == {
            "id",
            "purpose",
            "app",
            "from",
            "to",
            "who",
            "controller",
            "start",
            "seconds",
            "outcome",
            "reason",
        }
        assert line["outcome"] in ("ok", "failed", "interrupted")


def test_both_hosts_stay_as_they_are_when_one_fails() -> None:
    hosts = [Host(SYSTEMD), Host(SUPERVISOR)]
    for one in hosts:
        one.visit()
    both = Host("all")
    greeting = both.greeting()
    both.play(greeting=greeting)
    before = [one.whole(greeting) for one in hosts]
    out = both.play(fails=True, greeting=both.greeting(), sick=SUPERVISOR)
    assert "no-such-page" in out or "404" in out, out
    after = [one.whole(greeting) for one in hosts]
    for one, was in zip(after, before, strict=True):
        assert one["current"] == was["current"]
        assert one["journal"][-1]["outcome"] == "failed"
    assert after[0]["journal"][-1]["reason"] == "it failed on another host"
    assert after[0]["bad"][after[0]["journal"][-1]["to"]] is None
    assert after[1]["bad"][after[1]["journal"][-1]["to"]]
    assert "404" in after[1]["journal"][-1]["reason"]
    for one in hosts:
        one.leave()


FOREIGN = """
server {
    listen 80;
    server_name probe.test;
    location / { return 418; }
}
"""


RELOAD = """
workers() { pgrep -f "^nginx: worker process$"; }
old=$(workers)
nginx -s reload
for pid in $old; do while workers | grep -qx $pid; do sleep 0.1; done; done
"""
"""Reload nginx, and wait until each earlier worker process accepts no request any more."""


@contextmanager
def foreign(host: Host) -> Iterator[None]:
    """Another site of the host has the app's name, so the switch fails there, after five seconds."""
    host.run("sh", "-c", "cat > /etc/nginx/conf.d/00-foreign.conf", text=FOREIGN)
    try:
        yield
    finally:
        host.run("sh", "-c", f"rm /etc/nginx/conf.d/00-foreign.conf; {RELOAD}")


def undone(out: str, before: str, sick: Host) -> bool:
    """Whether a run says that an app went back to an earlier release, and because of which host."""
    reason = f"since {sick.name} did not report a successful switch"
    return bool(re.search(rf"the switch to \S+ was undone \(went back to {before}\), {reason}", out))


@pytest.mark.parametrize("playbook", ["deploy", "rollback"])
def test_both_hosts_go_back_when_one_cannot_switch(playbook: str) -> None:
    """No client of the other one notices."""
    good, sick = Host(SYSTEMD), Host(SUPERVISOR)
    both = Host("all")
    for _ in range(2):
        greeting = both.greeting()
        both.play(greeting=greeting)
    good.visit()
    before = good.whole(greeting), sick.look()
    wish = {"greeting": both.greeting()} if playbook == "deploy" else {}
    with foreign(sick):
        out = both.play(playbook, fails=True, **wish)
    assert "Another site has the name probe.test: /etc/nginx/conf.d/00-foreign.conf" in out, out
    assert undone(out, before[0]["current"], sick), out
    sick.visit()
    for host, was in zip((good, sick), before, strict=True):
        now = host.whole(greeting)
        assert now["current"] == was["current"]
        assert (now["journal"][-1]["purpose"], now["journal"][-1]["outcome"]) == (playbook, "failed")
        assert now["bad"][now["current"]] is None
        assert now["bad"][now["journal"][-1]["to"]] is None
        host.leave()
    both.play(playbook, **wish)
    for host, was in zip((good, sick), before, strict=True):
        assert host.look()["current"] != was["current"]


def test_both_hosts_get_nginx_s_earlier_files_when_one_cannot_switch() -> None:
    """One of them has the release already, so nothing but nginx's files changes there."""
    good, sick = Host(SYSTEMD), Host(SUPERVISOR)
    both, greeting = Host("all"), good.greeting()
    both.play()
    good.play(greeting=greeting)
    good.visit()
    with foreign(sick):
        out = both.play(fails=True, greeting=greeting, banner="news")
    assert f"nginx's earlier files were put back, since {SUPERVISOR} did not report a successful switch" in out, out
    good.whole(greeting)
    good.leave()
    both.play(greeting=greeting)


GREEDY = r"""
while [ "$(readlink /srv/probe/current)" = "$0" ]; do sleep 0.05; done
pkill -9 -f "/var/lib/slipway/modules/.*/run[.]py"
"""
"""Kill the kit's step when `current` is no longer the link that the first argument tells."""


def test_both_hosts_go_back_when_the_step_of_one_is_killed() -> None:
    """It has renamed the link, and cannot say so."""
    good, sick = Host(SYSTEMD), Host(SUPERVISOR)
    both = Host("all")
    greeting = both.greeting()
    both.play(greeting=greeting)
    good.visit()
    before = good.look(), sick.look()
    with foreign(sick):
        argv = ["podman", "exec", sick.container, "sh", "-c", GREEDY, f"releases/{before[1]['current']}"]
        killer = subprocess.Popen(argv, env=ENVIRONMENT)
        out = both.play(fails=True, greeting=both.greeting())
        assert killer.wait(timeout=patience(10)) == 0
    assert all(undone(out, was["current"], sick) for was in before), out
    sick.visit()
    for host in (good, sick):
        host.whole(greeting)
        host.leave()

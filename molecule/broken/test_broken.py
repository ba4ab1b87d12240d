"""New code that is broken in many ways: the run says why, and the good release keeps running untouched."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.hosts.scenario import Scenario
from tests.patience import slowness

SCENARIO = Scenario("broken")
HOSTS = ("bookworm", "supervised")

LOOK = r"""
import glob, http.client, json, os, subprocess
def lines(*argv):
    return sorted(subprocess.run(argv, capture_output=True, text=True).stdout.splitlines())
def ask():
    connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=10)
    connection.request("GET", "/", headers={"Host": "site.test"})
    answer = connection.getresponse()
    return [answer.status, answer.read().decode()]
print(json.dumps({
    "answer": ask(),
    "current": os.readlink("/srv/site/current"),
    "processes": lines("pgrep", "-u", "site"),
    "units": lines("systemctl", "list-units", "--all", "--plain", "--no-legend", "slipway-site-*"),
    "unit files": sorted(glob.glob("/etc/systemd/system/**/slipway-site-*", recursive=True)),
    "programs": sorted(os.path.basename(path) for path in glob.glob("/etc/slipway/supervisor.d/slipway-site-*")),
    "runtime": sorted(os.listdir("/run/site")),
    "releases": sorted(path for path in glob.glob("/srv/site/releases/*") if os.path.exists(path + "/manifest.json")),
    "halves": sorted(path for path in glob.glob("/srv/site/releases/*") if not os.path.exists(path + "/manifest.json")),
    "half virtualenvs": sorted(path for path in glob.glob("/srv/site/venvs/*") if not os.path.exists(path + "/.complete")),
    "virtualenvs": sorted(glob.glob("/srv/site/venvs/*")),
    "empty logs": sorted(path for path in glob.glob("/var/log/slipway/site/*") if not os.path.getsize(path)),
    "sites": sorted(glob.glob("/etc/nginx/conf.d/*") + glob.glob("/etc/nginx/slipway/*")),
}))
"""
GROWS = ("releases", "virtualenvs")
"""What a failed deploy may leave until the next good one: a whole release that was proved bad, a whole virtualenv."""
UNUSED = "empty logs"
"""What one leaves besides, where the release is whole and another host had the fault: the log of a release that never ran."""


within = SCENARIO.within


def look() -> dict[str, dict[str, Any]]:
    """The state of each host, seen from within."""
    return {host: json.loads(within(host, "python3", "-", stdin=LOOK)) for host in HOSTS}


def deploy(**variables: Any) -> subprocess.CompletedProcess[str]:
    """Deploy what the variables say."""
    return SCENARIO.play("deploy", stderr=subprocess.PIPE, **variables)


@dataclass(frozen=True)
class Broken:
    """New code, and what the run says about it."""

    messages: tuple[str, ...]
    variables: Mapping[str, Any]


def broken(*messages: str, **variables: Any) -> Broken:
    return Broken(messages, variables)


KINDS = {
    "no such module": broken(
        "there is no module 'web' in the app's code nor in its virtualenv", 'did you mean "shop.wsgi:app"?',
        fixture="missing_module",
    ),
    "no such attribute": broken(
        "module web has no attribute 'application2'", 'did you mean "web:application"?', "callable there: app, application",
        callable="web:application2",
    ),
    "not callable": broken("web:app is not callable: it is of type builtins.dict", fixture="not_callable"),
    "factory without ()": broken(
        "web:create_app is a function that makes the application", 'use "web:create_app()"',
        fixture="factory", callable="web:create_app",
    ),
    "exception at import": broken(
        "importing web failed at settings.py:2: ValueError: invalid literal for int()", "web.py:3: app = settings.make()",
        fixture="raises",
    ),
    "missing dependency": broken(
        "web.py:1 imports yaml_of_nobody, which is not installed", "add the package", fixture="missing_dependency"
    ),
    "app.run() at import": broken(
        "web.py:16 calls app.run() when the module is imported", 'under if __name__ == "__main__":',
        fixture="runs", boot=5,
    ),
    "app.run() behind a function": broken(
        "web.py:13 calls server.serve_forever() when the module is imported", "web.py:16: main()",
        fixture="runs_hidden", boot=5,
    ),
    "sleep at import": broken(
        "importing web did not end within 5 s", "web.py:8 is still running: time.sleep(0.05)", fixture="sleeps", boot=5
    ),
    "exit at import": broken("importing web ended the process: sys.exit(0) at web.py:3", fixture="exits"),
    "answers 500": broken(
        "GET / (Host: site.test) was answered 500", "Hint: the app raised an exception", "Last lines of /var/log/slipway/",
        fixture="answers_500", boot=int(10 * slowness()),
    ),
    "crashes after boot": broken("died", "Last lines of /var/log/slipway/site/", fixture="crashes"),
    "no such requirement": broken(
        "the dependencies of site (its requirements) could not be installed", "no-such-package-of-slipway was not found",
        needs=["no-such-package-of-slipway==1.0"],
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def good() -> Iterator[dict[str, dict[str, Any]]]:
    """The hosts with the good release."""
    completed = deploy()
    assert completed.returncode == 0, completed.stdout
    hosts = look()
    for host in hosts.values():
        assert host["answer"] == [200, "good_wsgi"]
        assert host["processes"]
    yield hosts


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_release_changes_nothing(kind: str, good: dict[str, dict[str, Any]]) -> None:
    completed = deploy(app="site", **KINDS[kind].variables)
    for words in KINDS[kind].messages:
        assert words in completed.stdout, completed.stdout
    went_on(completed, good)


def test_files_of_nginx_with_which_an_app_no_longer_answers_go_back(good: dict[str, dict[str, Any]]) -> None:
    """No release changes, so only clients would find out."""
    completed = deploy(app="site", extra="return 500;")
    assert "with nginx's new files, " in completed.stdout and "was answered 500" in completed.stdout, completed.stdout
    went_on(completed, good)
    assert not any("return 500" in within(host, "cat", "/etc/nginx/slipway/site.conf") for host in HOSTS)


def test_a_full_disk_changes_nothing(good: dict[str, dict[str, Any]]) -> None:
    for host in HOSTS:
        within(host, "sh", "-c", "cat /dev/zero > /srv/full; test -s /srv/full")
    try:
        completed = deploy(app="site", fixture="flask_like")
    finally:
        for host in HOSTS:
            within(host, "rm", "/srv/full")
    assert "No space left on device" in completed.stdout
    went_on(completed, good)


OTHER = r"""
import http.client, json, os
connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=10)
connection.request("GET", "/", headers={"Host": "other.test"})
print(json.dumps([connection.getresponse().status, os.readlink("/srv/other/current")]))
"""


def neighbours() -> dict[str, tuple[int, str]]:
    """On each host, what the other app answers, and its current release."""
    return {host: tuple(json.loads(within(host, "python3", "-", stdin=OTHER))) for host in HOSTS}


@pytest.mark.parametrize(
    ("step", "variables", "message"),
    [
        ("resolve", {"python_of_bookworm": "3.99"}, "python 3.99 is not on this host"),
        ("build", {"fixture_of_bookworm": "raises"}, "importing web failed"),
        ("migrate", {"fixture": "flask_like", "hooks": {"migrate": "false"}}, "hook migrate (false) failed"),
        ("gate", {"fixture_of_bookworm": "crashes"}, "died"),
    ],
)
def test_one_app_s_fault_is_that_app_s(step: str, variables: dict[str, Any], message: str, good: Any) -> None:
    """It is held back on all hosts, though only one has the fault. The other app is activated on all."""
    before = neighbours()
    completed = deploy(round=step, **variables)
    assert message in completed.stdout, completed.stdout
    assert "held back: site: " in completed.stdout and "activated: other " in completed.stdout
    went_on(completed, good, (*GROWS, UNUSED))
    for host, (status, current) in neighbours().items():
        assert status == 200 and current != before[host][1], host
    lines = [
        json.loads(line) for line in within("bookworm", "tail", "-n2", "/var/log/slipway/journal.jsonl").splitlines()
    ]
    assert {line["app"]: line["outcome"] for line in lines} == {"site": "failed", "other": "ok"}


def test_apps_that_belong_together_are_held_back_together(good: Any) -> None:
    before = neighbours()
    completed = deploy(round="together", together="all", fixture_of_bookworm="raises")
    assert "other: site failed, with which it is deployed together" in completed.stdout, completed.stdout
    went_on(completed, good, (*GROWS, UNUSED))
    assert neighbours() == before


COLD = """
- name: Warm the cache
  ansible.builtin.command: test {{ inventory_hostname }} != bookworm
"""
"""The tasks of a hook that fail on one host."""
NOTE = """
- name: Note the hook
  command: touch /run/{{ app_name }}-{{ release_hook }}
- name: Note it on one host
  ansible.builtin.command: touch /run/{{ app_name }}-once
  run_once: true
"""


def task_files(folder: Path, hook: str) -> dict[str, dict[str, Any]]:
    """The variables for apps with task files: those of `site` fail on one host, those of `other` leave a note."""
    (folder / "cold.yml").write_text(COLD)
    (folder / "note.yml").write_text(NOTE)
    return {
        "hooks": {hook: {"tasks": str(folder / "cold.yml")}, "on_failure": {"tasks": str(folder / "note.yml")}},
        "other_hooks": {hook: {"tasks": str(folder / "note.yml")}},
    }


def noted(name: str) -> list[str]:
    """The hosts on which a hook has left its note."""
    return [host for host in HOSTS if name in within(host, "ls", "/run").split()]


def test_tasks_that_fail_before_the_switch_hold_back_their_app(good: Any, tmp_path: Path) -> None:
    """As a command does: on all hosts, though only one has the fault."""
    before = neighbours()
    completed = deploy(round="tasks", fixture="flask_like", **task_files(tmp_path, "before_activate"))
    reason = f"hook before_activate ({tmp_path}/cold.yml) failed"
    for text, count in (
        ("held back: site: ", 2),
        ("activated: other ", 2),
        (reason, 3),
        ("release: Begin the hook", 0),
    ):
        assert completed.stdout.count(text) == count, (text, completed.stdout)
    unchanged(completed, good, (*GROWS, UNUSED))
    assert all(current != before[host][1] for host, (_, current) in neighbours().items())
    assert noted("other-before_activate") == noted("site-on_failure") == list(HOSTS)
    assert len(noted("other-once")) == 1, "the hosts have different releases of one app"


def releases() -> dict[str, str]:
    """The releases of the app `site` on each host."""
    return {host: within(host, "ls", "/srv/site/releases") for host in HOSTS}


def test_tasks_that_fail_before_the_build_leave_their_app_unbuilt(good: Any, tmp_path: Path) -> None:
    """On all hosts, though only one has the fault."""
    before = releases()
    completed = deploy(round="prepare", fixture="good_wsgi", boot=61, **task_files(tmp_path, "before_prepare"))
    assert completed.stdout.count("held back: site: ") == completed.stdout.count("activated: other ") == 2, (
        completed.stdout
    )
    unchanged(completed, good, (*GROWS, UNUSED))
    assert releases() == before


def test_tasks_that_end_the_run_before_its_last_step(good: Any, tmp_path: Path) -> None:
    """In a file of which only the run knows the name. Any other one is refused before any host is touched."""
    before = neighbours()
    (tmp_path / "ends.yml").write_text("- ansible.builtin.meta: end_play\n")
    (tmp_path / "late.yml").write_text(f"- ansible.builtin.include_tasks: '{tmp_path}/{{{{ \"ends\" }}}}.yml'\n")
    completed = deploy(
        round="ended", fixture="flask_like", hooks={"before_activate": {"tasks": str(tmp_path / "late.yml")}}
    )
    assert completed.stdout.count("The run ended on this host before its last step") == 2, completed.stdout
    unchanged(completed, good, (*GROWS, UNUSED))
    assert neighbours() == before
    for host in HOSTS:
        assert "lock.json" not in within(host, "ls", "/var/lib/slipway").split()


def went_on(
    completed: subprocess.CompletedProcess[str], good: dict[str, dict[str, Any]], grows: Sequence[str] = GROWS
) -> None:
    """The deploy failed without a failure of a user's task, said so once a host, and left the hosts as they were."""
    assert "(task at" not in completed.stdout, completed.stdout
    unchanged(completed, good, grows)


def unchanged(
    completed: subprocess.CompletedProcess[str], good: dict[str, dict[str, Any]], grows: Sequence[str]
) -> None:
    """The deploy failed, said so at most once a host, and left the hosts as they were, to the process id."""
    assert completed.returncode == 2, completed.stdout
    # Some of them have no lock file: stderr warns about that, and about nothing else.
    assert all("has no hashes" in line for line in completed.stderr.splitlines()), completed.stderr
    assert "Traceback" not in completed.stdout
    assert completed.stdout.count("FAILED") <= len(HOSTS), completed.stdout
    for host, state in look().items():
        for name, value in state.items():
            if name not in grows:
                assert value == good[host][name], f"{host}: {name}\n{completed.stdout}"


def test_the_next_good_release_cleans_up(good: dict[str, dict[str, Any]]) -> None:
    completed = deploy(fixture="flask_like")
    assert completed.returncode == 0, completed.stdout
    for host, state in look().items():
        assert state["answer"] == [200, "flask_like"]
        assert not state["halves"] and not state["half virtualenvs"], host
        assert not set(state["processes"]) & set(good[host]["processes"])
        assert len(state["unit files"]) == len(good[host]["unit files"])
        assert len(state["programs"]) == len(good[host]["programs"])
        assert len(state["runtime"]) == 1


def test_tasks_that_fail_after_the_switch_take_nothing_back(tmp_path: Path) -> None:
    completed = deploy(round="after", fixture="good_wsgi", **task_files(tmp_path, "after_activate"))
    assert completed.returncode == 2, completed.stdout
    reason = f"hook after_activate ({tmp_path}/cold.yml) failed"
    assert completed.stdout.count(reason) == 1, completed.stdout
    assert completed.stdout.count("Only the hook failed: clients get the new release, and it stays.") == 1
    for host, state in look().items():
        assert state["answer"] == [200, "good_wsgi"]
        assert len(state["runtime"]) == 1, "the old instance has ended"
        assert "lock.json" not in within(host, "ls", "/var/lib/slipway").split()
    lines = [json.loads(within(host, "tail", "-n1", "/var/log/slipway/journal.jsonl"))["reason"] for host in HOSTS]
    assert reason in lines[0] and lines[1] == "it failed on another host"
    assert noted("other-after_activate") == list(HOSTS)

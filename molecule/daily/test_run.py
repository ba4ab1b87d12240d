"""One-off commands: from the controller, and on the host itself."""

from __future__ import annotations

import json
import subprocess
import time
from typing import Any

import pytest
from daily import HOSTS, SCENARIO, SUPERVISOR, SYSTEMD, rows

from tests.patience import patience


def talk(host: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the app on a host."""
    return SCENARIO.attempt(host, "slipway-run", "shop", "python", "talk.py", *words)


def run(command: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    return SCENARIO.play("run", app="shop", command=command, **variables)


def test_a_command_runs_as_the_app_on_one_host_or_all() -> None:
    status, [only] = rows("run", app="shop", command=["python", "talk.py", "who", "a b", "$HOME"])
    assert status == 0 and only["host"] == SYSTEMD and only["status"] == 0
    state = json.loads(only["output"])
    assert state["user"] == "shop" and state["home"] == "/srv/shop/home"
    assert state["cwd"].endswith(f"{only['release']}/code") and state["release"] == only["release"]
    assert state["words"] == ["a b", "$HOME"] and state["files"] == 3000 and state["no_new_privileges"] == ["1"]
    status, both = rows("run", app="shop", command="python talk.py who", on_hosts="all")
    assert status == 0 and {row["host"] for row in both} == set(HOSTS)


def test_the_exit_status_is_faithful_and_secrets_are_hidden() -> None:
    completed = run("python talk.py end 7")
    assert completed.returncode == 2 and "ended after" in completed.stdout and "exit status 7" in completed.stdout
    assert "to stderr" in completed.stdout
    status, [row] = rows("run", app="shop", command="python talk.py end 7")
    assert (status, row["status"]) == (2, 7)
    completed = run("python talk.py secret", on_hosts="all")
    assert completed.stdout.count("the password is $PASSWORD") == 2 and "not-for-the-terminal" not in completed.stdout
    assert "127" in run("no-such-command").stdout


def test_output_is_printed_while_the_command_runs() -> None:
    """It waits for a file that is made when its first line has come. The shell's form of the option reaches it whole."""
    SCENARIO.within(SYSTEMD, "rm", "-f", "/srv/shop/shared/go")
    argv = [*SCENARIO.command("run")[:-1], "app=shop", "-e", "command=python talk.py wait /srv/shop/shared/go"]
    with subprocess.Popen(
        argv, env=SCENARIO.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout
        for line in process.stdout:
            if line == "waiting\n":
                SCENARIO.within(SYSTEMD, "touch", "/srv/shop/shared/go")
                break
        assert "go on\n" in process.stdout.read()
    assert process.returncode == 0


def test_a_flood_is_whole() -> None:
    status, [row] = rows("run", app="shop", command="python talk.py flood 80000")
    assert status == 0 and row["output"].endswith("x" * 99 + "\n") and "left out" not in row["output"]


@pytest.mark.parametrize("host", HOSTS)
def test_a_command_that_takes_too_long_is_killed(host: str) -> None:
    completed = SCENARIO.play("run", "--limit", host, app="shop", command="sleep 987", time_limit="2s")
    assert (
        completed.returncode == 2 and "was killed after 2." in completed.stdout and "-e time_limit=" in completed.stdout
    )
    assert SCENARIO.attempt(host, "pgrep", "-f", "sleep 987").returncode == 1


def test_wrong_requests_get_one_message() -> None:
    for variables, words in (
        ({"app": "shp", "command": "true"}, "app is shp, which the inventory does not have; did you mean shop?"),
        ({"app": "shop"}, "command is missing: -e command="),
        ({"app": "shop", "command": "a | b"}, "command has '|', which only a shell understands"),
        ({"app": "shop", "command": "true", "time_limit": "1x"}, "time_limit must be a duration up to 1d"),
        ({"app": "shop", "command": "true", "on_hosts": "two"}, "on_hosts is two; it can be once or all"),
    ):
        completed = SCENARIO.play("run", **variables)
        assert completed.returncode and words in completed.stdout and "no host was touched" in completed.stdout, (
            completed.stdout
        )


def test_network_local_holds_for_commands() -> None:
    """A control: under supervisor, which has no such limit, the same address is reached."""
    address = SCENARIO.address(SUPERVISOR)
    for host, reached in ((SYSTEMD, "False"), (SUPERVISOR, "True")):
        assert talk(host, "reach", address, "9").stdout.strip() == reached, host


WITHOUT_SYSTEMD = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /run/systemd && exec "$@"', "sh")
"""Hides systemd from a command, which then runs as on a host without it."""
WAYS = [(SYSTEMD, ()), (SUPERVISOR, ()), (SUPERVISOR, WITHOUT_SYSTEMD)]


@pytest.mark.parametrize(("host", "way"), WAYS)
def test_on_the_host_one_word_runs_it_in_a_terminal(host: str, way: tuple[str, ...]) -> None:
    def attempt(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return SCENARIO.attempt(host, *way, "slipway-run", "shop", *words, stdin=stdin)

    assert attempt("python", "talk.py", "end", "5").returncode == 5
    assert attempt("sh", "-c", "kill -9 $$").returncode == 137
    assert attempt("cat", stdin="through a pipe").stdout == "through a pipe"
    shown = SCENARIO.within(host, *way, "script", "-qec", "slipway-run shop python talk.py who", "/dev/null")
    state = json.loads(shown[shown.index("{") : shown.rindex("}") + 1])
    assert state["terminal"] == [True, True, True] and state["user"] == "shop" and state["files"] == 3000


INTERRUPT = r"""
import json, os, pty, sys
pid, terminal = pty.fork()
if not pid:
    os.execvp(sys.argv[1], [*sys.argv[1:], "sh", "-c", "echo ready; exec sleep 600"])
output = b""
while b"ready" not in output:
    output += os.read(terminal, 4096)
os.write(terminal, b"\x03")
print(json.dumps(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
"""


@pytest.mark.parametrize(("host", "way"), WAYS)
def test_ctrl_c_ends_the_command_and_not_the_exit_status(host: str, way: tuple[str, ...]) -> None:
    assert SCENARIO.python(host, INTERRUPT, *way, "slipway-run", "shop") == 130
    assert SCENARIO.attempt(host, "pgrep", "-f", "sleep 600").returncode == 1


@pytest.mark.parametrize("host", HOSTS)
def test_members_of_the_group_become_the_app_and_nothing_else(host: str) -> None:
    within, attempt = SCENARIO.within, SCENARIO.attempt
    within(host, "sh", "-c", "id ann 2>/dev/null || useradd -m -G shop ann; id bob 2>/dev/null || useradd -m bob")

    def as_user(user: str, *words: str) -> subprocess.CompletedProcess[str]:
        return attempt(host, "setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", *words)

    completed = as_user(
        "ann", "env", "STRAY=1", "PYTHONPATH=/home/ann", "slipway-run", "shop", "python", "talk.py", "who"
    )
    state = json.loads(completed.stdout)
    assert state["user"] == "shop" and state["stray"] == "" and state["no_new_privileges"] == ["1"]
    for user, *words in (
        ("bob", "slipway-run", "shop", "id"),  # no member
        ("ann", "sudo", "-n", "slipway-run", "other", "id"),  # another app
        ("ann", "sudo", "-n", "slipway-run", "shop x", "id"),
        ("ann", "sudo", "-n", "slipway-run", "--user=root", "shop", "id"),
        ("ann", "sudo", "-n", "id"),
        ("ann", "sudo", "-n", "STRAY=1", "slipway-run", "shop", "id"),
        ("shop", "sudo", "-n", "slipway-run", "shop", "id"),  # the app itself
    ):
        completed = as_user(user, *words)
        assert completed.returncode and "uid=" not in completed.stdout, (user, words, completed)


@pytest.mark.parametrize("host", HOSTS)
def test_a_deploy_leaves_a_running_command_alone(host: str) -> None:
    command = [*SCENARIO.command("run", "--limit", host, app="shop", command="sh -c 'sleep 25; echo whole'")]
    with subprocess.Popen(
        command, env=SCENARIO.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        end = time.monotonic() + patience(20)
        while SCENARIO.attempt(host, "pgrep", "-f", "sleep 25").returncode and time.monotonic() < end:
            time.sleep(0.2)
        completed = SCENARIO.play("deploy", "--limit", host, greeting=f"beside {host}")
        assert completed.returncode == 0, completed.stdout
        output, _ = process.communicate(timeout=patience(60))
    assert process.returncode == 0 and "whole" in output, output


def test_the_journal_knows_the_commands() -> None:
    lines = [
        json.loads(line) for line in SCENARIO.within(SYSTEMD, "cat", "/var/log/slipway/journal.jsonl").splitlines()
    ]
    commands = [line for line in lines if line["purpose"] == "command"]
    assert any("exit status 7" in line["reason"] and line["outcome"] == "failed" for line in commands)

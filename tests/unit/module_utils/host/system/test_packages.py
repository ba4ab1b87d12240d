"""Packages are installed despite other faults in a host's sources, and a message names the holder of apt's locks."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.contract.errors import HostError
from ansible_collections.slipway.kit.plugins.module_utils.host.system import packages

from tests.patience import patience

DEAD = "E: Failed to fetch http://dead.example/dists/x/InRelease  Could not connect\n"


class Apt:
    """A stand-in for apt, with the answers to its commands in turn, and the commands that ran."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **answers: list[tuple[int, str]]) -> None:
        self.answers, self.ran = answers, list[str]()
        monkeypatch.setattr(packages, "run", self.run)
        monkeypatch.setattr(packages, "wait", lambda: None)
        monkeypatch.setattr(packages, "unfinished", lambda: "configure" in answers)

    def run(self, *command: str) -> tuple[int, str]:
        word = next(word for word in ("install", "update", "-a") if word in command).replace("-a", "configure")
        self.ran.append(word)
        return self.answers[word].pop(0)


def test_apt_removes_nothing_and_takes_no_name_for_a_pattern(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr(packages, "run", lambda *command: ran.append(command) or (0, ""))
    monkeypatch.setattr(packages, "wait", lambda: None)
    monkeypatch.setattr(packages, "unfinished", lambda: False)
    packages.install(["libpython3.1"])
    assert {"--no-remove", "APT::Cmd::Pattern-Only=true"} <= set(ran[0])


def test_cron_brings_no_mail_server(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr(packages, "run", lambda *command: ran.append(command) or (0, ""))
    monkeypatch.setattr(packages, "wait", lambda: None)
    monkeypatch.setattr(packages, "unfinished", lambda: False)
    packages.install(["fail2ban", "cron"])
    assert [(command[-1], "--no-install-recommends" in command) for command in ran] == [
        ("cron", True),
        ("fail2ban", False),
    ]


def test_what_is_found_needs_no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    apt = Apt(monkeypatch, install=[(0, "")])
    assert packages.install(["nginx"]) == ([], {})
    assert apt.ran == ["install"]


def test_a_dead_source_is_a_warning_where_all_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    apt = Apt(monkeypatch, install=[(100, "E: Unable to locate package nginx"), (0, "")], update=[(100, DEAD)])
    (warning,), absent = packages.install(["nginx"])
    assert not absent
    assert "a package source does not work" in warning and "http://dead.example" in warning
    assert apt.ran == ["install", "update", "install"]


def test_a_package_that_nobody_has_is_a_fault_with_both_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = "Reading...\nE: Unable to locate package nginx\n"
    Apt(monkeypatch, install=[(100, missing), (100, missing)], update=[(100, DEAD)])
    with pytest.raises(HostError) as caught:
        packages.install(["nginx"])
    assert "apt cannot install nginx" in str(caught.value)
    assert "Unable to locate package nginx" in str(caught.value)
    assert "http://dead.example" in str(caught.value)


NEITHER = "E: Unable to locate package libodd-dev\nE: Package 'odd' has no installation candidate\n"


def test_what_only_apps_ask_for_holds_nobody_else_up(monkeypatch: pytest.MonkeyPatch) -> None:
    apt = Apt(monkeypatch, install=[(100, NEITHER), (100, NEITHER), (0, "")], update=[(0, "")])
    warnings, absent = packages.install(["nginx", "libodd-dev", "odd", "libpq-dev"], ["libodd-dev", "odd", "libpq-dev"])
    assert (warnings, set(absent)) == ([], {"libodd-dev", "odd"})
    assert "apt knows no such package on this host" in absent["odd"]
    assert apt.ran == ["install", "update", "install", "install"]


def test_what_does_not_go_together_is_reported_of_the_apps_packages_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = "The following packages have unmet dependencies:\nE: Unable to correct problems, you have held broken packages.\n"
    Apt(monkeypatch, install=[(100, broken), (100, broken), (0, "")], update=[(0, "")])
    _, absent = packages.install(["nginx", "libpq-dev"], ["libpq-dev"])
    assert "held broken packages" in absent["libpq-dev"]
    Apt(monkeypatch, install=[(100, broken), (100, broken), (100, broken)], update=[(0, "")])
    with pytest.raises(HostError, match="apt cannot install nginx:"):
        packages.install(["nginx", "libpq-dev"], ["libpq-dev"])


def test_an_app_alone_may_ask_for_nothing_that_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    apt = Apt(monkeypatch, install=[(100, NEITHER), (100, NEITHER)], update=[(0, "")])
    assert set(packages.install(["odd"], ["odd"])[1]) == {"odd"}
    assert apt.ran == ["install", "update", "install"]


def test_half_configured_packages_are_finished_first(monkeypatch: pytest.MonkeyPatch) -> None:
    apt = Apt(monkeypatch, configure=[(0, "")], install=[(0, "")])
    packages.install(["nginx"])
    assert apt.ran == ["configure", "install"]


@pytest.mark.parametrize(
    ("state", "wanted"),
    [("install ok installed", False), ("install ok half-configured", True), ("install ok unpacked", True), ("install reinstreq half-installed", True), ("deinstall ok config-files", False)],
)  # fmt: skip
def test_what_is_unfinished(tmp_path: Path, state: str, wanted: bool) -> None:
    (tmp_path / "status").write_text(
        f"Package: a\nStatus: install ok installed\n\nPackage: b\nStatus: {state}\nVersion: 1\n"
    )
    assert packages.unfinished(str(tmp_path / "status")) is wanted
    assert packages.unfinished(str(tmp_path / "none")) is False


HOLD = "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print('held', flush=True); time.sleep(60)"


def test_who_holds_a_lock_is_waited_for_and_named(tmp_path: Path) -> None:
    lock = str(tmp_path / "lock-frontend")
    assert packages.holder(lock) == 0  # no such file
    with subprocess.Popen([sys.executable, "-c", HOLD, lock], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"held\n"
        assert packages.holder(lock) == process.pid
        with pytest.raises(
            HostError, match=rf"python.* \(process {process.pid}\) has held apt's lock {lock} for more than 0\.2 s"
        ):
            packages.wait([lock], 0.2)
        process.kill()
    begun = time.monotonic()
    packages.wait([lock], 60)
    assert time.monotonic() - begun < patience(1)


def test_our_own_locks_are_no_obstacle(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as handle:
        fcntl.lockf(handle, fcntl.LOCK_EX)
        assert packages.holder(str(tmp_path / "lock")) in (0, os.getpid())

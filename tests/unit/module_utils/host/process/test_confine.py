"""Real commands in their cells, without systemd, on this machine."""

from __future__ import annotations

import getpass
import grp
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.contract.errors import HostError
from ansible_collections.slipway.kit.plugins.module_utils.host.base import processes, reaper
from ansible_collections.slipway.kit.plugins.module_utils.host.process import (
    confine,
    journal,
    managers,
    running,
    transient,
)
from ansible_collections.slipway.kit.plugins.module_utils.host.process.confine import Cell, Outcome
from ansible_collections.slipway.kit.plugins.module_utils.host.process.systemd import Systemd

from tests import releases
from tests.patience import patience

CELL = Cell(getpass.getuser(), grp.getgrgid(os.getgid()).gr_name, "slipway-shop-probe")
FORGETFUL = """
import os, sys, time
# Forks for ever: no process of it lives as long as it takes to look at all of /proc.
open(sys.argv[1], "w").close()
end = time.monotonic() + 20
while time.monotonic() < end:
    if os.fork():
        os._exit(0)
    os.setsid()
open(sys.argv[1] + ".survived", "w").close()
"""


@pytest.fixture(autouse=True)
def _no_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Systemd, "runs", lambda: False)


def shell(script: str, deadline: float = 20, **more: object) -> Outcome:
    return confine.run(["sh", "-c", script], CELL, deadline, **more)  # type: ignore[arg-type]


def alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_what_a_command_says_and_how_it_ends() -> None:
    assert shell("echo out; echo err >&2; exit 7") == Outcome(7, "out\n", "err\n")
    assert shell("kill -SEGV $$").status == 128 + 11
    assert confine.run(["/nonexistent"], CELL, 5).status != 0
    assert shell("cat", stdin=b"x" * 1_000_000).stdout.startswith("x" * running.HEAD)


def test_bytes_that_are_no_text() -> None:
    assert shell("printf '\\377\\000ok'").stdout == "\ufffd\0ok"


def test_of_a_gigabyte_the_beginning_and_the_end_are_kept() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome = shell("echo begin; head -c 1073741824 /dev/zero; echo end; echo to the log >&2", 120)
    assert (outcome.status, outcome.stderr) == (0, "to the log\n")
    assert outcome.stdout.startswith("begin\n") and outcome.stdout.endswith("end\n")
    assert f"[{1073741824 + 10 - running.HEAD - running.TAIL} bytes are left out here]" in outcome.stdout
    assert len(outcome.stdout) < running.HEAD + running.TAIL + 100
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 * 1024, "KiB more, at the most"


@pytest.mark.parametrize("how", ["sleep 61", "exec >&- 2>&-; sleep 61", "trap '' TERM INT HUP; sleep 61; sleep 61"])
def test_a_deadline_holds(how: str) -> None:
    begun = time.monotonic()
    outcome = shell(f"echo before; {how}", 1)
    assert outcome.timed_out and outcome.stdout == "before\n"
    assert time.monotonic() - begun < patience(6)


def test_it_may_close_its_output_and_go_on() -> None:
    assert shell("echo before; exec >&- 2>&-; sleep 1; exit 5") == Outcome(5, "before\n", "")


def test_who_watches_can_end_it() -> None:
    answers = iter(["", "", "the disk is full"])
    outcome = shell("sleep 61", watch=lambda: next(answers))
    assert (outcome.stopped, outcome.timed_out) == ("the disk is full", False)


@pytest.mark.parametrize("ends", ["exit 0", "sleep 61"])
def test_daemons_end_with_it(tmp_path: Path, ends: str) -> None:
    daemon = "setsid sh -c 'trap \"\" TERM; sleep 61 & echo $! $$; wait' < /dev/null > %s 2>&1 &"
    one, two = tmp_path / "one", tmp_path / "two"
    until = f"until [ -s {one} ] && [ -s {two} ]; do sleep 0.1; done"
    shell(f"{daemon % one} ({daemon % two}) & {until}; {ends}", patience(2))
    pids = (one.read_text() + two.read_text()).split()
    assert len(pids) == 4
    assert [pid for pid in pids if alive(pid)] == []


def test_what_forks_for_ever_ends(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    outcome = confine.run([sys.executable, "-c", FORGETFUL, str(mark)], CELL, 2)
    assert mark.exists() and not outcome.timed_out
    time.sleep(0.3)
    assert subprocess.run(["pgrep", "-f", str(mark)], capture_output=True, check=False).stdout == b""
    assert not Path(f"{mark}.survived").exists()


def test_children_are_found_where_the_kernel_does_not_list_them(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(["sleep", "61"]) as child:
        listed = reaper.children()
        monkeypatch.setattr(reaper, "LISTED", "/nonexistent/{}")
        assert child.pid in listed
        assert sorted(reaper.children()) == sorted(listed)
        child.kill()


def test_nothing_outlives_whoever_asked_for_it(tmp_path: Path) -> None:
    """A run that is killed while a hook runs."""
    code = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        "from ansible_collections.slipway.kit.plugins.module_utils.host.process import confine\n"
        "from ansible_collections.slipway.kit.plugins.module_utils.host.process.systemd import Systemd\n"
        "Systemd.runs = lambda: False\n"
        f"confine.run(['sh', '-c', 'echo $$ > {tmp_path}/pid; sleep 61'], confine.Cell({CELL.user!r}, {CELL.group!r}, 'x'), 60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as asking:
        end = time.monotonic() + patience(20)
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            assert time.monotonic() < end
            time.sleep(0.05)
        asking.kill()
    pid, end = (tmp_path / "pid").read_text().strip(), time.monotonic() + patience(10)
    while alive(pid):
        assert time.monotonic() < end, "it goes on"
        time.sleep(0.05)


@pytest.mark.skipif(os.getuid() != 0, reason="becomes another user")
def test_it_is_another_users_with_limits_and_no_way_back() -> None:
    cell = Cell("uucp", "uucp", "slipway-shop-probe", limits={"core": 0, "fsize": 4096, "nproc": 99})
    script = "id -un; id -G; ulimit -c; ulimit -u; grep NoNewPrivs /proc/self/status; head -c 9999 /dev/zero > $(mktemp) || echo cut"
    outcome = confine.run(["bash", "-c", script], cell, 20)
    group = grp.getgrnam("uucp").gr_gid
    assert outcome.stdout.split("\n")[:5] == ["uucp", str(group), "0", "99", "NoNewPrivs:\t1"]
    assert "cut" in outcome.stdout


def test_the_instances_walls_are_taken_from_its_unit() -> None:
    unit = (
        "[Unit]\nDescription=x\nProtectHome=no\n[Service]\nType=notify\nUser=shop\nExecStart=/x\nExecStartPre=+/y\nRestart=always\n"
        "RestartSec=1\nTimeoutStopSec=9\nLimitNOFILE=16384\nReadWritePaths=/srv/shop/shared \\\n  -/run/shop\n# ProtectHome=no\n"
        "SystemCallFilter=@system-service\nSystemCallFilter=~@privileged\nStandardOutput=append:/x\nIPAddressDeny=any\n"
        "  CPUQuota = 150%%\nKillMode=mixed\n[Install]\nWantedBy=multi-user.target\nProtectProc=default\n"
    )
    assert transient.sandbox(unit) == (
        "LimitNOFILE=16384",
        "ReadWritePaths=/srv/shop/shared    -/run/shop",
        "SystemCallFilter=@system-service",
        "SystemCallFilter=~@privileged",
        "IPAddressDeny=any",
        "CPUQuota=150%",
    )


def test_under_supervisor_the_programs_limits_hold(tmp_path: Path) -> None:
    (tmp_path / "x.conf").write_text("[program:x]\ncommand=exec --user shop --limit nofile=512 --limit nproc=64 -- x\n")
    release = releases.manifest(path=str(tmp_path), manager="supervisor", unit_file="x.conf")
    cell = confine.app(release, "hook")
    assert (cell.limits, cell.unit) == ({"nofile": 512, "nproc": 64}, "slipway-shop-hook")
    with pytest.raises(HostError, match=r"y\.service cannot be read .* deploy it again"):
        confine.app(releases.manifest(path=str(tmp_path), unit_file="y.service"), "hook")


def test_a_build_writes_its_folder_alone() -> None:
    cell = confine.builder("shop", "shop_build", ["/srv/shop/venvs"], "/usr/bin/python3")
    assert [text for text in cell.properties if text.startswith("ReadWritePaths")] == ["ReadWritePaths=/srv/shop/venvs"]
    assert "ProtectHome=yes" in cell.properties and cell.apart["nproc"] == confine.BUILD_TASKS
    home_cell = confine.builder("shop", "shop_build", ["/srv/shop/venvs"], "/home/shop/.pyenv/versions/3.12/bin/python")
    assert "ProtectHome=read-only" in home_cell.properties


def test_without_a_bus_systemd_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Systemd, "runs", lambda: True)
    monkeypatch.setattr(transient, "BUS", "/nonexistent")
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(transient, "_systemctl", lambda *words: asked.append(words))
    with pytest.raises(HostError, match="install the package dbus"):
        shell("true")
    assert asked == [("start", "dbus.socket")], "a package that was just installed may not have started it"


# A stand-in for systemd-run: it sets a cell up, or reports an error, and then runs what follows `--`.
FAKE_SYSTEMD_RUN = """#!/usr/bin/python3
import os, sys
words = sys.argv[sys.argv.index("--") + 1 :]
if os.path.exists("{folder}/refuses"):
    said = open("{folder}/refuses").read()
    os.unlink("{folder}/refuses")
    os.write(2, said.encode())
    sys.exit(1 if said else 226)
open("{folder}/runs", "a").write("x")
words = [word.replace("$$", "$") for word in words]
os.execvp(words[0], words)
"""


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    fake = tmp_path / "systemd-run"
    fake.write_text(FAKE_SYSTEMD_RUN.format(folder=tmp_path))
    fake.chmod(0o755)
    (tmp_path / "runs").touch()
    monkeypatch.setattr(Systemd, "runs", lambda: True)
    monkeypatch.setattr(processes, "listens", lambda _path: True)
    monkeypatch.setattr(transient, "SYSTEMD_RUN", str(fake))
    monkeypatch.setattr(transient, "_systemctl", lambda *words: (tmp_path / "stopped").write_text(" ".join(words)))
    return tmp_path


@pytest.mark.parametrize(
    ("output", "status"),
    [
        ("Failed to start transient service unit: KEY=x", 1),
        ("Unit x.service was already loaded", 1),
        ("Failed to connect to bus: no", 1),
        ("", 203),
        ("", 226),
    ],
)
def test_what_a_command_says_is_not_taken_for_systemds_word(systemd: Path, output: str, status: int) -> None:
    err = f"{output}\n" if output else ""
    assert shell(f"printf '%s' '{err}' >&2; exit {status}") == Outcome(status, "", err)
    assert (systemd / "runs").read_text() == "x", "it ran once"


def test_a_command_gets_its_words_as_they_are(systemd: Path) -> None:
    assert confine.run(["printf", "%s|", "$HOME", "$$", "%n", "\udcff"], CELL, 9).stdout == "$HOME|$$|%n|\ufffd|"


def test_a_cell_that_is_not_set_up(systemd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (systemd / "refuses").write_text("Failed to start transient service unit: Access denied\nSee x.")
    with pytest.raises(HostError, match=r"^slipway-shop-probe could not be started: Failed .* denied$"):
        shell("true")
    failure = "slipway-x: Failed to set up mount namespacing: /x"
    monkeypatch.setattr(journal, "lines", lambda _units: ["other", failure])
    (systemd / "refuses").write_text("")
    with pytest.raises(HostError, match="could not be started: slipway-x: Failed to set up mount namespacing: /x"):
        shell("true")
    assert (systemd / "runs").read_text() == ""


def test_what_is_left_under_the_units_name_is_ended_first(systemd: Path) -> None:
    (systemd / "refuses").write_text(
        "Failed to start: Unit slipway-shop-probe.service was already loaded or has a fragment"
    )
    assert shell("echo ran") == Outcome(0, "ran\n", "")
    assert (systemd / "stopped").read_text() == "stop slipway-shop-probe"


def test_a_manager_is_known_by_its_name() -> None:
    assert [managers.kind(name).name for name in managers.REGISTRY] == list(managers.REGISTRY)
    with pytest.raises(HostError, match="'openrc'; expected systemd or supervisor"):
        managers.kind("openrc")

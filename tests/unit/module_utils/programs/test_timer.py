"""The program that runs timers by cron: when they are due, what is caught up, and how a run ends."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.host.base import reaper as base_reaper
from ansible_collections.slipway.kit.plugins.module_utils.programs import of_release, timer

EACH = {
    "minute": list(range(60)), "hour": list(range(24)), "day": list(range(1, 32)),
    "month": list(range(1, 13)), "weekday": list(range(7)), "either": False,
}  # fmt: skip
MINUTE = 1_800_000_000 // 60 * 60


def manifest(tmp_path: Path, *words: str, timeout: float = 20, **moments: Any) -> dict[str, Any]:
    one = {
        "name": "clean",
        "log": str(tmp_path / "log"),
        "moments": {**EACH, **moments},
        "timeout": timeout,
        "command": [sys.executable, "-c", *words],
    }
    return {"release": "v1-00000001", "timers": [one]}


def known(tmp_path: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((tmp_path / "state/clean.json").read_text())
    return data


@pytest.fixture(autouse=True)
def reaper(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release has it beside the timer."""
    monkeypatch.setattr(timer, "REAPER", os.path.realpath(base_reaper.__file__))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the time."""

    def at(seconds: float) -> None:
        monkeypatch.setattr(timer.time, "time", lambda: seconds)

    return at


def names(made: dict[str, Any], state: Path) -> list[str]:
    return [one["name"] for one in timer.due(made, str(state))]


def test_a_timer_is_due_once_in_its_minute(tmp_path: Path, clock: Any) -> None:
    at = time.localtime(MINUTE)
    made = manifest(tmp_path, minute=[at.tm_min], hour=[at.tm_hour])
    clock(MINUTE - 60)
    assert names(made, tmp_path / "state") == []
    clock(MINUTE + 1)
    assert names(made, tmp_path / "state") == ["clean"]
    clock(MINUTE + 59)
    assert names(made, tmp_path / "state") == []
    clock(MINUTE + 60)
    assert names(made, tmp_path / "state") == []


def test_what_was_missed_is_caught_up_once(tmp_path: Path, clock: Any) -> None:
    at = time.localtime(MINUTE)
    made = manifest(tmp_path, minute=[at.tm_min], hour=[at.tm_hour])
    clock(MINUTE - 3600)
    names(made, tmp_path / "state")
    clock(MINUTE + 3 * 86400 + 600)
    assert names(made, tmp_path / "state") == ["clean"]
    clock(MINUTE + 3 * 86400 + 660)
    assert names(made, tmp_path / "state") == []


def test_a_new_timer_catches_up_nothing_and_nor_does_a_clock_that_goes_back(tmp_path: Path, clock: Any) -> None:
    at = time.localtime(MINUTE)
    made = manifest(tmp_path, minute=[at.tm_min], hour=[at.tm_hour])
    clock(MINUTE + 600)
    assert names(made, tmp_path / "state") == []
    clock(MINUTE - 86400 + 600)
    assert names(made, tmp_path / "state") == []


@pytest.mark.parametrize(
    ("code", "result", "status"), [("print('ahoy')", "success", "0"), ("raise SystemExit(3)", "failed", "3")]
)
def test_the_result_of_a_run_is_kept(tmp_path: Path, code: str, result: str, status: str) -> None:
    (tmp_path / "state").mkdir()
    made = manifest(tmp_path, code)
    timer.run(made["timers"][0], made["release"], str(tmp_path / "state"))
    last = known(tmp_path)["last"]
    assert (last["result"], last["status"], last["release"]) == (result, status, "v1-00000001")
    assert known(tmp_path)["next"] > last["began"]
    assert ("ahoy" in (tmp_path / "log").read_text()) == (result == "success")
    assert (tmp_path / "state/clean.json").stat().st_mode & 0o777 == 0o600


def test_a_run_that_takes_too_long_is_killed_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "state").mkdir()
    monkeypatch.setattr(timer, "GRACE", 0.3)
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('begins', flush=True); time.sleep(60)"
    made = manifest(tmp_path, code, timeout=1)
    timer.run(made["timers"][0], made["release"], str(tmp_path / "state"))
    assert (known(tmp_path)["last"]["result"], known(tmp_path)["last"]["status"]) == ("timeout", "KILL")
    first, second, third = (tmp_path / "log").read_text().splitlines()
    assert first.endswith("] slipway: a run of v1-00000001 begins") and second == "begins"
    assert third.endswith("] slipway: the run was killed, since it took longer than its timeout of 1 s")


ESCAPES = """
import os, signal, sys, time
if not os.fork():
    os.setsid()
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with open(sys.argv[1] + ".new", "w") as file:
        file.write(str(os.getpid()))
    os.rename(sys.argv[1] + ".new", sys.argv[1])
    time.sleep(60)
    os._exit(0)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
time.sleep(float(sys.argv[2]))
"""


@pytest.mark.parametrize(("seconds", "result"), [("0", "success"), ("60", "timeout")])
def test_nothing_outlives_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: str, result: str) -> None:
    (tmp_path / "state").mkdir()
    monkeypatch.setattr(timer, "GRACE", 0.3)
    made = manifest(tmp_path, ESCAPES, str(tmp_path / "pid"), seconds, timeout=20 if result == "success" else 3)
    timer.run(made["timers"][0], made["release"], str(tmp_path / "state"))
    assert known(tmp_path)["last"]["result"] == result
    assert not os.path.exists(f"/proc/{(tmp_path / 'pid').read_text()}")


def test_a_flood_is_cut_and_a_run_that_closes_its_output_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state").mkdir()
    monkeypatch.setattr(timer, "MOST", 100_000)
    made = manifest(tmp_path, "import os; [os.write(1, b'q' * 65536) for _ in range(100)]; os.close(1); os.close(2)")
    timer.run(made["timers"][0], made["release"], str(tmp_path / "state"))
    assert known(tmp_path)["last"]["result"] == "success"
    assert (tmp_path / "log").read_text().count("q") == 100_000


def test_a_full_disk_costs_lines_and_no_run(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    made = manifest(tmp_path, f"print('x'); open({str(tmp_path / 'done')!r}, 'w')")
    made["timers"][0]["log"] = "/dev/full"
    timer.run(made["timers"][0], made["release"], str(tmp_path / "state"))
    assert known(tmp_path)["last"]["result"] == "success" and (tmp_path / "done").exists()


@pytest.mark.parametrize(
    ("status", "words"), [(0, "0"), (3, "3"), (128, "128"), (137, "KILL"), (-15, "TERM"), (255, "255")]
)
def test_a_status_in_words(status: int, words: str) -> None:
    assert timer.shown(status) == words


def test_a_release_without_systemd_carries_what_ends_its_runs() -> None:
    assert of_release(log_reader=False, timer=True)["reaper.py"] == Path(base_reaper.__file__).read_text()
    assert "reaper.py" not in of_release(log_reader=True, timer=True) | of_release(log_reader=False)


def test_a_large_log_is_moved_before_a_run_and_few_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "state").mkdir()
    monkeypatch.setattr(timer, "MOST", 100)
    made = manifest(tmp_path, "print('x' * 98)")
    for _ in range(12):
        timer.run(made["timers"][0], made["release"], str(tmp_path / "state"))
    logs = sorted(tmp_path.glob("log*"))
    assert [path.name for path in logs] == ["log", *(f"log.{number}" for number in range(1, 10))]
    assert {path.read_text().count("x" * 98) for path in logs} == {1}


def test_what_systemd_says_is_kept_and_noted_in_the_pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe, state = tmp_path / "pipe", tmp_path / "state/clean.json"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    monkeypatch.setattr(sys, "argv", ["timer.py", "begun", str(state), "v1-00000001", str(pipe)])
    timer.main()
    monkeypatch.setenv("SERVICE_RESULT", "signal")
    monkeypatch.setenv("EXIT_STATUS", "KILL")
    monkeypatch.setattr(sys, "argv", ["timer.py", "ended", str(state), "5", str(pipe)])
    timer.main()
    first, second = os.read(reader, 4096).decode().splitlines()
    os.close(reader)
    assert first.endswith("slipway: a run of v1-00000001 begins") and second.endswith("the run was killed by SIGKILL")
    assert (known(tmp_path)["last"]["result"], known(tmp_path)["last"]["status"]) == ("failed", "KILL")


def test_a_file_in_the_place_of_the_pipe_is_left_alone(tmp_path: Path) -> None:
    for name in ("file", "missing"):
        timer.note(str(tmp_path / name), "words")
    (tmp_path / "file").write_text("")
    timer.note(str(tmp_path / "file"), "words")
    assert (tmp_path / "file").read_text() == "" and not (tmp_path / "missing").exists()


def test_a_run_waits_for_none_before_it(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    held = os.open(tmp_path / "state/clean.json.lock", os.O_WRONLY | os.O_CREAT)
    fcntl.flock(held, fcntl.LOCK_EX)
    made = manifest(tmp_path, "print('no')")
    timer.run(made["timers"][0], made["release"], str(tmp_path / "state"))
    os.close(held)
    assert "left out" in (tmp_path / "log").read_text()
    assert not (tmp_path / "state/clean.json").exists()

"""The user's own processes below a real supervisord: beside the web server, one at a time, and how they end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.contract import manifest as manifests
from ansible_collections.slipway.kit.plugins.module_utils.contract.manifest import Program
from ansible_collections.slipway.kit.plugins.module_utils.host.base.outcome import Failed
from ansible_collections.slipway.kit.plugins.module_utils.host.run import removal, soaking, switch_record, visiting
from ansible_collections.slipway.kit.plugins.module_utils.host.run.instances import Wish, start
from ansible_collections.slipway.kit.plugins.module_utils.host.run.retire import retire
from ansible_collections.slipway.kit.plugins.module_utils.host.run.switch import activate, switch
from ansible_collections.slipway.kit.plugins.module_utils.host.run.way_back import take_back

from tests.patience import patience

from .conftest import Stage

PROCESS = """
import os, signal, sys, time
name, notes, tail = sys.argv[1], sys.argv[2], float(sys.argv[3])
def note(word):
    descriptor = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{name} {word}\\n".encode())
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
if tail < 0:
    print("no queue", flush=True)
    sys.exit(4)
note("begins")
while not asked:
    time.sleep(0.02)
time.sleep(tail)
note("ends")
"""


def with_processes(stage: Stage, wish: Wish, tail: float = 0.0, single: bool = False) -> Wish:
    """Give a release a process `worker`, or one that may not run twice."""
    made = stage.manifest(wish)
    unit = f"{made.unit}.worker.1"
    log = str(Path(made.log).with_suffix(".worker.1.log"))
    worker = Program("worker.1", unit, f"{unit}.conf", log, "", 12, overlap=not single, soak=0.3)
    Path(made.path, "worker.py").write_text(PROCESS)
    Path(made.path, worker.unit_file).write_text(
        f"[program:{unit}]\n"
        f"command={sys.executable} {made.path}/worker.py {made.release_id} {stage.top}/notes {tail}\n"
        "autostart=true\nautorestart=true\nstartsecs=1\nstopsignal=TERM\nstopwaitsecs=12\nkillasgroup=true\n"
        f"redirect_stderr=true\nstdout_logfile={log}\nstdout_logfile_maxbytes=0\n"
    )
    Path(made.path, "manifest.json").write_text(manifests.written(replace(made, programs=(*made.programs, worker))))
    return wish


@pytest.fixture
def notes(stage: Stage) -> Callable[[], list[str]]:
    """What the processes wrote."""
    path = stage.top / "notes"
    path.unlink(missing_ok=True)
    return lambda: path.read_text().splitlines() if path.exists() else []


def until(condition: Callable[[], bool], seconds: float = 15) -> None:
    end = time.monotonic() + patience(seconds)
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def deploy(*wishes: Wish) -> None:
    assert start(wishes)["failures"] == []
    activate(wishes)
    retire({wish.root: wish.release_id for wish in wishes})


def test_a_process_overlaps_and_finishes_its_task(stage: Stage, notes: Callable[[], list[str]]) -> None:
    old, new = (with_processes(stage, stage.release(number), tail=8 * number) for number in (1, 0))
    deploy(old)
    begin = time.monotonic()
    assert start([new])["failures"] == []
    assert notes() == [f"{old.release_id} begins", f"{new.release_id} begins"], "the new one starts before the switch"
    activate([new])
    answer = retire({new.root: new.release_id})["apps"][0]
    assert time.monotonic() - begin < patience(8)
    assert (answer["retired"], answer["ending"]) == ([old.release_id], [old.release_id])
    assert stage.instances() == [new.release_id, old.release_id]
    until(lambda: f"{old.release_id} ends" in notes())
    assert retire({new.root: new.release_id})["apps"][0]["ending"] == []
    assert stage.instances() == [new.release_id]


def test_a_process_that_does_not_stay_up_changes_nothing(stage: Stage, notes: Callable[[], list[str]]) -> None:
    old, new = with_processes(stage, stage.release(1)), with_processes(stage, stage.release(2), tail=-1)
    deploy(old)
    [failure] = start([new])["failures"]
    assert "the process worker.1 did not stay up for 0.3 s" in failure["reason"]
    assert failure["log"][-1] == "no queue"
    assert notes() == [f"{old.release_id} begins"]
    assert stage.instances() == [old.release_id]


def test_what_may_not_run_twice_follows_after_the_switch(stage: Stage, notes: Callable[[], list[str]]) -> None:
    old, new = (with_processes(stage, stage.release(number), single=True) for number in (1, 2))
    deploy(old)
    assert start([new])["failures"] == []
    assert notes() == [f"{old.release_id} begins"]
    activate([new])
    assert notes() == [f"{old.release_id} begins", f"{old.release_id} ends", f"{new.release_id} begins"]
    retire({new.root: new.release_id})
    assert stage.instances() == [new.release_id]
    assert not activate([new])["changed"]


def test_what_the_switch_did_not_come_to_is_not_started_again(
    stage: Stage, notes: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step was killed after the rename, before the processes that may not run twice."""
    old, new = (with_processes(stage, stage.release(number), single=True) for number in (1, 2))
    deploy(old)
    assert start([new])["failures"] == []

    class KilledError(Exception):
        """What nothing catches, as nothing catches SIGKILL."""

    def killed(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(visiting, "visit", killed)
        patch.setattr(switch_record, "forget", lambda: None)
        with pytest.raises(KilledError):
            switch([new])
    assert stage.current() == new.release_id
    assert [app["note"] for app in take_back("")["apps"]] == [f" (went back to {old.release_id})"]
    assert notes() == [f"{old.release_id} begins"]
    assert stage.get()[1] == old.release_id


def test_what_may_not_run_twice_comes_back_when_the_new_one_fails(stage: Stage, notes: Callable[[], list[str]]) -> None:
    old, new = with_processes(stage, stage.release(1), single=True), with_processes(stage, stage.release(2), -1, True)
    deploy(old)
    assert start([new])["failures"] == []
    with pytest.raises(Failed, match=r"worker\.1 did not stay up.*worker\.1 started again"):
        activate([new])
    assert stage.current() == old.release_id
    assert notes() == [f"{old.release_id} begins", f"{old.release_id} ends", f"{old.release_id} begins"]
    assert stage.get()[0] == 200
    assert not activate([old])["changed"]


def test_a_process_that_still_ends_starts_again_when_its_release_comes_back(
    stage: Stage, notes: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soaking, "PATIENCE", 0.1)
    old, new = (with_processes(stage, stage.release(number), tail=2) for number in (1, 2))
    deploy(old)
    deploy(new)
    deploy(old)
    words = [line for line in notes() if line.startswith(old.release_id)]
    assert words == [f"{old.release_id} {word}" for word in ("begins", "ends", "begins")]


def test_a_removal_waits_for_the_task(stage: Stage, notes: Callable[[], list[str]]) -> None:
    wish = with_processes(stage, stage.release(1), tail=4)
    deploy(wish)
    root = stage.root()
    place = removal.Place(str(root), str(stage.top / "run/shop"), str(stage.top / "log/shop"))
    removal._end_instances(place, stage.place, check=False)
    assert notes() == [f"{wish.release_id} begins", f"{wish.release_id} ends"]
    assert stage.instances() == []

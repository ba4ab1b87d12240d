"""The host's lock, and the journal of runs."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.action import lock as action
from ansible_collections.slipway.kit.plugins.module_utils.contract.errors import HostError
from ansible_collections.slipway.kit.plugins.module_utils.host.system import lock

A, B = "v1-00000001", "v2-00000002"


def owner(token: str, purpose: str = "deploy") -> dict[str, Any]:
    return {"token": token, "who": "ann", "controller": "desk", "place": ["m", "b", "n"], "pid": 7, "purpose": purpose}


class Host:
    """One app, a lock and a journal in a folder."""

    def __init__(self, folder: Path) -> None:
        self.root = str(folder / "srv/shop")
        os.makedirs(f"{self.root}/releases")
        self.switch(A)
        self.path, self.journal, self.work = (
            str(folder / name) for name in ("lib/lock.json", "log/journal", "lib/work")
        )

    def switch(self, release: str) -> None:
        link = f"{self.root}/current"
        if os.path.lexists(link):
            os.unlink(link)
        os.symlink(f"releases/{release}", link)

    def take(self, token: str, release: str | None = B, gone: str = "") -> lock.Taken:
        taken = lock.take(owner(token), [self.root], gone, self.path, self.journal, self.work)
        if release and not taken.held:
            lock.note_targets({self.root: release}, self.path)
        return taken

    def free(self, token: str, outcome: str = "ok", reason: str = "", release: str | None = None) -> bool:
        return lock.free(token, outcome, reason, {"shop": release}, self.path, self.journal)

    def results(self) -> list[dict[str, Any]]:
        if not os.path.exists(self.journal):
            return []
        return [json.loads(line) for line in Path(self.journal).read_text().splitlines()]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_one_run_has_the_lock_and_the_next_reads_whose_it_is(host: Host) -> None:
    assert host.take("one") == lock.Taken()
    held = host.take("two").held
    assert held is not None
    assert (held["who"], held["controller"], held["purpose"], held["pid"]) == ("ann", "desk", "deploy", 7)
    assert held["since"].endswith("Z")
    assert not host.free("two")
    assert host.take("two").held
    assert host.free("one")
    assert host.take("two") == lock.Taken()


def test_a_run_may_take_its_own_lock_again(host: Host) -> None:
    host.take("one")
    assert host.take("one") == lock.Taken()
    assert host.free("one")


def test_a_lock_of_an_earlier_boot_is_void(host: Host) -> None:
    host.take("one")
    held = json.loads(Path(host.path).read_text())
    Path(host.path).write_text(json.dumps({**held, "boot": "an earlier one"}))
    taken = host.take("two")
    assert taken.held is None
    assert taken.replaced is not None
    assert (taken.replaced["token"], taken.replaced["why"]) == ("one", lock.REBOOTED)
    assert not host.free("one")
    assert host.free("two", release=B)
    assert [(line["id"], line["outcome"]) for line in host.results()] == [("one", "interrupted"), ("two", "ok")]


def test_a_lock_of_a_dead_process_is_taken_over_when_its_last_step_is_done(host: Host) -> None:
    host.take("one")
    assert host.take("two", gone="another").held
    with lock.alone(host.work):
        taken = host.take("two", gone="one")
        assert taken.held is not None
        assert taken.busy
    taken = host.take("two", gone="one")
    assert taken.held is None
    assert taken.replaced is not None
    assert taken.replaced["why"] == lock.GONE


def test_what_a_step_started_does_not_hold_on_to_its_right(host: Host) -> None:
    """Otherwise a daemon that a build leaves behind would block every later run."""
    with lock.alone(host.work):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    assert not lock.at_work(host.work)
    child.kill()
    child.wait()


def test_a_step_waits_for_another(host: Host) -> None:
    with lock.alone(host.work):
        code = (
            "from ansible_collections.slipway.kit.plugins.module_utils.host.base import atomic\n"
            "from ansible_collections.slipway.kit.plugins.module_utils.host.system import lock\n"
            f"with lock.alone({host.work!r}): atomic.write({host.work!r} + '.done', b'')"
        )
        child = subprocess.Popen(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        )
        time.sleep(0.5)
        assert child.poll() is None
        assert not os.path.exists(f"{host.work}.done")
    assert child.wait(10) == 0
    assert os.path.exists(f"{host.work}.done")


def test_a_damaged_lock_keeps_nobody_out(host: Host) -> None:
    host.take("one")
    Path(host.path).write_text("{")
    assert host.take("two") == lock.Taken()


def contend(host: Host, number: int, gate: Any, won: Any) -> None:
    gate.wait()
    if host.take(f"run-{number}", gone="dead").held is None:
        won.put(number)


def test_of_many_who_find_a_stale_lock_one_takes_it_over(host: Host) -> None:
    """Repeated, since a race fails only now and then."""
    context = multiprocessing.get_context("fork")
    for _round in range(10):
        host.take("dead")
        gate, won = context.Barrier(4), context.SimpleQueue()
        runs = [context.Process(target=contend, args=(host, number, gate, won)) for number in range(4)]
        for run in runs:
            run.start()
        for run in runs:
            run.join()
        winner = won.get()
        assert won.empty()
        assert host.free(f"run-{winner}", release=B)
    assert [line["outcome"] for line in host.results()] == ["interrupted", "ok"] * 10


def test_the_journal_tells_who_did_what_when_and_how_it_went(host: Host) -> None:
    host.take("one")
    host.switch(B)
    host.free("one")
    (line,) = host.results()
    assert line.pop("start").endswith("Z")
    assert 0 <= line.pop("seconds") < 10
    assert line == {
        "id": "one",
        "purpose": "deploy",
        "app": "shop",
        "from": A,
        "to": B,
        "who": "ann",
        "controller": "desk",
        "outcome": "ok",
        "reason": "",
    }


def test_a_run_that_found_nothing_to_do_is_not_reported(host: Host) -> None:
    host.take("one", A)
    host.free("one", release=A)
    host.take("two", None)
    host.free("two")
    assert host.results() == []


def test_a_rollback_tells_its_target_when_it_ends(host: Host) -> None:
    host.take("one", None)
    host.free("one", "failed", "it hung", release=B)
    (line,) = host.results()
    assert (line["from"], line["to"], line["outcome"], line["reason"]) == (A, B, "failed", "it hung")


def test_a_removal_ends_at_nothing(host: Host) -> None:
    host.take("one", None)
    os.unlink(f"{host.root}/current")
    host.free("one")
    (line,) = host.results()
    assert (line["from"], line["to"], line["outcome"]) == (A, None, "ok")


def test_a_run_that_failed_before_it_knew_its_releases_is_reported(host: Host) -> None:
    host.take("one", None)
    host.free("one", "failed", "no disk")
    (line,) = host.results()
    assert (line["from"], line["to"], line["reason"]) == (A, None, "no disk")


def test_what_a_run_is_about_is_noted_for_its_own_apps_and_only_while_it_has_the_lock(host: Host) -> None:
    lock.note_targets({host.root: B}, host.path)
    assert not os.path.exists(host.path)
    host.take("one", None)
    lock.note_targets({host.root: B, "/srv/blog": A}, host.path)
    held = json.loads(Path(host.path).read_text())
    assert {app: about["to"] for app, about in held["apps"].items()} == {"shop": B}
    assert held["token"] == "one"


@pytest.mark.parametrize(
    ("switched", "release", "to"), [(False, B, B), (True, B, B), (False, None, None), (True, None, B)]
)
def test_an_interrupted_run_is_reported_with_what_it_left(
    host: Host, switched: bool, release: str | None, to: str | None
) -> None:
    host.take("one", release)
    if switched:
        host.switch(B)
    host.take("two", gone="one")
    (line,) = host.results()
    assert (line["from"], line["to"], line["outcome"], line["seconds"]) == (A, to, "interrupted", None)
    assert line["reason"] == f"{lock.GONE}; {B if switched else A} was current then"


def test_a_line_cut_short_by_a_full_disk_spoils_no_other(host: Host) -> None:
    os.makedirs(os.path.dirname(host.journal))
    Path(host.journal).write_text('{"half')
    host.take("one")
    host.free("one")
    first, second = Path(host.journal).read_text().splitlines()
    assert first == '{"half'
    assert json.loads(second)["id"] == "one"


def test_a_token_names_one_process_of_one_boot() -> None:
    me = action.owner()
    assert me["pid"] == os.getppid()
    assert me["token"].endswith(action.started(os.getppid()))
    assert len(me["place"]) == 3


@pytest.mark.parametrize(
    ("change", "gone"),
    [
        ({}, False),
        ({"pid": 2**22 + 1}, True),  # beyond the kernel's highest
        ({"token": "x-1-1"}, True),  # another process has its number now
        ({"controller": "elsewhere", "pid": 2**22 + 1}, False),
        ({"place": ["another machine", "", ""], "pid": 2**22 + 1}, False),
        ({"place": [None, "an earlier boot", ""]}, True),
        ({"place": [None, None, "another namespace"], "pid": 2**22 + 1}, False),
    ],
)
def test_only_a_process_of_this_controller_is_known_to_be_dead(
    change: dict[str, Any], gone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(action, "place", lambda: ["machine", "boot", "namespace"])
    held = action.owner()
    if "place" in change:
        change["place"] = [
            given if given is not None else default
            for given, default in zip(change["place"], held["place"], strict=True)
        ]
    assert action.is_gone({**held, **change}) is gone


def test_another_boot_means_nothing_where_machines_have_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(action, "place", lambda: ["", "boot", "namespace"])
    assert not action.is_gone({**action.owner(), "place": ["", "another", "namespace"]})


def test_a_journal_that_cannot_be_written_keeps_no_lock(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.take("one")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), host.journal)

    with monkeypatch.context() as patched:
        patched.setattr(lock, "note", full)
        with pytest.raises(
            HostError, match=r"the lock is given back, but the journal has no line for this run: .*No space"
        ):
            host.free("one")
    assert host.take("two") == lock.Taken()

"""Processes that end, intended or not. The tests share the app, so their order matters."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.judge.host import Instance, ask, background, processes, until


@pytest.fixture
def instance() -> Instance:
    victim = Instance("victim")
    until(victim.answers, what="the app's first answer")
    return victim


def test_a_stop_lets_a_request_finish(instance: Instance) -> None:
    slow = background(lambda: ask("victim", "/sleep?s=3"))
    time.sleep(0.7)
    started = time.monotonic()
    instance.manage("stop")
    took = time.monotonic() - started
    gone = ask("victim", "/pid")
    if not instance.systemd:
        instance.manage("start")
    until(instance.answers, 40, what="an answer after the start")
    assert slow().status == 200
    # It waited for the request, and ended by itself.
    assert 1.5 < took < instance.manifest["programs"][0]["stop"], took
    # Its socket is still there. Under systemd a request starts it again, and a busy machine takes its time.
    assert gone.status in ((200, 504) if instance.systemd else (504,))


def test_a_killed_worker_is_replaced(instance: Instance) -> None:
    master, before = instance.master(), instance.workers()
    slow = background(lambda: ask("victim", "/sleep?s=3"))
    time.sleep(0.5)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    assert slow().status == 502
    until(lambda: len(instance.workers() - before) == 2, what="two new workers")
    until(instance.answers, what="an answer of a new worker")
    assert instance.master() == master


def test_a_worker_that_dies_of_a_request_costs_that_request(instance: Instance) -> None:
    assert ask("victim", "/crash").status == 502
    until(lambda: len(instance.workers()) == 2 and instance.answers(), what="a new worker")


def test_a_killed_master_is_replaced(instance: Instance) -> None:
    master = instance.master()
    slow = background(lambda: ask("victim", "/sleep?s=3"))
    time.sleep(0.5)
    os.kill(master, signal.SIGKILL)
    until(lambda: instance.master() not in (0, master), what="a new master")
    until(instance.answers, what="an answer of the new master's workers")
    assert slow().status in (200, 502)
    # The old one leaves nothing behind.
    until(
        lambda: {int(p["Pid"]) for p in processes("victim")} == {*instance.workers(), instance.master()},
        what="the old workers' end",
    )


def test_no_number_of_ends_is_too_many(instance: Instance) -> None:
    gone = {0}
    for end in (signal.SIGTERM, *[signal.SIGKILL] * 5):
        master = instance.master()
        gone.add(master)
        os.kill(master, end)
        until(lambda: instance.master() not in gone, what=f"a new master after {end.name}")
    until(instance.answers, what="an answer")

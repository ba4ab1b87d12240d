"""Whose end counts."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.host.files import reloading
from ansible_collections.slipway.kit.plugins.module_utils.host.run import health

from tests.patience import patience


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + patience(10)
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_only_a_child_that_ends_after_the_first_answer_is_a_worker_that_died() -> None:
    """The launcher forks in the process that becomes gunicorn: a good release was refused when that child ended late."""

    def kill() -> None:
        [child] = reloading.workers_of(master.pid) or ()
        os.kill(child, signal.SIGKILL)
        assert master.stdout and master.stdout.readline() == "ended\n"

    loop = "while :; do sleep 60 & wait; echo ended; done"
    with subprocess.Popen(["/bin/sh", "-c", loop], stdout=subprocess.PIPE, text=True, process_group=0) as master:
        try:
            until(lambda: reloading.workers_of(master.pid))
            state = SimpleNamespace(alive=True, pid=master.pid, detail="")
            manager: Any = SimpleNamespace(process=lambda unit: state)
            watch = health._Watch(manager, SimpleNamespace(unit="slipway-shop"))  # type: ignore[arg-type]
            watch()
            kill()
            until(lambda: reloading.workers_of(master.pid))
            watch.answered()
            watch()
            watch.answered()
            kill()
            with pytest.raises(health.NotHealthy, match="a worker died after the app had answered"):
                watch()
        finally:
            os.killpg(master.pid, signal.SIGKILL)

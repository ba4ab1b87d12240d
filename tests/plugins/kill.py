"""Ends a run halfway, as a crash of the controller does; and writes down the steps that a run has."""

from __future__ import annotations

DOCUMENTATION = r"""
name: kill
type: aggregate
short_description: Kill the run at a step, for tests
description:
  - E(KILL_RECORD) names a file that gets one JSON line per task that touched the host, with its number, name, module and seconds.
  - E(KILL_AT) is C(NUMBER:SECONDS:HOW). The run kills its process group that long after the task of that number began.
  - C(HOW) is V(alone) or V(all). With V(alone), what runs on the host at that moment continues, as behind a broken connection. With
    V(all) it dies too.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

IDLE = ("debug", "fail", "include_tasks", "meta", "say", "set_fact", "validate_argument_spec")
"""Actions that touch no host."""


class CallbackModule(CallbackBase):
    """Counts the tasks of the run."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "kill"

    def __init__(self) -> None:
        super().__init__()
        self.number = 0
        self.begun = 0.0
        self.record = os.environ.get("KILL_RECORD", "")
        at = os.environ.get("KILL_AT", "")
        self.at, self.delay, self.how = at.split(":") if at else ("0", "0", "")

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """Die here, or soon."""
        self.number += 1
        self.begun = time.monotonic()
        if self.number == int(self.at):
            argv = [sys.executable, __file__, str(os.getpid()), self.delay, self.how]
            # Ansible keeps its own output from what it starts, and a Python without any cannot import Ansible.
            nothing = subprocess.DEVNULL
            killer = subprocess.Popen(argv, start_new_session=True, stdin=nothing, stdout=nothing, stderr=nothing)
            if not float(self.delay):
                killer.wait()

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        """A handler is a step, too."""
        self.v2_playbook_on_task_start(task, False)

    def v2_runner_on_ok(self, result: Any) -> None:
        """Write down a step that touched the host."""
        module = result.task.action.rpartition(".")[2]
        if self.record and module not in IDLE:
            seconds = time.monotonic() - self.begun
            line = {"number": self.number, "name": result.task.get_name(), "module": module, "seconds": seconds}
            with open(self.record, "a", encoding="utf-8") as out:
                out.write(json.dumps(line) + "\n")


def tree(pid: int) -> list[int]:
    """The process with all its descendants, also those in other sessions and namespaces."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            children.setdefault(int(path.read_text().rpartition(")")[2].split()[1]), []).append(int(path.parent.name))
        except OSError:
            continue
    pids = [pid]
    for one in pids:
        pids += children.get(one, [])
    return pids


def main(pid: int, delay: float, how: str) -> None:
    """Kill the run's process group after a while; `all`: with everything that it started."""
    time.sleep(delay)
    others = [one for one in tree(pid) if one != os.getpid()] if how == "all" else []
    os.killpg(pid, signal.SIGKILL)
    for one in others:
        try:
            os.kill(one, signal.SIGKILL)
        except ProcessLookupError:
            continue


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3])

"""Say who we are to the host's lock; wait for it, or take it over from a run that is dead."""

from __future__ import annotations

import getpass
import os
import socket
import time
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """The module does the work on the host; who is alive on the controller only the controller can tell."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Take or free the lock. A lock that another living run holds fails the task, after `wait` seconds."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = {**self._task.args, "owner": owner()}
        end = time.monotonic() + int(arguments.get("wait", 0))
        while True:
            done = self._execute_module(
                module_name="slipway.kit.lock", module_args=arguments, task_vars=task_vars or {}
            )
            held = done.get("held")
            if not held:
                return {**result, **done}
            if is_gone(held):
                arguments["gone"] = held["token"]
                result.setdefault("warnings", []).append(f"took over the lock of {told(held)}: its process is gone")
            elif time.monotonic() >= end:
                raise AnsibleActionFail(
                    f"another run is at work on this host: {told(held)}. Wait for it (-e lock_wait=300), or, if it is certainly "
                    "dead, remove /var/lib/slipway/lock.json on the host"
                )
            else:
                time.sleep(1)  # the next look at the host costs about as much


def owner() -> dict[str, Any]:
    """Who runs the playbook; a worker's parent is the run itself."""
    pid = os.getppid()
    return {
        "token": f"{socket.gethostname()}-{pid}-{started(pid)}",
        "who": getpass.getuser(),
        "controller": socket.gethostname(),
        "pid": pid,
    }


def started(pid: int) -> str:
    """When a process started, in ticks since the boot (proc(5), field 22); empty where there is no /proc."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as handle:
            return handle.read().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return ""


def is_gone(held: dict[str, Any]) -> bool:
    """Whether the run that holds a lock was ours, on this controller, and is dead."""
    if held["controller"] != socket.gethostname():
        return False
    try:
        os.kill(held["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return not str(held["token"]).endswith(f"-{started(held['pid'])}")


def told(held: dict[str, Any]) -> str:
    """A lock in words."""
    return f"{held['who']} on {held['controller']} (process {held['pid']}), since {held['since']}, to {held['purpose']}"

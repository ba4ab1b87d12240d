"""Lock the host; wait for another run's lock, or take it over from a run that is dead."""

from __future__ import annotations

import getpass
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.kit.plugins.action import resident
from ansible_collections.slipway.kit.plugins.module_utils import inventory
from ansible_collections.slipway.kit.plugins.module_utils.model import run_variables
from ansible_collections.slipway.kit.plugins.module_utils.sources.cache import current_run

LAST_STEP = 120.0
"""Seconds to wait for the last step of a dead run, also without `lock_wait`. Most steps take a few."""

resident.spec("lock")  # before Ansible forks: see there


class ActionModule(resident.ActionModule):
    """The module works on the host. Whether a run is alive, only the controller knows."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Take or free the lock. When another run is alive and holds it for `wait` seconds, the task fails.

        The result has new facts of the host: another run may have changed it before this one got the lock.
        """
        result: dict[str, Any] = ActionBase.run(self, tmp, task_vars)
        task_vars = task_vars or {}
        arguments = {**self._task.args, "owner": owner()}
        started_at = time.monotonic()
        patience = run_variables.seconds(arguments.pop("wait", 0)) or 0
        while True:
            answer = self._execute_module(module_name="slipway.kit.lock", module_args=arguments, task_vars=task_vars)
            held = answer.get("held")
            if not held:
                break
            waited = time.monotonic() - started_at
            if answer.get("busy") and waited >= max(patience, LAST_STEP):
                raise AnsibleActionFail(
                    f"{in_words(held)} is dead, but a step that it started is still running on this host after {waited:.0f} s. "
                    "Look at the host's processes and end it, or wait"
                )
            if is_gone(held):
                arguments["gone"] = held["token"]
            elif waited >= patience:
                raise AnsibleActionFail(
                    f"another run is at work on this host: {in_words(held)}. Wait for it (-e lock_wait=5m), or, if it is certainly "
                    "dead, remove /var/lib/slipway/lock.json on the host"
                )
            if answer.get("busy") or not is_gone(held):
                time.sleep(1)  # the next look at the host costs about as much
        if replaced := answer.get("replaced"):
            on_host = (answer.get("facts") or {}).get("apps", {})
            entries = inventory.keys(
                self._templar, task_vars["hostvars"], str(task_vars["inventory_hostname"]), ["hooks"]
            )
            took = f"took over the lock of {in_words(replaced)}: {replaced['why']}"
            result.setdefault("warnings", []).extend([took, *unfinished(replaced, on_host, entries)])
        if facts := answer.pop("facts", None):
            locked = not self._task.check_mode
            answer["ansible_facts"] = {
                "slipway": facts,
                "slipway_locked": locked,
                "slipway_died": answer.get("replaced"),
                "slipway_switched": False,  # by an earlier play of this command
                "slipway_nginx_files": [],
                resident.LOCKED: current_run(),
            }
        return {**answer, **result}


def unfinished(
    died: Mapping[str, Any], on_host: Mapping[str, Mapping[str, Any]], entries: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Name the hooks `after_activate` that a dead run may not have finished: those of the apps that it had activated.

    Args:
        died: Its lock.
        on_host: The facts of the host's apps.
        entries: The inventory's apps with their `hooks`.
    """
    return [
        f"{app}: that run had activated {about['to']}, and its hook after_activate may not have run to its end. No later run "
        "repeats it; playbooks/run.yml can run its command"
        for app, about in died["apps"].items()
        if about.get("to") and about["to"] != about.get("from") and on_host.get(app, {}).get("current") == about["to"]
        if "after_activate" in (entries.get(app, {}).get("hooks") or {})
    ]


def owner() -> dict[str, Any]:
    """Who runs the playbook; a worker's parent is the run itself."""
    pid = os.getppid()
    return {
        "token": f"{socket.gethostname()}-{pid}-{started(pid)}",
        "who": getpass.getuser(),
        "controller": socket.gethostname(),
        "place": place(),
        "pid": pid,
    }


def place() -> list[str]:
    """What makes a process number mean something: this machine, its boot, and the namespace the number is of."""
    machine = _read("/etc/machine-id").strip()
    boot = _read("/proc/sys/kernel/random/boot_id").strip()
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = ""
    return [machine, boot, namespace]


def started(pid: int) -> str:
    """When a process started, in ticks since the boot (proc(5), field 22); empty where there is no /proc."""
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 else ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def is_gone(held: dict[str, Any]) -> bool:
    """Whether the run that holds a lock was on this very controller, and is dead. False where that cannot be known."""
    machine, boot, namespace = place()
    if held["controller"] != socket.gethostname() or len(held["place"]) != 3 or held["place"][0] != machine:
        return False
    if held["place"][1] != boot:
        return bool(machine)  # without a machine-id, the same name in another boot may be another machine
    if held["place"][2] != namespace:
        return False
    try:
        os.kill(held["pid"], 0)
    except (ProcessLookupError, OverflowError):  # no process has such a number
        return True
    except PermissionError:
        pass  # another user's process; whether it is the run, its start tells
    return not str(held["token"]).endswith(f"-{started(held['pid'])}")


def in_words(held: dict[str, Any]) -> str:
    """The holder of a lock, for a message."""
    return f"{held['who']} on {held['controller']} (process {held['pid']}), since {held['since']}, to {held['purpose']}"

"""Render the sites that lead clients to the releases. One call has the host place them and switch."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.slipway.kit.plugins.action import files, resident

resident.spec("activate")  # before Ansible forks: see there


class ActionModule(files.ActionModule):
    """The sites are a set as the action `files` takes one."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task; returns the module's result."""
        result: dict[str, Any] = ActionBase.run(self, tmp, task_vars)
        call = dict(self._task.args)
        if sites := call.pop("sites", None):
            wanted = {"owner": "root", "group": "root", "mode": None, **sites}
            payload = self._payload(wanted, task_vars or {})
            call["sites"] = {"payload": payload, "validate": sites["validate"], "apply": sites["apply"]}
            call["sites"]["on_drift"] = self._on_drift(task_vars or {})
        result.update(self._execute_module(module_args=call, task_vars=task_vars))
        self._warn_of_drift(result, task_vars)
        return result

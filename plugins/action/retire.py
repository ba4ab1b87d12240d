"""Retire what is old, and end the run: say whose lock is to be given back."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.slipway.kit.plugins.action import lock, resident

resident.spec("retire")  # before Ansible forks: see there


class ActionModule(resident.ActionModule):
    """The module, with the token of the run's lock."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task; returns the module's result."""
        result: dict[str, Any] = ActionBase.run(self, tmp, task_vars)
        call = {**self._task.args, "token": lock.owner()["token"]}
        result.update(self._execute_module(module_args=call, task_vars=task_vars))
        # The new release serves, so this is no failure; but an operator has to look at it.
        remains = [f"{app['app']}: {what}" for app in result.get("apps", []) for what in app["remains"]]
        result.setdefault("warnings", []).extend(remains)
        if result.get("unlocked"):
            # If another host fails here, this one has nothing to undo.
            result["ansible_facts"] = {**result.get("ansible_facts", {}), "slipway_locked": False}
        return result

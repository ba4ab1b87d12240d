"""Show which release each app has on a host after a run that failed, there or on another host."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.kit.plugins.action import resident
from ansible_collections.slipway.kit.plugins.module_utils import display, inventory, run_report
from ansible_collections.slipway.kit.plugins.module_utils.model.types import ModelError

resident.spec("releases")  # before Ansible forks: see there


class ActionModule(resident.ActionModule):
    """Asks the host: an undone switch may have left one release, and the notes of the run may be wrong about it.

    It never fails, since the reason for which the run fails has been printed.
    """

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task."""
        result: dict[str, Any] = ActionBase.run(self, tmp, task_vars)
        variables = task_vars or {}
        result.update(changed=False, msg="", **display.as_("text"))
        try:
            host = inventory.load(self._templar, variables)
            result["msg"] = run_report.standing(host, self._current(run_report.concerned(host), variables))
        except (ModelError, AnsibleError):  # which is why the run failed
            pass
        return result

    def _current(self, apps: list[dict[str, str]], variables: dict[str, Any]) -> dict[str, str] | None:
        """The apps with their current releases; None where the host does not say."""
        try:
            answer = self._execute_module(
                module_name="slipway.kit.releases", module_args={"apps": apps}, task_vars=variables
            )
        except AnsibleError:
            return None
        if answer.get("failed") or answer.get("unreachable"):
            return None
        return {str(one["app"]): str(one["id"]) for one in answer["releases"] if one["current"]}

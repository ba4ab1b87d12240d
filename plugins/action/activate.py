"""Render the sites that lead clients to the releases. One call has the host place them and switch, or undo that."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.slipway.kit.plugins.action import files, lock, resident
from ansible_collections.slipway.kit.plugins.module_utils import display, inventory

resident.spec("activate")  # before Ansible forks: see there


class ActionModule(files.ActionModule):
    """The sites are the kit's set of that name."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task; returns the module's result.

        A host that has switched gets the facts `slipway_switched` and `slipway_nginx_files`. `slipway_misled` has the apps that
        keep their release and that clients do not reach. The report of the run fails for them. `elsewhere` are the hosts that
        have not reported a switch, the reason to undo it.
        """
        result: dict[str, Any] = ActionBase.run(self, tmp, task_vars)
        call = {**self._task.args, "token": lock.owner()["token"]}
        elsewhere = call.pop("elsewhere", ())
        if call.get("state") != "undone" and not self._keeps_sites(task_vars or {}):
            call["sites"] = {**self._sites(task_vars or {}), "on_drift": self._on_drift(task_vars or {})}
        result.update(self._execute_module(module_args=call, task_vars=task_vars))
        self._warn_of_drift(result, task_vars)
        if result.get("failed"):
            return result
        if call.get("state") == "undone":
            reason = f"since {', '.join(elsewhere)} did not report a successful switch"
            lines = [
                f"{one['app']}: the switch to {one['release']} was undone{one['note']}, {reason}"
                for one in result["apps"]
            ]
            if result["paths"] and not lines:
                lines = [f"nginx's earlier files were put back, {reason}"]
            result.update(msg="\n".join(lines), **display.as_("text"))
        else:
            misled = {one["app"]: one for one in result.get("misled") or ()}
            files = result.get("paths", [])
            result["ansible_facts"] = {"slipway_switched": True, "slipway_misled": misled, "slipway_nginx_files": files}
        return result

    def _keeps_sites(self, task_vars: dict[str, Any]) -> bool:
        """Whether the run leaves nginx's files as they are, which only a rollback may."""
        purpose = self._templar.template(task_vars.get("release_purpose"))
        return bool(purpose == "rollback" and inventory.load(self._templar, task_vars).keeps_sites)

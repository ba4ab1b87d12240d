"""Show how a run ended on a host; fail where it could not deploy an app. Works on the controller alone."""

from __future__ import annotations

from typing import Any

from ansible_collections.slipway.kit.plugins.module_utils import alone, display, inventory, run_report


class ActionModule(alone.AloneAction):
    """The message is the report either way: the reasons for a failure have been printed before it."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task."""
        result, _arguments = self.begin(tmp, task_vars, {})
        variables = task_vars or {}
        host, facts = str(variables.get("inventory_hostname")), variables.get("ansible_facts") or {}
        hosts = variables.get("ansible_play_hosts_all") or [host]
        earlier = [variables["hostvars"].raw_get(one).get("ansible_facts") or {} for one in hosts[: hosts.index(host)]]
        ended = run_report.end(inventory.load(self._templar, variables), facts, host, earlier)
        result.update(changed=False, **ended, **display.as_("text"))
        return result

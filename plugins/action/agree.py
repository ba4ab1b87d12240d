"""Make all hosts agree on the apps that are held back: an app that failed on one host is switched on none."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible_collections.slipway.kit.plugins.module_utils import alone, holding, inventory


class ActionModule(alone.AloneAction):
    """Runs once for all hosts and contacts none: the facts of each say which apps failed there."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Set the fact `slipway_held` of all hosts; fail if Ansible has lost a host in the tasks of a hook."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        facts = {
            host: task_vars["hostvars"][host].get("ansible_facts") or {} for host in task_vars["ansible_play_hosts_all"]
        }
        if message := holding.lost(facts, ended=True):
            raise AnsibleActionFail(message)
        together: dict[str, str | None] = {}
        for host in facts:
            for app, entry in inventory.keys(self._templar, task_vars["hostvars"], host, ["together"]).items():
                together.setdefault(app, entry.get("together"))
        held_back = holding.agree(facts.values(), together)
        return {**result, "changed": False, "ansible_facts": {"slipway_held": held_back}}

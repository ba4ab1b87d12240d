"""Make all hosts agree on the apps that are held back: an app that failed on one host is switched on none."""

from __future__ import annotations

from typing import Any

from ansible_collections.slipway.kit.plugins.module_utils import alone, holding


class ActionModule(alone.AloneAction):
    """Runs once for all hosts and contacts none: the facts of each say which apps failed there."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Set the fact `slipway_held` of all hosts."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        hosts = [task_vars["hostvars"][host] for host in task_vars["ansible_play_hosts_all"]]
        together: dict[str, str | None] = {}
        for host in hosts:
            for app, entry in (host.get("apps") or {}).items():
                together.setdefault(str(app), entry.get("together"))
        held_back = holding.agree([host.get("ansible_facts") or {} for host in hosts], together)
        return {**result, "changed": False, "ansible_facts": {"slipway_held": held_back}}

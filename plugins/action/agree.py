"""Have all hosts agree on the apps that are held back: what failed on one of them is switched on none."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.slipway.kit.plugins.module_utils import holding


class ActionModule(ActionBase):
    """Runs once for all hosts, and asks none: what each found out is in its facts."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Set the fact `slipway_held` of all hosts."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        names = task_vars or {}
        hosts = [names["hostvars"][host] for host in names["ansible_play_hosts_all"]]
        together: dict[str, str | None] = {}
        for host in hosts:
            for app, entry in (host.get("apps") or {}).items():
                together.setdefault(str(app), entry.get("together"))
        back = holding.agree([host.get("ansible_facts") or {} for host in hosts], together)
        return {**result, "changed": False, "ansible_facts": {"slipway_held": back}}

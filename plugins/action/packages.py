"""Install packages of the distribution; what apps ask for and the host cannot have becomes a fact, and those apps' fault."""

from __future__ import annotations

from typing import Any

from ansible_collections.slipway.kit.plugins.action import resident
from ansible_collections.slipway.kit.plugins.module_utils import display

UNAVAILABLE = "slipway_unavailable"
"""The fact: package to the reason why this host cannot have it."""

resident.spec("packages")  # before Ansible forks: see there


class ActionModule(resident.ActionModule):
    """The module does the work."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module, and set the fact. Check mode says what would be installed.

        It downloads no package index, without which apt cannot tell what it would do.
        """
        if self._task.check_mode:
            names = ", ".join(self._task.args["names"])
            return {"changed": True, "msg": f"would install {names}", **display.as_("text")}
        result = super().run(tmp, task_vars)
        if "unavailable" in result:
            result["ansible_facts"] = {**result.get("ansible_facts", {}), UNAVAILABLE: result["unavailable"]}
        return result

"""Run a module that only looks. A host that does not answer is part of the report, and no end of the run.

The actions of the modules that need no more than this are symbolic links to it.
"""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.slipway.kit.plugins.action import resident

OWN = __name__.rpartition(".")[2]
if OWN != "looking":
    resident.spec(OWN)  # before Ansible forks: see there


class ActionModule(resident.ActionModule):
    """A module whose result has `trouble` where the host does not answer."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module of the task's name."""
        result: dict[str, Any] = ActionBase.run(self, tmp, task_vars)
        result.update(self._looked(self._task.action, None, task_vars))
        return result

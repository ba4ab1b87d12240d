"""Run the commands of a hook; before the switch, an app whose command fails is held back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.slipway.kit.plugins.action import partly, resident
from ansible_collections.slipway.kit.plugins.module_utils import holding

LATE = ("after_activate", "on_failure")
"""Hooks that run when there is nothing left to hold back: a failure is the run's."""

resident.spec("hook")  # before Ansible forks: see there


class ActionModule(partly.ActionModule):
    """The module `hook`."""

    def hold(self, result: dict[str, Any], failures: Sequence[Mapping[str, Any]], task_vars: Mapping[str, Any]) -> None:
        """Hold the apps back, or fail."""
        if self._task.args["name"] in holding.IN_CURRENT:
            failures = [{**failure, "release": None} for failure in failures]  # which is not what failed
        if self._task.args["name"] in LATE:
            messages = [holding.text(failure) for failure in failures]
            if self._task.args["name"] == "after_activate":
                messages.append(
                    "Only the hook failed: clients get the earlier release again. The one that was left is marked bad, as "
                    "playbooks/releases.yml shows."
                    if task_vars.get("release_purpose") == "rollback"
                    else "Only the hook failed: clients get the new release, and it stays."
                )
            result.update(failed=True, msg="\n\n".join(messages))
        else:
            super().hold(result, failures, task_vars)

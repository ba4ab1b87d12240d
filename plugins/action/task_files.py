"""Run before, between and after the task files of a hook: an app whose tasks fail is held back, as after a failed command.

Ansible runs the tasks. They may fail on one host alone, or for one app alone. The fact `slipway_task_files` has the failures
until all files have ended. `agree` recognizes by it the hosts that Ansible lost in between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.slipway.kit.plugins.action import hook
from ansible_collections.slipway.kit.plugins.module_utils import holding, task_failures


class ActionModule(hook.ActionModule):
    """Runs on the controller alone."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Set the fact; at the end, hold the failed apps back or fail.

        The result's `msg` is why the run failed before the files began.
        """
        result: dict[str, Any] = ActionBase.run(self, tmp, task_vars)
        _valid, arguments = self.validate_argument_spec(
            argument_spec={
                "name": {"type": "str", "required": True},
                "state": {"type": "str", "choices": ["begun", "failed", "ended"], "required": True},
                "reason": {"type": "str", "default": ""},
                "hook": {"type": "dict"},
            }
        )
        variables = task_vars or {}
        record = holding.task_files(variables.get("ansible_facts") or {})
        if arguments["state"] == "begun":
            record = {"reason": arguments["reason"], "failures": []}
        elif arguments["state"] == "failed":
            is_own = arguments["reason"] != record["reason"]
            failure = _failure(arguments["name"], arguments["hook"], variables if is_own else {})
            record = {**record, "failures": [*record["failures"], failure]}
        result.update(changed=False, msg=record["reason"], ansible_facts={"slipway_task_files": record})
        if arguments["state"] == "ended":
            self._end(result, arguments["name"], record["failures"], variables)
        return result

    def _end(
        self, result: dict[str, Any], name: str, failures: Sequence[Mapping[str, Any]], variables: Mapping[str, Any]
    ) -> None:
        """Hold the failed apps back, or fail for them. Fail also if another host was lost, unless the run has failed already."""
        result["ansible_facts"] = {"slipway_task_files": {}}
        if failures:
            self.hold(result, [_explained(failure, name, variables) for failure in failures], variables)
        if name != "on_failure" and (message := holding.lost(_gone(variables))):
            reasons = [result["msg"]] if result.get("failed") else []
            result.update(failed=True, msg="\n\n".join([*reasons, message]))


def _gone(variables: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the facts of the hosts that are no longer in the run."""
    hosts = set(variables["ansible_play_hosts_all"]) - set(variables["ansible_play_hosts"])
    return {host: variables["hostvars"][host].get("ansible_facts") or {} for host in sorted(hosts)}


def _failure(name: str, settings: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
    """Describe the failure of a task file as the module `hook` describes that of a command.

    Args:
        name: The hook.
        settings: What the inventory has for it: the app's `name`, the file and the release.
        variables: Those of the host; empty if its own tasks did not fail.
    """
    reason = f"hook {name} ({settings['tasks']}) "
    if is_own := "ansible_failed_result" in variables:
        reason += "failed" + task_failures.words(variables["ansible_failed_task"], variables["ansible_failed_result"])
    else:
        reason += "includes a file or role that Ansible cannot read, for the reason above"
    return {"app": settings["name"], "release": settings["release"], "reason": reason, "is_own": is_own}


def _explained(failure: Mapping[str, Any], name: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    """A failure as it is reported. One without a failed task on its host is that of a task with `run_once` on another host.

    That host may have ended the hook already. Then its apps that are held back have the reason.
    """
    reported = {key: value for key, value in failure.items() if key != "is_own"}
    if failure["is_own"]:
        return reported
    for host in variables.get("ansible_play_hosts_all") or ():
        facts = variables["hostvars"][host].get("ansible_facts") or {}
        for one in holding.task_files(facts).get("failures", ()):
            if one["app"] == failure["app"] and one["is_own"]:
                return {**reported, "reason": one["reason"], "on": host}
        held = holding.held(facts).get(failure["app"], {})
        if held.get("on") == host and held["reason"].startswith(f"hook {name} "):
            return {**reported, "reason": held["reason"], "on": host}
    return reported
